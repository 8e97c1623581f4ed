import type { TabgridError } from "../../shared/errors.ts";
import type { AssignmentId, CustomerId, MinerId, ModelKey, OwnerId, SessionId, TaskId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import type { ServiceLevel } from "../../shared/pricing.ts";
import type { Device, MinerFault } from "../../shared/protocol.ts";
import type { Tensor, TensorSpec } from "../../shared/tensor.ts";
import type { Millis } from "../../shared/time.ts";
import type { Tolerance } from "../../shared/tolerance.ts";
import type { Role } from "./queue.ts";
import type { TaskState } from "./task.ts";

/** The hub's whole vocabulary: what can happen to it, and what it can ask of the world. */

export interface TaskSpec {
  task: TaskId;
  customer: CustomerId;
  model: ModelKey;
  inputs: Tensor[];
  /** SHA-256 of the canonical bytes of the inputs, hex. */
  inputHash: string;
  /** Size of the batch axis; 1 where the model has none. */
  rows: number;
  /** What each named free dimension of the inputs is in this request; outputs must agree. */
  dims: Record<string, number>;
  /** FLOP. */
  work: bigint;
  price: Nano;
  level: ServiceLevel;
  deadlineAt: Millis;
}

/** What the core keeps of a party between sessions; loaded with `miner.joined`, saved by the `standing` effect. */
export interface Standing {
  owner: OwnerId;
  /** Beta(α, β) with forgetting; α = β = 1 at first. */
  alpha: number;
  beta: number;
  /** When α and β were last decayed. */
  updatedAt: Millis;
  /** Log-likelihood ratio of the sequential test; ≥ 9.2 suspends. */
  strikes: number;
  suspended: boolean;
  /** Passed checks per `model|runtime`. */
  passed: Record<string, number>;
}

export type HubEvent =
  | { kind: "tick"; at: Millis }
  | { kind: "model.published"; at: Millis; model: CoreModel }
  | { kind: "task.submitted"; at: Millis; spec: TaskSpec }
  | { kind: "task.cancelled"; at: Millis; task: TaskId }
  | {
      kind: "miner.joined";
      at: Millis;
      session: SessionId;
      miner: MinerId;
      owner: OwnerId;
      /** /24 or /48; null for loopback and private addresses, which carry no evidence. */
      network: string | null;
      device: Device;
      slots: number;
      standing: Standing | null;
    }
  | {
      kind: "miner.status";
      at: Millis;
      session: SessionId;
      accepting: boolean;
      slots: number;
      reason: string | null;
      resident: ModelKey[];
    }
  | { kind: "miner.lost"; at: Millis; session: SessionId }
  | {
      kind: "miner.prepared";
      at: Millis;
      session: SessionId;
      model: ModelKey;
      outputs: Tensor[][];
      loadMs: number;
      runMs: number;
    }
  | {
      kind: "miner.prepare-failed";
      at: Millis;
      session: SessionId;
      model: ModelKey;
      fault: MinerFault;
      message: string;
    }
  | {
      kind: "result";
      at: Millis;
      session: SessionId;
      assignment: AssignmentId;
      seq: number;
      outputs: Tensor[];
      /** SHA-256 of the canonical bytes of the outputs, hex. */
      commitment: string;
      computeMs: number;
    }
  | {
      kind: "assignments.failed";
      at: Millis;
      session: SessionId;
      assignments: AssignmentId[];
      fault: MinerFault;
      message: string;
    }
  | { kind: "chain.signed"; at: Millis; session: SessionId; seq: number }
  | { kind: "reference.done"; at: Millis; task: TaskId; outputs: Tensor[]; commitment: string; runMs: number }
  | { kind: "reference.failed"; at: Millis; task: TaskId; reason: string };

/** The part of a manifest that the core decides by, and the model's known answers. */
export interface CoreModel {
  key: ModelKey;
  memoryBytes: number;
  downloadBytes: number;
  batchLimit: number;
  rowsIndependent: boolean;
  comparator: Tolerance;
  /** Names, dtypes and shapes that a result must have. */
  outputs: TensorSpec[];
  nonFiniteOutputs: boolean;
  golden: { inputs: Tensor[]; outputs: Tensor[] }[];
  /** Party that gets the royalty x, and x in basis points. */
  creator: string;
  royaltyBasisPoints: number;
  /** The reference node ran it within 10 s. */
  referenceMs: number | null;
}

export type VerdictBasis = "checked" | "reference" | "unchecked";

/** One execution that took part in a task, as the verdict saw it. */
export interface Execution {
  by: OwnerId | "reference";
  miner: MinerId | null;
  assignment: AssignmentId | null;
  role: Role;
  commitment: string;
  /** Agreed with the accepted answer. */
  accepted: boolean;
  /** Covered by a chain signature; only signed executions are paid. */
  signed: boolean;
  /** The owner had fewer than 20 passed checks for this model when the task was drawn. */
  newcomer: boolean;
  computeMs: number;
}

/**
 * The one fact that verification tells the economy about a task: its verdict is in and every signature that will come has
 * come. The ledger alone turns it into postings.
 */
export interface CheckDone {
  task: TaskId;
  at: Millis;
  customer: CustomerId;
  model: ModelKey;
  creator: string;
  royaltyBasisPoints: number;
  level: ServiceLevel;
  price: Nano;
  work: bigint;
  basis: VerdictBasis;
  inputHash: string;
  /** Commitment of the accepted answer. */
  commitment: string;
  executions: Execution[];
}

export interface TaskOutcome {
  task: TaskId;
  result:
    | { ok: true; outputs: Tensor[]; basis: VerdictBasis | "pending"; executors: number }
    | { ok: false; error: TabgridError };
}

export type HubEffect =
  /** To the socket of a session. */
  | { kind: "prepare"; session: SessionId; model: ModelKey }
  | {
      kind: "assign";
      session: SessionId;
      model: ModelKey;
      items: { assignment: AssignmentId; task: TaskId; inputs: Tensor[]; leaseMs: number }[];
    }
  | { kind: "cancel"; session: SessionId; assignments: AssignmentId[] }
  | { kind: "refuse"; session: SessionId; event: string; assignment: AssignmentId | null; error: TabgridError }
  | { kind: "kept"; session: SessionId; assignments: AssignmentId[] }
  | { kind: "disconnect"; session: SessionId; error: TabgridError }
  | {
      kind: "work";
      owner: OwnerId;
      assignment: AssignmentId;
      model: ModelKey;
      role: "primary" | "check";
      outcome: "refuted" | "unpaid";
      reason: string;
    }
  /** To the reference node. */
  | { kind: "run-reference"; task: TaskId; model: ModelKey; inputs: Tensor[] }
  /** To the caller. */
  | { kind: "reply"; outcome: TaskOutcome }
  /** Durable. */
  | { kind: "task-changed"; task: TaskId; at: Millis; state: TaskState; what: string }
  | { kind: "void-hold"; task: TaskId; reason: string }
  | { kind: "check-done"; fact: CheckDone }
  | { kind: "standing"; standing: Standing };
