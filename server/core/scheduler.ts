import { failure } from "../../shared/errors.ts";
import type { ModelKey } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { SessionRole } from "../../shared/protocol.ts";
import type { Rng } from "../../shared/random.ts";
import { groundOn, isCheck, mayRun, someoneMayRun } from "./checkers.ts";
import type { CoreModel } from "./events.ts";
import { fallBack, mayFallBack } from "./fallback.ts";
import type { ModelQueue, WorkItem } from "./queue.ts";
import { type Assignment, expectedMs, freshModel, type MinerSession } from "./roster.ts";
import { isCustomers, move, type OpenTask, type Step } from "./state.ts";
import { STREAM_LEASE_MS, workOf } from "./text.ts";
import { startMaking } from "./text-release.ts";
import { makerLeft } from "./text-stream.ts";
import { NEWCOMER_PASSES, passesOf, trustOf } from "./trust.ts";
import { checksPerMessage, fitsValidator, isTooSlow } from "./validators.ts";
import { askReference, noPeerLeft } from "./verification.ts";

/**
 * Who gets what (../shared/design.md section 5, "Scheduling"): work is pushed to the miner that is likely to finish first
 * and is trusted, drawn by weight so that newcomers get work too. Items of one model that wait together share a message.
 */

/** Candidates looked at per draw: enough for good choices, and independent of the number of miners. */
const CANDIDATES = 8;
/** Queue entries looked at per message. */
const SCAN = 64;
const LEASE_MIN_MS = 10_000;
/** A lease is this many expected service times, at least. */
const LEASE_FACTOR = 20;
/** A check of a delivered answer has no caller waiting: its lease does not end with the deadline. */
const DELIVERED_SLACK_MS = 30_000;
/** Who just came is worth a fourteenth of who has shown itself, so that coming back under a new key is worth little. */
const TRUST_POWER = 4;
const NEWCOMER_SHARE = 0.01;
const PREPARE_TIMEOUT_MS = 180_000;
/** Share of a miner's stated memory that prepared models may fill. */
const MEMORY_SHARE = 0.5;
/**
 * Of the checks that a validator could take, so many are drawn among validators alone, whatever their speed, so that
 * miners answer meanwhile; the others among all, so that who runs many validators still cannot count on its own miners'
 * checks.
 */
const VALIDATOR_SHARE = 0.75;

export function schedule(step: Step, rng: Rng): void {
  for (const [key, queue] of step.state.queue.byModel) {
    if (queue.size === 0) continue;
    const model = step.state.models.get(key) as CoreModel;
    while (grantNext(step, model, queue, rng)) {}
    preempt(step, model, queue);
  }
}

/** Batch work makes room for a request that pays the whole price: its tokens are kept, and it goes on when nobody waits. */
function preempt(step: Step, model: CoreModel, queue: ModelQueue): void {
  const { state } = step;
  for (let wanted = queue.waitingInTurn; wanted > 0; wanted--) {
    if (state.roster.free(model.key).length > 0) return;
    const yielding = [...state.assignments.values()].find(
      ({ model: of, task, mode }) =>
        of === model.key && mode === "generate" && state.tasks.get(task)?.spec.text?.preemptible === true,
    );
    const task = yielding && state.tasks.get(yielding.task);
    if (!yielding || !task?.text) return;
    step.out.push({ kind: "cancel", session: yielding.session, assignments: [yielding.id] });
    const session = state.roster.sessions.get(yielding.session);
    makerLeft(step, task, task.text, yielding, session, { reason: "others pay more", isPreempted: true });
  }
  while (grantNext(step, model, queue, step.rng)) {}
}

/** Fills one message for one miner; false when nothing more can be placed now. */
function grantNext(step: Step, model: CoreModel, queue: ModelQueue, rng: Rng): boolean {
  const { roster, tasks } = step.state;
  const free = roster.free(model.key).length + roster.free(model.key, "validator").length;
  let session: MinerSession | null = null;
  const batch: WorkItem[] = [];
  const unplaceable: { task: OpenTask; role: WorkItem["role"] }[] = [];
  let rows = 0;
  const share = model.rowsIndependent ? Math.ceil(queue.size / Math.max(1, free)) : 1;
  let most = Math.min(share, model.batchLimit, limits.assignmentsPerMessage);
  queue.drain(SCAN, (item) => {
    const task = tasks.get(item.task);
    if (!task) return "taken";
    if (session) {
      if (batch.length >= most) return "stop";
      const twice = batch.some((other) => other.task === item.task);
      if (twice || rows + item.rows > model.batchLimit || !mayRun(step, task, session, item)) return "left";
    } else {
      session = free > 0 ? pick(step, model, task, item, rng) : null;
      if (!session) {
        if (someoneMayRun(step, task, item)) return "left";
        if (item.role === "primary" && !mayUseReference(step, model)) return "left";
        unplaceable.push({ task, role: item.role });
        return "taken";
      }
      most = Math.min(most, checksPerMessage(session, model.key));
    }
    batch.push(item);
    rows += item.rows;
    return "taken";
  });
  for (const { task, role } of unplaceable) {
    task.waiting--;
    if (role === "primary") askReference(step, task, "no miner can serve this now");
    else if (role !== "hedge") noPeerLeft(step, task);
  }
  if (session) grant(step, session, model, batch);
  return session !== null || unplaceable.length > 0;
}

const mayUseReference = (step: Step, model: CoreModel): boolean =>
  step.state.options.referenceServes &&
  model.referenceMs !== null &&
  step.state.referenceInFlight < 4 * step.state.options.referenceBacklog;

/** Weighted draw among a few that are free: trust over the square of the expected finish time. */
function pick(step: Step, model: CoreModel, task: OpenTask, item: WorkItem, rng: Rng): MinerSession | null {
  const validators = isCheck(item.role) ? candidatesOf(step, task, item, "validator", rng) : [];
  const validatorsAlone = validators.length > 0 && rng.next() < VALIDATOR_SHARE;
  const miners = validatorsAlone ? [] : candidatesOf(step, task, item, "miner", rng);
  const candidates = [...miners, ...validators];
  if (candidates.length === 0) return null;
  const weights = candidates.map(
    (session) => (NEWCOMER_SHARE + trustOf(session.standing) ** TRUST_POWER) / expectedMs(session, model.key) ** 2,
  );
  let point = rng.next() * weights.reduce((acc, weight) => acc + weight, 0);
  for (const [index, weight] of weights.entries()) {
    point -= weight;
    if (point <= 0) return candidates[index] as MinerSession;
  }
  return candidates.at(-1) as MinerSession;
}

/** A few of the free sessions that may run it; where those few may not, all that may. */
function candidatesOf(step: Step, task: OpenTask, item: WorkItem, role: SessionRole, rng: Rng): MinerSession[] {
  const { roster } = step.state;
  const { model } = task.spec;
  const candidates = roster.sampleFree(model, role, CANDIDATES, rng).filter((one) => mayRun(step, task, one, item));
  return candidates.length > 0 ? candidates : roster.free(model, role).filter((one) => mayRun(step, task, one, item));
}

/** Sends items to a miner in one message; their tasks are open and wait for it. */
export function grant(
  step: Step,
  session: MinerSession,
  model: CoreModel,
  batch: readonly (Pick<WorkItem, "task" | "role"> & { from?: number })[],
): void {
  const { state, now, out } = step;
  const message = state.nextMessage();
  const ground = groundOn(session, model.key);
  const newcomer = passesOf(session.standing, ground) < NEWCOMER_PASSES;
  const items = batch.map((item) => {
    const task = state.tasks.get(item.task) as OpenTask;
    task.waiting--;
    const { mode, inputs } = workOf(task, item.role, item.from);
    const wanted = Math.max(LEASE_MIN_MS, LEASE_FACTOR * expectedMs(session, model.key));
    const slack = task.replied || task.text ? DELIVERED_SLACK_MS : task.spec.deadlineAt - now;
    // A stream's lease begins anew with each token.
    const leaseMs = mode === "generate" ? STREAM_LEASE_MS : Math.max(1, Math.ceil(Math.min(wanted, slack)));
    const id = state.nextAssignment();
    const taskId = task.spec.task;
    const lease = { id, task: taskId, session: session.id, role: item.role, model: model.key, message, newcomer };
    const { deviceClass } = ground;
    const times = { grantedAt: now, leaseEndsAt: now + leaseMs, leaseMs };
    const assignment: Assignment = { ...lease, deviceClass, ...times, mode };
    if (task.text && mode === "score") assignment.span = { from: item.from ?? 0, to: task.text.tokens.length };
    if (task.text && mode === "generate") startMaking(task, task.text, id, session.standing);
    state.assignments.set(id, assignment);
    session.assignments.set(id, assignment);
    task.live.add(id);
    if (task.state === "queued" && !(task.text && isCheck(item.role)))
      move(step, task, "assigned", `${item.role} to ${session.miner}`);
    else if (isCustomers(task)) {
      out.push({
        kind: "task-changed",
        task: taskId,
        at: now,
        state: task.state,
        what: `${item.role} to ${session.miner}`,
      });
    }
    return { assignment: id, task: taskId, inputs, mode, leaseMs };
  });
  session.messages.set(message, items.length);
  state.roster.refresh(session);
  out.push({ kind: "assign", session: session.id, model: model.key, items });
}

/**
 * Tells idle miners to load what is asked for most and they do not have; a fresh miner loads at least one model. One at a
 * time per miner, within its memory.
 */
export function prepareModels(
  step: Step,
  sessions: Iterable<MinerSession> = step.state.roster.sessions.values(),
): void {
  const { models } = step.state;
  const wanted = [...models.values()].sort((a, b) => demandOf(step, b.key) - demandOf(step, a.key));
  for (const session of sessions) prepareNext(step, session, wanted);
}

/** Bytes that a session's prepared models may fill. */
function memoryOf({ role, device }: MinerSession): number {
  const room = device.memoryBytes * MEMORY_SHARE;
  return role === "validator" ? Math.min(room, limits.validatorMemoryBytes) : room;
}

const demandOf = (step: Step, model: ModelKey): number => step.state.queue.demand.get(model) ?? 0;

function prepareNext(step: Step, session: MinerSession, wanted: readonly CoreModel[]): void {
  if (!session.accepting || session.graceEndsAt !== null || session.standing.suspended) return;
  let used = 0;
  for (const [key, on] of session.models) {
    if (on.state === "preparing") {
      if (step.now - on.since < PREPARE_TIMEOUT_MS) return;
      on.state = "refused";
      on.reason = "not ready in time";
    }
    if (isTooSlow(session, on))
      step.state.roster.forget(session, key); // it shows anew how long it takes
    else if (mayFallBack(session, key, on)) fallBack(step, session, key);
    else if (on.state === "admitted") used += step.state.models.get(key)?.memoryBytes ?? 0;
  }
  const room = memoryOf(session) - used;
  const first = session.models.size === 0;
  const next = wanted.find(
    (model) =>
      !session.models.has(model.key) &&
      model.memoryBytes <= room &&
      (session.role === "miner" || fitsValidator(model)) &&
      (first || session.onWasm.has(model.key) || demandOf(step, model.key) > 0),
  );
  if (!next) return;
  const runtime = session.onWasm.has(next.key) ? ("wasm" as const) : undefined;
  const set = step.state.probes.get(next.key) ?? null;
  session.models.set(next.key, freshModel(step.now, runtime, set));
  const probes = set?.vectors.map(({ inputs }) => inputs);
  const how = { ...(runtime && { runtime }), ...(probes && { probes }) };
  step.out.push({ kind: "prepare", session: session.id, model: next.key, ...how });
}

/** Why a new request for this model cannot be served at all, or null. */
export function whyUnserviceable(step: Step, model: CoreModel): ReturnType<typeof failure> | null {
  const { state } = step;
  if (state.queue.size >= limits.queueMax) {
    return failure("queue-full", `the queue is full (${limits.queueMax} requests)`, { retryAfter: 5 });
  }
  if (mayUseReference(step, model) || state.roster.able(model.key).length > 0) return null;
  for (const session of state.roster.sessions.values()) {
    const on = session.models.get(model.key);
    const mayStill = session.role === "miner" && on?.state !== "refused";
    if (mayStill && !session.standing.suspended && model.memoryBytes <= memoryOf(session)) return null;
  }
  return failure(
    "no-capable-miner",
    `no connected miner can run ${model.key} and the reference node is not available for it`,
    {
      retryAfter: 10,
    },
  );
}
