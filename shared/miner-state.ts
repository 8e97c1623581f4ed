import type { TabgridError } from "./errors.ts";
import { limits } from "./limits.ts";
import type { AssignmentMode, MinerFault, MinerStatus } from "./protocol.ts";
import { assert } from "./result.ts";
import type { Millis } from "./time.ts";

/** What one miner knows, what can happen to it, and what it can ask for; miner-session.ts tells how they go together. */
export type Link =
  | { at: "down"; retryAt: Millis }
  | { at: "dialling" | "greeting"; deadline: Millis }
  | { at: "up"; session: string; since: Millis };

export interface Job {
  assignment: string;
  model: string;
  mode: AssignmentMode;
  leaseMs: number;
  /** Of a generation, each message of tokens begins the lease anew. */
  leaseEndsAt: Millis;
}

export interface Run {
  model: string;
  /** Several only where they are stacked: a generation or a score is a run of its own. */
  jobs: Job[];
  /** Assignments of this run whose result nobody wants any more. */
  voided: Set<string>;
  startedAt: Millis;
  abortAt: Millis | null;
}

export interface MinerSession {
  phase: "stopped" | "elsewhere" | "running" | "suspended" | "failed";
  /** Why suspended or failed. */
  why: string | null;
  paused: boolean;
  draining: boolean;
  governor: { run: boolean; why: string | null; duty: number };
  slots: number;
  link: Link;
  attempt: number;
  /** Prepared models, how many items of each may be stacked into a run, and how many texts it makes at once (else 0). */
  ready: Map<string, { together: number; texts: number }>;
  /** In the order of arrival; the first is being prepared if `preparing`. */
  toPrepare: string[];
  preparing: boolean;
  /** Preparations that ended while the link was not up. */
  unreported: Map<string, { fault: MinerFault; message: string } | null>;
  waiting: Job[];
  runs: Map<number, Run>;
  runCount: number;
  outbox: string[];
  /** Sent results that may have to be sent again, oldest first. */
  sent: Map<string, Millis>;
  seq: number;
  signedSeq: number;
  unsignedSince: Millis | null;
  idleUntil: Millis;
  lastStatus: string | null;
}

export type MinerEvent = { at: Millis } & (
  | { kind: "start"; slots: number }
  | { kind: "elsewhere" | "pause" | "resume" | "drain" | "stop" | "tick" }
  /** This browser cannot mine as the settings ask. */
  | { kind: "unable"; why: string }
  | { kind: "configured"; slots: number }
  | { kind: "governed"; run: boolean; why: string | null; duty: number }
  /** The socket is open; the hub's challenge came; its answer to the hello; its refusal of anything; the socket is gone. */
  | { kind: "connected" | "challenged" | "lost" }
  | { kind: "welcomed"; session: string; keep: readonly string[] }
  | { kind: "refused"; assignment: string | null; error: TabgridError }
  | { kind: "prepare"; model: string }
  /**
   * `together`: how many items may be stacked into one run; 1 unless the model's rows are independent. `texts`, of text
   * models: how many generations and scores its one worker goes on with at once.
   */
  | { kind: "prepared"; model: string; together: number; texts?: number }
  | { kind: "prepare-failed"; model: string; fault: MinerFault; message: string }
  | {
      kind: "assigned";
      model: string;
      items: readonly { assignment: string; leaseMs: number; mode?: AssignmentMode | undefined }[];
    }
  | { kind: "cancelled"; assignments: readonly string[] }
  /** Tokens of running generations are at hand. */
  | { kind: "generated"; runs: readonly number[] }
  /** A run is over, for each of its assignments one way or the other. */
  | { kind: "ran"; run: number; done: readonly string[]; failed: readonly RunFailure[] }
);

export interface RunFailure {
  assignment: string;
  fault: MinerFault;
  message: string;
}

export type MinerEffect =
  | { kind: "dial" }
  /** Answer the challenge that came last. */
  | { kind: "greet" }
  /** After everything sent before has left. */
  | { kind: "hang-up" }
  | { kind: "prepare"; model: string }
  | { kind: "stop-preparing"; model: string }
  | { kind: "report-prepared"; model: string }
  | { kind: "report-unprepared"; model: string; fault: MinerFault; message: string }
  | { kind: "run"; run: number; model: string; mode: AssignmentMode; assignments: string[] }
  /** The tokens that were not sent yet; `again`: all of them, as the messages of another link may not have arrived. */
  | { kind: "send-tokens"; assignments: string[]; again: boolean }
  /** End a generation or a score between two of its tokens; `ran` follows. */
  | { kind: "interrupt"; run: number }
  /** End the run's worker; no `ran` follows. */
  | { kind: "abort"; run: number }
  | { kind: "send"; results: { assignment: string; seq: number }[] }
  /** Tell the hub, and let go of these assignments' tensors. */
  | { kind: "fail"; assignments: string[]; fault: MinerFault; message: string }
  /** Sign the chain up to and with this result. */
  | { kind: "sign"; seq: number }
  | { kind: "status"; status: MinerStatus }
  /** Let go of these assignments' tensors. */
  | { kind: "forget"; assignments: string[] }
  /** Let go of everything: tensors, models, workers. */
  | { kind: "release" };

export function createMinerSession(): MinerSession {
  return {
    phase: "stopped",
    why: null,
    paused: false,
    draining: false,
    governor: { run: true, why: null, duty: 1 },
    slots: 1,
    link: { at: "down", retryAt: 0 },
    attempt: 0,
    ready: new Map(),
    toPrepare: [],
    preparing: false,
    unreported: new Map(),
    waiting: [],
    runs: new Map(),
    runCount: 0,
    outbox: [],
    sent: new Map(),
    seq: 0,
    signedSeq: 0,
    unsignedSince: null,
    idleUntil: 0,
    lastStatus: null,
  };
}

export const gatesOpen = (session: MinerSession): boolean =>
  session.phase === "running" && !session.paused && session.governor.run;

/** Assignments that wait or run. */
export function* jobsOf(session: MinerSession): Generator<string> {
  for (const job of session.waiting) yield job.assignment;
  for (const run of session.runs.values()) for (const job of run.jobs) yield job.assignment;
}

/** What a person is shown. */
export type MinerStateName =
  | "stopped"
  | "elsewhere"
  | "connecting"
  | "preparing"
  | "ready"
  | "working"
  | "paused"
  | "draining"
  | "suspended"
  | "failed";

export function minerStateOf(session: MinerSession): MinerStateName {
  if (session.phase !== "running") return session.phase;
  if (session.draining) return "draining";
  if (!gatesOpen(session)) return "paused";
  if (session.runs.size > 0) return "working";
  if (session.link.at !== "up") return "connecting";
  return session.toPrepare.length > 0 && session.ready.size === 0 ? "preparing" : "ready";
}

export function statusOf(session: MinerSession): MinerStatus {
  const reason = session.paused
    ? "paused by the person"
    : session.draining
      ? "finishing, then stopping"
      : session.governor.run
        ? undefined
        : (session.governor.why ?? "held back");
  const texts = Math.max(...[...session.ready.values()].map((model) => model.texts), 0);
  const status: MinerStatus = {
    accepting: gatesOpen(session) && !session.draining,
    slots: Math.min(limits.slotsMax, Math.max(session.slots, texts)),
    resident: [...session.ready.keys()].sort().slice(0, 64),
  };
  if (reason !== undefined) status.reason = reason.slice(0, 100);
  return status;
}

/** Proves itself in tests: what must hold after every step. */
export function assertMinerInvariants(session: MinerSession): void {
  const all = [...jobsOf(session), ...session.outbox, ...session.sent.keys()];
  assert(new Set(all).size === all.length, "an assignment is in one place only");
  assert(session.signedSeq <= session.seq, "only what was sent is signed");
  assert(session.phase === "running" || all.length === 0, "nothing is at hand unless running");
  assert(!session.preparing || gatesOpen(session), "preparation goes on only with open gates");
  assert(session.draining || gatesOpen(session) || session.waiting.length === 0, "nothing waits behind a closed gate");
  for (const { jobs } of session.runs.values()) {
    assert(jobs.length === 1 || jobs.every(({ mode }) => mode === "run"), "a text is a run of its own");
  }
}
