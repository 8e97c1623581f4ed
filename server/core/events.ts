import type { TabgridError } from "../../shared/errors.ts";
import type {
  AssignmentId,
  CaseId,
  CustomerId,
  MinerId,
  ModelKey,
  OwnerId,
  SessionId,
  TaskId,
} from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import type { ServiceLevel } from "../../shared/pricing.ts";
import type { AssignmentMode, Device, MinerFault, SessionRole } from "../../shared/protocol.ts";
import type { Tensor, TensorSpec } from "../../shared/tensor.ts";
import type { TextPool } from "../../shared/text-agreement.ts";
import type { FinishReason } from "../../shared/text-generation.ts";
import type { Millis } from "../../shared/time.ts";
import type { Tolerance } from "../../shared/tolerance.ts";
import type { CheckPolicy } from "./check-policy.ts";
import type { ProbesRenewed } from "./probes.ts";
import type { Role } from "./queue.ts";
import type { TaskState } from "./task.ts";
import type { TopToken } from "./text.ts";
import type { TextTerms } from "./text-terms.ts";
import type { ExecutorStanding, Ground } from "./trust.ts";
import type { AttestationFact, WitnessEvent, WitnessRecord } from "./witness.ts";

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
  /** FLOP; of a text the most it can be. */
  work: bigint;
  /** Held; of a text the most it can cost. */
  price: Nano;
  level: ServiceLevel;
  deadlineAt: Millis;
  /** Of the model's domain as it was when the task was submitted; the hub's where it is left out. */
  checks?: CheckPolicy;
  /** Batch work that is no text (whose terms say it): waits for whoever pays the whole price. */
  preemptible?: boolean;
  /** Of a text request: `inputs` are its prompt and settings (../../shared/text-generation.ts). */
  text?: TextTerms;
  /** What is done with the inputs of a task that is no text; `run` where it is left out. */
  mode?: AssignmentMode;
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
  /** Given no work, and its held pay is frozen, until the case is decided. */
  suspended: boolean;
  openCase: CaseId | null;
  /** k: passed checks since the last fail, per `model|runtime|device class`. */
  passed: Record<string, number>;
  /** The most that k ever was, per the same key. */
  proven: Record<string, number>;
  /** What its texts showed so far that were too short to judge alone, per the same key. */
  pools?: Record<string, TextPool>;
  /** Why trust and strikes are what they are: the newest notes, oldest first. */
  history: StandingNote[];
  /** As a validator that attests availability; absent until it gave a word. */
  witness?: WitnessRecord;
}

export type StandingNote =
  | { kind: "passes"; at: Millis; count: number; strikes: number }
  | { kind: "mismatch"; at: Millis; mismatch: Mismatch; voided: boolean; strikes: number }
  | { kind: "voided"; at: Millis; count: number; strikes: number }
  | { kind: "suspended"; at: Millis; strikes: number }
  | { kind: "restored"; at: Millis; why: string; strikes: number };

/** A result that the reference node refuted: all that a reviewer needs to judge it, and no name. */
export interface Mismatch {
  at: Millis;
  task: TaskId;
  assignment: AssignmentId;
  model: ModelKey;
  runtime: string;
  deviceClass: string;
  /** A further execution, an input whose answer the hub knew, or a later look at an unchecked result. */
  found: "check" | "canary" | "recheck";
  inputHash: string;
  /** Of the miner's outputs and of the reference node's. */
  commitment: string;
  reference: string;
  /** In units of the model's PASS threshold. */
  distance: number;
  compared: string;
  referenceMs: number;
}

/** Opened by a suspension; only a person decides it. */
export interface Case {
  case: CaseId;
  owner: OwnerId;
  at: Millis;
  strikes: number;
  evidence: Mismatch[];
  history: StandingNote[];
}

/** The hub's decision of a case: minor and severe are the only ways to a slash. */
export type CaseRuling = "dismissed" | "minor" | "severe";

export interface CaseDecided {
  case: CaseId;
  owner: OwnerId;
  at: Millis;
  openedAt: Millis;
  /** Who looked at the evidence. */
  reviewer: string;
  ruling: CaseRuling;
  /** In the reviewer's words. */
  reason?: string;
}

export type HubEvent =
  | { kind: "tick"; at: Millis }
  | { kind: "model.published"; at: Millis; model: CoreModel }
  | { kind: "task.submitted"; at: Millis; spec: TaskSpec }
  /** `text`: how many tokens its caller has taken, and whether it has what it wanted or gave up. */
  | { kind: "task.cancelled"; at: Millis; task: TaskId; text?: { delivered: number; finish: FinishReason } }
  | {
      kind: "miner.joined";
      at: Millis;
      session: SessionId;
      miner: MinerId;
      owner: OwnerId;
      /** /24 or /48; null for loopback and private addresses, which carry no evidence. */
      network: string | null;
      /** A miner where it is left out. */
      role?: SessionRole;
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
      /** SHA-256 of the canonical bytes of all vectors' outputs, hex: the device class of this session for the model. */
      digest: string;
      /** The same of its answers to the renewed probes, which are the last vectors. */
      renewed?: string;
      loadMs: number;
      runMs: number;
      /** What it ran on, where that is not the device's own. */
      runtime?: Device["runtime"];
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
  /** Tokens of a running generation: authentic, but of nobody known to be right. */
  | {
      kind: "tokens";
      at: Millis;
      session: SessionId;
      assignment: AssignmentId;
      /** Of the first of them, among those of the assignment. */
      position: number;
      tokens: Int32Array;
      logProbabilities: Float32Array;
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
  | WitnessEvent
  | ProbesRenewed
  | { kind: "reference.done"; at: Millis; task: TaskId; outputs: Tensor[]; commitment: string; runMs: number }
  /** A piece of a text that the reference node makes: outputs of a `generate` of these tokens alone. */
  | { kind: "reference.tokens"; at: Millis; task: TaskId; outputs: Tensor[] }
  | { kind: "reference.failed"; at: Millis; task: TaskId; reason: string }
  /** What an owner would lose by cheating, collateral and held pay; and by how much that changed since. */
  /** `barred`: models whose domain it is not registered in, or pays less than it asks; none where left out. */
  | { kind: "owner.funds"; at: Millis; owner: OwnerId; atRisk: Nano; barred?: readonly ModelKey[] }
  | { kind: "owner.paid"; at: Millis; owner: OwnerId; amount: Nano }
  /** A reviewer ruled; the standing comes from the store where the owner is not here. */
  | {
      kind: "case.decided";
      at: Millis;
      case: CaseId;
      owner: OwnerId;
      reviewer: string;
      ruling: CaseRuling;
      reason?: string;
      standing: Standing | null;
      /** Of a reported answer, which suspended nobody: what is overturned if it is upheld; null where that is done. */
      report?: { overturns: Overturn | null };
    }
  /** A quarantine from before a restart, or a person's word. */
  | { kind: "class.ruled"; at: Millis; ground: Ground; quarantined: boolean };

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
  /** It makes texts: some of its canaries are texts to be scored. */
  text?: { contextLength: number; vocabulary: number };
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
  /** Of its owner when the verdict was settled; the reference node has none. */
  standing?: ExecutorStanding;
  /** FLOP of what it did itself; left out where that is the task's own work. */
  work?: bigint;
  /** FLOP of reading what the one before it had written, which the customer does not pay a second time. */
  repeated?: bigint;
  /** The maker before it was sent away by the hub, and owes nothing for that. */
  preempted?: boolean;
  /** The tokens of a text that it made. */
  span?: { from: number; to: number };
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
  /** Of a text. */
  text?: SettledText;
}

/** What a text came to. `price` and `work` are of the tokens that were delivered and accepted. */
export interface SettledText {
  promptTokens: number;
  outputTokens: number;
  finish: FinishReason;
  /** Of the request, decimal. */
  seed: string;
  /** Set aside at `max_tokens`: what `price` leaves of it goes back. */
  held: Nano;
  /** FLOP of one check. */
  checkWork: bigint;
}

/**
 * Work that no customer pays: canaries, rechecks, and checks whose task then failed. The verification pool pays what was
 * accepted and signed.
 */
export interface PoolWork {
  task: TaskId;
  at: Millis;
  model: ModelKey;
  royaltyBasisPoints: number;
  /** What one execution of the task costs a customer, */
  price: Nano;
  /** and its work, where executions differ in theirs: FLOP. */
  work?: bigint;
  why: "canary" | "recheck" | "refuted";
  /** Whose work it looked at; null where that was only the reference node's. */
  subject: OwnerId | null;
  executions: Execution[];
}

/** A settled answer that a recheck or a case refuted: its postings are reversed and its customer has all back. */
export interface Overturn {
  task: TaskId;
  at: Millis;
  customer: CustomerId;
  price: Nano;
  owner: OwnerId;
  assignment: AssignmentId;
  /** Commitments of the refuted and of the reference node's answer. */
  commitment: string;
  reference: string;
  reason: string;
}

export interface ReceiptRevised {
  task: TaskId;
  customer: CustomerId;
  at: Millis;
  state: "failed" | "overturned";
  reason: string;
}

export interface TaskOutcome {
  task: TaskId;
  result:
    | {
        ok: true;
        outputs: Tensor[];
        basis: VerdictBasis | "pending";
        executors: number;
        /** Of a text, whose tokens came as parts: how it ended and what is charged. */
        text?: { finish: FinishReason; tokens: number; price: Nano };
      }
    /** `again`: refuted before anything of it was delivered, so that asking once more is worth while. */
    | { ok: false; error: TabgridError; again?: true };
}

export type HubEffect =
  /** To the socket of a session. */
  | { kind: "prepare"; session: SessionId; model: ModelKey; runtime?: Device["runtime"]; probes?: Tensor[][] }
  | {
      kind: "assign";
      session: SessionId;
      model: ModelKey;
      items: {
        assignment: AssignmentId;
        task: TaskId;
        inputs: Tensor[];
        mode: AssignmentMode;
        leaseMs: number;
      }[];
    }
  | { kind: "cancel"; session: SessionId; assignments: AssignmentId[] }
  | { kind: "refuse"; session: SessionId; event: string; assignment: AssignmentId | null; error: TabgridError }
  | { kind: "kept"; session: SessionId; assignments: AssignmentId[] }
  | { kind: "disconnect"; session: SessionId; error: TabgridError }
  | { kind: "witness-ask"; session: SessionId; witness: string; subject: SessionId }
  | { kind: "witness-relay"; session: SessionId; witness: string; nonce: Uint8Array }
  | { kind: "witness-answer"; session: SessionId; witness: string; signature: Uint8Array }
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
  | { kind: "run-reference"; task: TaskId; model: ModelKey; inputs: Tensor[]; mode: AssignmentMode }
  /** To the caller. */
  | {
      kind: "part";
      task: TaskId;
      part: { tokens: Int32Array; logProbabilities: Float32Array; top: TopToken[][] };
    }
  | { kind: "reply"; outcome: TaskOutcome }
  /** Durable. */
  | { kind: "task-changed"; task: TaskId; at: Millis; state: TaskState; what: string }
  | { kind: "void-hold"; task: TaskId; reason: string }
  | { kind: "check-done"; fact: CheckDone }
  | { kind: "pool-work"; fact: PoolWork }
  | { kind: "overturned"; fact: Overturn }
  /** A delivered answer was refuted, before or after it was settled. */
  | { kind: "receipt-revised"; fact: ReceiptRevised }
  | { kind: "standing"; standing: Standing }
  /** What a reviewer may want to see, should it come to a case; the mismatch itself is on the standing. */
  | { kind: "mismatch"; assignment: AssignmentId; spec: TaskSpec; outputs: Tensor[]; reference: Tensor[] }
  /** Freezes the owner's held pay. */
  | { kind: "case-opened"; opened: Case }
  /** The device class was at fault, not the person: nothing is frozen any more. */
  | { kind: "case-withdrawn"; case: CaseId; owner: OwnerId; at: Millis; why: string }
  | { kind: "case-closed"; decision: CaseDecided }
  /** A miner was there, or was not, and a validator signed that. */
  | { kind: "attested"; fact: AttestationFact }
  /** A validator is due its pay; `words` counts all it ever gave. */
  | { kind: "witness-pay"; owner: OwnerId; words: number; at: Millis }
  | { kind: "class-quarantined"; ground: Ground; at: Millis; owners: OwnerId[] }
  /** A miner's known answers were judged, for the table of what runs where. */
  | { kind: "known-answers"; ground: Ground; at: Millis; outcome: KnownAnswerOutcome };

export type KnownAnswerOutcome = "admitted" | "refused" | "quarantined";
