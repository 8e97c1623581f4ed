import type { CaseId, ModelKey, OwnerId, TaskId } from "../../shared/ids.ts";
import type { ServiceLevel } from "../../shared/pricing.ts";
import type { Millis } from "../../shared/time.ts";
import type { Tolerance } from "../../shared/tolerance.ts";
import type { CaseRuling, KnownAnswerOutcome, VerdictBasis } from "../core/events.ts";
import type { Tables } from "./tables.ts";

/**
 * A case as the books keep it.
 *
 *   open       the owner of a suspension is frozen; a report freezes nobody
 *   decided    a reviewer ruled
 *   withdrawn  its reason fell away: the device class was at fault, or another case put the owner out
 */
export interface CaseRecord {
  case: CaseId;
  kind: "suspension" | "report";
  /** Null where the hub's own reference node gave the reported answer. */
  owner: OwnerId | null;
  /** The reported answer's. */
  task: TaskId | null;
  openedAt: Millis;
  evidence: CaseEvidence;
  state: "open" | "decided" | "withdrawn";
  closedAt: Millis | null;
  ruling: CaseRuling | null;
  reviewer: string | null;
  /** Of the ruling or of the withdrawal. */
  reason: string | null;
}

export type CaseState = CaseRecord["state"];

/** What a reviewer judges by; it holds no name of a person, miner, task or network. */
export type CaseEvidence =
  | { kind: "suspension"; strikes: number; exhibits: Exhibit[]; history: HistoryLine[] }
  | {
      kind: "report";
      /** In the customer's words. */
      complaint: string;
      model: ModelKey;
      level: ServiceLevel;
      basis: VerdictBasis | null;
      inputHash: string;
      /** Of the delivered answer. */
      commitment: string;
      executions: number;
      settledAt: Millis;
      /** Null where the hub had given up question and answer by then; absent from cases of before it kept any. */
      exchange?: Exchange | null;
    };

/** What was asked and answered. */
export type Exchange =
  | { kind: "text"; prompt: string; output: string /** Of the output. */; tokens: number }
  | { kind: "tensors"; inputs: ShownTensor[]; outputs: ShownTensor[] };

export interface ShownTensor {
  name: string;
  dtype: string;
  shape: number[];
  elements: number;
  /** The first of them; a string where JSON has no such number. */
  values: (number | string)[];
}

/** One refuted result beside the reference node's. */
export interface Exhibit {
  at: Millis;
  found: "check" | "canary" | "recheck";
  model: ModelKey;
  /** Null where a restart came between the mismatch and the case. */
  level: ServiceLevel | null;
  runtime: string;
  deviceClass: string;
  inputHash: string;
  commitment: string;
  reference: string;
  referenceMs: number;
  /** In units of the model's PASS threshold, by the measure that `compared` names. */
  distance: number;
  compared: string;
  comparator: Tolerance | null;
  /** Every measure that was taken; empty where the outputs are not retained. */
  measures: { output: string; measure: string; value: number; failRatio: number }[];
  /** Both answers where they differ most; empty where they are not retained. */
  outputs: OutputPair[];
}

export interface OutputPair {
  name: string;
  dtype: string;
  shape: number[];
  elements: number;
  /** In the order of `index`; a value that JSON cannot hold is its name. */
  rows: { index: number; given: number | string; reference: number | string }[];
}

export type HistoryLine =
  | { kind: "passes"; at: Millis; count: number; strikes: number }
  | { kind: "mismatch"; at: Millis; model: ModelKey; distance: number; voided: boolean; strikes: number }
  | { kind: "voided"; at: Millis; count: number; strikes: number }
  | { kind: "suspended"; at: Millis; strikes: number }
  | { kind: "restored"; at: Millis; why: string; strikes: number };

/** Known answers of one kind of device for one model, counted. */
export interface CompatibilityCount extends Record<KnownAnswerOutcome, number> {
  model: ModelKey;
  runtime: string;
  deviceClass: string;
  lastAt: Millis;
}

export const caseRow = (one: CaseRecord): Tables["cases"] => ({
  id: one.case,
  kind: one.kind,
  owner: one.owner,
  task: one.task,
  opened_at: BigInt(one.openedAt),
  evidence: JSON.stringify(one.evidence),
  state: one.state,
  closed_at: one.closedAt === null ? null : BigInt(one.closedAt),
  ruling: one.ruling,
  reviewer: one.reviewer,
  reason: one.reason,
});

export const caseRecord = (row: Tables["cases"]): CaseRecord => ({
  case: row.id as CaseId,
  kind: row.kind as CaseRecord["kind"],
  owner: row.owner as OwnerId | null,
  task: row.task as TaskId | null,
  openedAt: Number(row.opened_at),
  evidence: JSON.parse(row.evidence),
  state: row.state as CaseState,
  closedAt: row.closed_at === null ? null : Number(row.closed_at),
  ruling: row.ruling as CaseRuling | null,
  reviewer: row.reviewer,
  reason: row.reason,
});

export const compatibilityRow = (of: CompatibilityCount): Tables["compatibility"] => ({
  model: of.model,
  runtime: of.runtime,
  device_class: of.deviceClass,
  admitted: BigInt(of.admitted),
  refused: BigInt(of.refused),
  quarantined: BigInt(of.quarantined),
  last_at: BigInt(of.lastAt),
});

export const compatibilityCount = (row: Tables["compatibility"]): CompatibilityCount => ({
  model: row.model as ModelKey,
  runtime: row.runtime,
  deviceClass: row.device_class,
  admitted: Number(row.admitted),
  refused: Number(row.refused),
  quarantined: Number(row.quarantined),
  lastAt: Number(row.last_at),
});

/** A case is replaced but for what it was opened with. */
export const replaceCase = `on conflict (id) do update set ${["state", "closed_at", "ruling", "reviewer", "reason"]
  .map((column) => `${column} = excluded.${column}`)
  .join(", ")}`;

/** Counts are added to. */
export const addToCompatibility = `on conflict (model, runtime, device_class) do update set ${[
  "admitted",
  "refused",
  "quarantined",
]
  .map((column) => `${column} = compatibility.${column} + excluded.${column}`)
  .join(", ")}, last_at = excluded.last_at`;
