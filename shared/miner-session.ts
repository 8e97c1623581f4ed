import type { TabgridError } from "./errors.ts";
import { limits } from "./limits.ts";
import {
  assigned,
  couldStart,
  drop,
  expire,
  fail,
  failWaiting,
  generated,
  handBack,
  RESEND_MS,
  ran,
  sendOutbox,
  sendTokens,
  startRuns,
} from "./miner-jobs.ts";
import {
  createMinerSession,
  gatesOpen,
  jobsOf,
  type MinerEffect,
  type MinerEvent,
  type MinerSession,
  statusOf,
} from "./miner-state.ts";
import type { Rng } from "./random.ts";
import type { Millis } from "./time.ts";

/**
 * All decisions of one miner, without a socket, a worker or a clock. The session worker of a page and the simulator feed
 * events, carry out effects in their order, and send a `tick` at `wakeAt`.
 *
 * Phases: `stopped` (no consent in force: nothing connects or computes) → `running` on start → back by stop, by a drain
 * that is done, or on the hub's word to `suspended` or `failed`, which only another start leaves. `elsewhere`: another tab
 * of this profile mines; the start follows when it is gone.
 *
 * Link, while running: down until `retryAt` → dialling → greeting (challenge, hello) → up. Each welcome is a new session:
 * results are numbered from 1 again, and of the assignments at hand only those survive that the hub says it kept. A result
 * may have been lost with the old link, so results stay at hand for RESEND_MS and are sent again if their assignment is kept.
 *
 * Gates: work and preparation go on only while running and neither paused by the person nor held back by the governor.
 * When a gate closes, waiting and running assignments are handed back at once. A drain takes no new work but ends runs.
 *
 * A job is waiting → in a run → finished (sent, or in the outbox while the link is not up) | failed. A run whose jobs
 * are all void (cancelled, handed back, lease over) gets ABORT_GRACE_MS to end by itself, which most do, because ending
 * its worker costs loading the model again. A generation sends its tokens while it runs, and each time begins its lease
 * anew; a void one is interrupted, so that its worker goes on with the others.
 */
const DIAL_MS = 20_000;
const RETRY_FIRST_MS = 200;
const RETRY_MOST_MS = 30_000;
/** A link that held this long counts as good: the next retry starts from the shortest delay. */
const LINK_PROVEN_MS = 5_000;

export interface Step {
  effects: MinerEffect[];
  wakeAt: Millis | null;
}

/** Applies one event to the session in place. */
export function stepMiner(session: MinerSession, event: MinerEvent, rng: Rng): Step {
  const effects: MinerEffect[] = [];
  apply(session, event, rng, effects);
  if (session.phase === "running") proceed(session, event.at, rng, effects);
  return { effects, wakeAt: wakeAt(session) };
}

function apply(session: MinerSession, event: MinerEvent, rng: Rng, effects: MinerEffect[]): void {
  const { at } = event;
  switch (event.kind) {
    case "start":
      session.slots = event.slots;
      session.paused = false;
      session.draining = false;
      if (session.phase === "running") return;
      Object.assign(session, { phase: "running", why: null, attempt: 0, link: { at: "down", retryAt: at } });
      return;
    case "elsewhere":
      if (session.phase !== "running") session.phase = "elsewhere";
      return;
    case "stop":
      if (session.phase === "running") handBack(session, at, "stopped by the person", effects);
      return retire(session, "stopped", null, effects);
    case "pause":
      session.paused = true;
      return handBack(session, at, "paused by the person", effects);
    case "resume":
      session.paused = false;
      return;
    case "drain":
      if (session.phase !== "running") return retire(session, "stopped", null, effects);
      session.draining = true;
      return failWaiting(session, "the miner finishes what runs and stops", effects);
    case "unable":
      return retire(session, "failed", event.why, effects);
    case "configured":
      session.slots = event.slots;
      return;
    case "governed":
      session.governor = { run: event.run, why: event.why, duty: event.duty };
      if (!event.run) handBack(session, at, event.why ?? "held back", effects);
      return;
    case "connected":
      if (session.link.at === "dialling") session.link = { at: "greeting", deadline: at + limits.helloTimeoutMs };
      return;
    case "challenged":
      if (session.link.at === "greeting") effects.push({ kind: "greet" });
      return;
    case "welcomed":
      if (session.link.at === "greeting") welcome(session, event.session, event.keep, at, effects);
      return;
    case "refused":
      return refused(session, event.assignment, event.error, at, rng, effects);
    case "lost":
      if (session.link.at !== "down") linkLost(session, at, 0, rng);
      return;
    case "prepare":
      if (session.phase === "running") prepareAgain(session, event.model, effects);
      return;
    case "prepared":
      if (!endPreparing(session, event.model)) return;
      session.ready.set(event.model, { together: event.together, texts: event.texts ?? 0 });
      session.unreported.set(event.model, null);
      return;
    case "prepare-failed":
      if (!endPreparing(session, event.model)) return;
      session.ready.delete(event.model);
      session.unreported.set(event.model, { fault: event.fault, message: event.message });
      return;
    case "assigned":
      return assigned(session, event.model, event.items, at, effects);
    case "cancelled":
      return drop(session, new Set(event.assignments), at, effects);
    case "generated":
      return generated(session, event.runs, at, effects);
    case "ran":
      return ran(session, event, effects);
    case "tick":
      return;
  }
}

/** What follows from the state alone, whatever the event was. */
function proceed(session: MinerSession, at: Millis, rng: Rng, effects: MinerEffect[]): void {
  expire(session, at, effects);
  const { link } = session;
  if (link.at === "down" && at >= link.retryAt) {
    session.link = { at: "dialling", deadline: at + DIAL_MS };
    effects.push({ kind: "dial" });
  } else if ((link.at === "dialling" || link.at === "greeting") && at >= link.deadline) {
    effects.push({ kind: "hang-up" });
    linkLost(session, at, 0, rng);
  }
  prepareNext(session, effects);
  startRuns(session, at, effects);
  if (session.link.at === "up") {
    report(session, effects);
    sendOutbox(session, at, effects);
    const unsigned = session.seq - session.signedSeq;
    if (unsigned >= limits.chainEveryResults || (unsigned > 0 && at >= signAt(session))) sign(session, effects);
    const status = statusOf(session);
    const said = JSON.stringify(status);
    if (said !== session.lastStatus) {
      session.lastStatus = said;
      effects.push({ kind: "status", status });
    }
  }
  if (session.draining && session.runs.size === 0) retire(session, "stopped", null, effects);
}

function wakeAt(session: MinerSession): Millis | null {
  if (session.phase !== "running") return null;
  const { link } = session;
  const times: Millis[] = [];
  if (link.at === "down") times.push(link.retryAt);
  else if (link.at !== "up") times.push(link.deadline);
  else if (session.seq > session.signedSeq) times.push(signAt(session));
  for (const job of session.waiting) times.push(job.leaseEndsAt);
  for (const run of session.runs.values()) {
    if (run.abortAt !== null) times.push(run.abortAt);
    else for (const job of run.jobs) if (!run.voided.has(job.assignment)) times.push(job.leaseEndsAt);
  }
  if (gatesOpen(session) && couldStart(session)) times.push(session.idleUntil);
  for (const sentAt of session.sent.values()) {
    times.push(sentAt + RESEND_MS);
    break; // oldest first
  }
  return times.length > 0 ? Math.min(...times) : null;
}

const signAt = (session: MinerSession): Millis => (session.unsignedSince ?? 0) + limits.chainEveryMs;

function sign(session: MinerSession, effects: MinerEffect[]): void {
  session.signedSeq = session.seq;
  session.unsignedSince = null;
  effects.push({ kind: "sign", seq: session.seq });
}

function welcome(session: MinerSession, id: string, keep: readonly string[], at: Millis, effects: MinerEffect[]): void {
  session.link = { at: "up", session: id, since: at };
  Object.assign(session, { seq: 0, signedSeq: 0, unsignedSince: null, lastStatus: null });
  const kept = new Set(keep);
  const atHand = [...session.outbox, ...session.sent.keys()];
  const known = new Set([...jobsOf(session), ...atHand]);
  session.outbox = atHand.filter((assignment) => kept.has(assignment));
  session.sent.clear();
  const gone = [...known].filter((assignment) => !kept.has(assignment));
  drop(session, new Set(gone), at, effects);
  const finished = atHand.filter((assignment) => !kept.has(assignment));
  if (finished.length > 0) effects.push({ kind: "forget", assignments: finished });
  const missing = [...kept].filter((assignment) => !known.has(assignment));
  fail(session, missing, "paused", "the miner no longer has this assignment", effects);
  const making = [...session.runs.values()].flatMap(({ jobs, voided }) =>
    jobs.filter(({ assignment, mode }) => mode === "generate" && !voided.has(assignment)),
  );
  sendTokens(making, true, effects);
}

function linkLost(session: MinerSession, at: Millis, leastMs: number, rng: Rng): void {
  const proven = session.link.at === "up" && at - session.link.since >= LINK_PROVEN_MS;
  if (proven) session.attempt = 0;
  const longest = Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** Math.min(session.attempt, 16));
  session.attempt += 1;
  session.link = { at: "down", retryAt: at + Math.max(leastMs, longest * (0.5 + 0.5 * rng.next())) };
}

function refused(
  session: MinerSession,
  assignment: string | null,
  error: TabgridError,
  at: Millis,
  rng: Rng,
  effects: MinerEffect[],
): void {
  if (session.phase !== "running") return;
  if (error.code === "suspended") return retire(session, "suspended", error.message, effects);
  if (error.code === "protocol-mismatch" || error.code === "replaced") {
    return retire(session, "failed", error.message, effects);
  }
  const outOfStep = error.code === "bad-authentication" || error.code === "out-of-sequence";
  if (session.link.at === "greeting" || (session.link.at === "up" && outOfStep)) {
    effects.push({ kind: "hang-up" });
    linkLost(session, at, (error.retryAfter ?? 0) * 1000, rng);
  } else if (assignment !== null) {
    drop(session, new Set([assignment]), at, effects);
  }
}

function prepareAgain(session: MinerSession, model: string, effects: MinerEffect[]): void {
  if (session.preparing && session.toPrepare[0] === model) {
    session.preparing = false;
    effects.push({ kind: "stop-preparing", model });
  } else if (!session.toPrepare.includes(model)) {
    session.toPrepare.push(model);
  }
  session.unreported.delete(model);
}

function endPreparing(session: MinerSession, model: string): boolean {
  if (!session.preparing || session.toPrepare[0] !== model) return false;
  session.toPrepare.shift();
  session.preparing = false;
  return true;
}

/** One model at a time, so that the first is earning while the next is still downloading. */
function prepareNext(session: MinerSession, effects: MinerEffect[]): void {
  const next = session.toPrepare[0];
  if (next === undefined || session.preparing || session.draining || !gatesOpen(session)) return;
  session.preparing = true;
  effects.push({ kind: "prepare", model: next });
}

function report(session: MinerSession, effects: MinerEffect[]): void {
  for (const [model, failed] of session.unreported) {
    effects.push(failed ? { kind: "report-unprepared", model, ...failed } : { kind: "report-prepared", model });
  }
  session.unreported.clear();
}

/** Leaves `running`: signs what is unsigned, ends the link, lets go of everything. */
function retire(
  session: MinerSession,
  phase: "stopped" | "suspended" | "failed",
  why: string | null,
  effects: MinerEffect[],
): void {
  if (session.phase === "running") {
    if (session.link.at === "up" && session.seq > session.signedSeq) sign(session, effects);
    if (session.link.at !== "down") effects.push({ kind: "hang-up" });
    effects.push({ kind: "release" });
  }
  const { governor, slots, runCount } = session;
  Object.assign(session, createMinerSession(), { phase, why, governor, slots, runCount });
}
