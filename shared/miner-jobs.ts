import { limits } from "./limits.ts";
import {
  gatesOpen,
  type Job,
  jobsOf,
  type MinerEffect,
  type MinerEvent,
  type MinerSession,
  type Run,
  statusOf,
} from "./miner-state.ts";
import type { MinerFault } from "./protocol.ts";
import type { Millis } from "./time.ts";

/** The way of a job through a miner; miner-session.ts tells it at its head. */
export const ABORT_GRACE_MS = 250;
/** A text is interrupted between two tokens or chunks of a prompt; its worker, which goes on with others, ends after this. */
export const INTERRUPT_GRACE_MS = 15_000;
/** A half-open link is noticed by Socket.IO's ping within 25 + 20 s; until then a sent result may not have arrived. */
export const RESEND_MS = 45_000;
const RESEND_COUNT = 64;

export function assigned(
  session: MinerSession,
  model: string,
  items: (MinerEvent & { kind: "assigned" })["items"],
  at: Millis,
  effects: MinerEffect[],
): void {
  const known = new Set([...jobsOf(session), ...session.outbox, ...session.sent.keys()]);
  const fresh = items.filter(({ assignment }) => !known.has(assignment));
  const ids = fresh.map(({ assignment }) => assignment);
  if (session.phase !== "running" || session.link.at !== "up") {
    if (ids.length > 0) effects.push({ kind: "forget", assignments: ids });
    return;
  }
  if (!gatesOpen(session) || session.draining) {
    return fail(session, ids, "paused", statusOf(session).reason ?? "paused", effects);
  }
  if (!session.ready.has(model)) return fail(session, ids, "load-failed", `${model} is not prepared here`, effects);
  for (const { assignment, leaseMs, mode = "run" } of fresh) {
    session.waiting.push({ assignment, model, mode, leaseMs, leaseEndsAt: at + leaseMs });
  }
}

/**
 * Slots count runs of tensors. The texts of a model share one worker, which makes several at hardly more than the price of
 * one, so they take no slot and are as many as the model allows. Each kind keeps its order of arrival.
 */
export function startRuns(session: MinerSession, at: Millis, effects: MinerEffect[]): void {
  if (!gatesOpen(session) || at < session.idleUntil) return;
  for (let jobs = nextRun(session); jobs; jobs = nextRun(session)) {
    const [{ model, mode }] = jobs;
    session.waiting = session.waiting.filter((job) => !jobs?.includes(job));
    const run = ++session.runCount;
    session.runs.set(run, { model, jobs, voided: new Set(), startedAt: at, abortAt: null });
    effects.push({ kind: "run", run, model, mode, assignments: jobs.map((job) => job.assignment) });
  }
}

function nextRun(session: MinerSession): [Job, ...Job[]] | null {
  const first = session.waiting.find((job) => mayStart(session, job));
  if (!first) return null;
  if (isText(first)) return [first];
  const together = session.ready.get(first.model)?.together ?? 1;
  const others = session.waiting.filter((job) => job !== first && job.model === first.model && !isText(job));
  return [first, ...others.slice(0, together - 1)];
}

const isText = ({ mode }: Job): boolean => mode !== "run";
const isTextRun = ({ jobs }: Run): boolean => jobs.some(isText);

function mayStart(session: MinerSession, job: Job): boolean {
  const runs = [...session.runs.values()];
  if (!isText(job)) return runs.filter((run) => !isTextRun(run)).length < session.slots;
  const texts = Math.max(1, session.ready.get(job.model)?.texts ?? 1);
  return runs.filter((run) => isTextRun(run) && run.model === job.model).length < texts;
}

/** Whether a waiting job would start if the duty cycle let it. */
export const couldStart = (session: MinerSession): boolean => session.waiting.some((job) => mayStart(session, job));

/** The hub counts a generation's lease from its last tokens. */
export function generated(session: MinerSession, ids: readonly number[], at: Millis, effects: MinerEffect[]): void {
  if (session.link.at !== "up") return;
  const further: Job[] = [];
  for (const id of ids) {
    const run = session.runs.get(id);
    for (const job of run?.jobs ?? []) if (!run?.voided.has(job.assignment)) further.push(job);
  }
  for (const job of further) job.leaseEndsAt = at + job.leaseMs;
  sendTokens(further, false, effects);
}

export function sendTokens(jobs: readonly Job[], again: boolean, effects: MinerEffect[]): void {
  if (jobs.length === 0) return;
  effects.push({ kind: "send-tokens", assignments: jobs.map(({ assignment }) => assignment), again });
}

export function ran(session: MinerSession, event: MinerEvent & { kind: "ran" }, effects: MinerEffect[]): void {
  const run = session.runs.get(event.run);
  if (!run) return;
  session.runs.delete(event.run);
  const { duty } = session.governor;
  const busyMs = event.at - run.startedAt;
  session.idleUntil = Math.max(session.idleUntil, event.at + (busyMs * (1 - duty)) / duty);
  const wanted = (assignment: string) => !run.voided.has(assignment);
  session.outbox.push(...event.done.filter(wanted));
  const unwanted = event.done.filter((assignment) => !wanted(assignment));
  if (unwanted.length > 0) effects.push({ kind: "forget", assignments: unwanted });
  for (const { assignment, fault, message } of event.failed) {
    if (wanted(assignment)) fail(session, [assignment], fault, message, effects);
  }
}

export function sendOutbox(session: MinerSession, at: Millis, effects: MinerEffect[]): void {
  while (session.outbox.length > 0) {
    const batch = session.outbox.splice(0, limits.assignmentsPerMessage);
    const results = batch.map((assignment) => ({ assignment, seq: ++session.seq }));
    for (const assignment of batch) session.sent.set(assignment, at);
    session.unsignedSince ??= at;
    effects.push({ kind: "send", results });
  }
}

/** Ends what time has ended: leases, kept results, and void runs that did not end by themselves. */
export function expire(session: MinerSession, at: Millis, effects: MinerEffect[]): void {
  const over = new Set<string>();
  for (const job of session.waiting) if (job.leaseEndsAt <= at) over.add(job.assignment);
  for (const { jobs } of session.runs.values()) {
    for (const job of jobs) if (job.leaseEndsAt <= at) over.add(job.assignment);
  }
  if (over.size > 0) drop(session, over, at, effects);
  for (const [assignment, sentAt] of session.sent) {
    if (session.sent.size <= RESEND_COUNT && at - sentAt < RESEND_MS) break;
    session.sent.delete(assignment);
    effects.push({ kind: "forget", assignments: [assignment] });
  }
  for (const [id, run] of session.runs) {
    if (run.abortAt === null || at < run.abortAt) continue;
    session.runs.delete(id);
    effects.push({ kind: "abort", run: id });
  }
}

/** The hub no longer wants these: forget those that are not in a run, void those that are. */
export function drop(
  session: MinerSession,
  assignments: ReadonlySet<string>,
  at: Millis,
  effects: MinerEffect[],
): void {
  const unwanted = (assignment: string) => assignments.has(assignment);
  const forgotten = [...session.waiting.map((job) => job.assignment), ...session.outbox, ...session.sent.keys()].filter(
    unwanted,
  );
  session.waiting = session.waiting.filter((job) => !unwanted(job.assignment));
  session.outbox = session.outbox.filter((assignment) => !unwanted(assignment));
  for (const assignment of forgotten) session.sent.delete(assignment);
  for (const [id, run] of session.runs) {
    for (const { assignment } of run.jobs) {
      if (!unwanted(assignment) || run.voided.has(assignment)) continue;
      run.voided.add(assignment);
      forgotten.push(assignment);
    }
    if (run.voided.size === run.jobs.length) endSoon(id, run, at, effects);
  }
  if (forgotten.length > 0) effects.push({ kind: "forget", assignments: forgotten });
}

/** A gate has closed: preparation stops and every assignment that is not finished goes back to the hub. */
export function handBack(session: MinerSession, at: Millis, reason: string, effects: MinerEffect[]): void {
  if (session.preparing) {
    session.preparing = false;
    effects.push({ kind: "stop-preparing", model: session.toPrepare[0] as string });
  }
  failWaiting(session, reason, effects);
  for (const [id, run] of session.runs) {
    const open = run.jobs.map((job) => job.assignment).filter((assignment) => !run.voided.has(assignment));
    fail(session, open, "paused", reason, effects);
    for (const assignment of open) run.voided.add(assignment);
    endSoon(id, run, at, effects);
  }
}

/** Nobody wants the run any more: a text is told to stop; tensors most often end by themselves. */
function endSoon(id: number, run: Run, at: Millis, effects: MinerEffect[]): void {
  if (run.abortAt !== null) return;
  const text = isTextRun(run);
  run.abortAt = at + (text ? INTERRUPT_GRACE_MS : ABORT_GRACE_MS);
  if (text) effects.push({ kind: "interrupt", run: id });
}

export function failWaiting(session: MinerSession, reason: string, effects: MinerEffect[]): void {
  const waiting = session.waiting.map((job) => job.assignment);
  session.waiting = [];
  fail(session, waiting, "paused", reason, effects);
}

/** While the link is not up the hub cannot be told; its next welcome asks after what it kept. */
export function fail(
  session: MinerSession,
  assignments: string[],
  fault: MinerFault,
  message: string,
  effects: MinerEffect[],
): void {
  for (let start = 0; start < assignments.length; start += limits.assignmentsPerMessage) {
    const batch = assignments.slice(start, start + limits.assignmentsPerMessage);
    if (session.link.at === "up") effects.push({ kind: "fail", assignments: batch, fault, message });
    else effects.push({ kind: "forget", assignments: batch });
  }
}
