import type { Tensor } from "../../shared/tensor.ts";

/**
 * What someone outside the hub can see: requests, answers, the wire, the books. The auditor knows nothing else of it, and
 * the study counts from the same.
 */
export interface Posting {
  id: string;
  kind: string;
  task: string | null;
  legs: { account: string; amount: bigint }[];
}

export interface Lease {
  owner: string;
  session: string;
  network: string | null;
  deviceClass: number;
  role?: "miner" | "validator";
  assignment: string;
  task: string;
  model: string;
  value: number;
}

export interface Watcher {
  submitted(task: { task: string; customer: string; model: string; level: string; price: bigint; value: number }): void;
  replied(task: string, outputs: Tensor[] | null, basis: string): void;
  /** A hold that the books refused: the request never reached the hub. */
  refusedForBalance(task: string): void;
  /** Reached the hub: what a session says to the known answers of a model. */
  prepared?(session: string, model: string, answers: { value: number; outputs: Tensor[] }[]): void;
  assigned(to: Lease): void;
  /** The lease is over without an answer: cancelled, given back, or its miner is gone for good. */
  unassigned(assignment: string): void;
  /** Reached the hub. */
  delivered(owner: string, session: string, seq: number, assignment: string, outputs: Tensor[]): void;
  signed(session: string, seq: number): void;
  referenceRan(task: string): void;
  referenceFailed(task: string): void;
  refuted(owner: string, assignment: string): void;
  posted(transfer: Posting): void;
  settled(task: string, basis: string, accepted: string[]): void;
  overturned(task: string, owner: string, assignment: string | null): void;
  suspended(owner: string, caseId: string): void;
  restored(owner: string, why: "withdrawn" | "dismissed" | "minor"): void;
  /** A person's word, as it was given. */
  ruled(owner: string, caseId: string, ruling: string): void;
  quarantined(owners: string[]): void;
  crashed(): void;
}
