import { failure, type TabgridError } from "../../shared/errors.ts";
import type { AssignmentId, SessionId, TaskId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { executionsPriced } from "../../shared/pricing.ts";
import type { Rng } from "../../shared/random.ts";
import { unreachable } from "../../shared/result.ts";
import { matchSpecs, type Tensor } from "../../shared/tensor.ts";
import type { Millis } from "../../shared/time.ts";
import { looksBroken } from "./check-policy.ts";
import { groundOn } from "./checkers.ts";
import { decideCase, QUARANTINED, ruleClass } from "./consequences.ts";
import { deviceClassOf } from "./device-class.ts";
import type { HubEffect, HubEvent } from "./events.ts";
import { grantCanaries, judgeCanary, startRechecks, supplied } from "./hub-made.ts";
import { mismatchOf } from "./known-answers.ts";
import { dropSession, earnHedge, giveBack, nextWake, sweep } from "./leases.ts";
import type { Assignment, MinerSession } from "./roster.ts";
import { prepareModels, schedule, whyUnserviceable } from "./scheduler.ts";
import {
  closeAssignment,
  endWithout,
  enqueue,
  freshProgress,
  type HubState,
  move,
  type OpenTask,
  type Run,
  recall,
  type Step,
} from "./state.ts";
import { freshStanding, inGoodStanding } from "./trust.ts";
import { tooSlowFor } from "./validators.ts";
import { advance, noReference, settleIfSigned } from "./verification.ts";
import { advanceWitness } from "./witness.ts";

export interface StepResult {
  effects: HubEffect[];
  /** When a `tick` is wanted if nothing else happens before. */
  wakeAt: Millis | null;
}

/**
 * The hub's one place of control flow: applies the events that arrived together, looks at what time has changed, then
 * hands out work (after all of them, so that requests that came together can share a message). Pure but for the state it
 * is given: the same state, events and seed give the same effects everywhere, so the simulator runs this very code.
 */
export function step(state: HubState, events: readonly HubEvent[], rng: Rng): StepResult {
  const current: Step = { state, now: 0, rng, out: [] };
  for (const event of events) {
    current.now = Math.max(current.now, event.at);
    apply(current, event);
  }
  startRechecks(current);
  sweep(current);
  schedule(current, rng);
  grantCanaries(current);
  return { effects: current.out, wakeAt: nextWake(current) };
}

function apply(step: Step, event: HubEvent): void {
  switch (event.kind) {
    case "tick":
      return;
    case "model.published":
      step.state.models.set(event.model.key, event.model);
      return;
    case "task.submitted":
      return submit(step, event);
    case "task.cancelled":
      return cancel(step, event.task);
    case "miner.joined":
      return join(step, event);
    case "miner.status":
      return status(step, event);
    case "miner.lost":
      return lose(step, event.session);
    case "miner.prepared":
      return prepared(step, event);
    case "miner.prepare-failed":
      return prepareFailed(step, event);
    case "result":
      return result(step, event);
    case "assignments.failed":
      return failed(step, event);
    case "chain.signed":
      return signed(step, event.session, event.seq);
    case "witness.nonce":
    case "witness.signed":
    case "witness.attested":
      return advanceWitness(step, event);
    case "reference.done":
      return referenceDone(step, event);
    case "reference.failed":
      return referenceFailed(step, event);
    case "owner.funds":
      step.state.roster.atRisk.set(event.owner, event.atRisk);
      return;
    case "owner.paid":
      return paid(step, event);
    case "case.decided":
      return decideCase(step, event);
    case "class.ruled":
      return ruleClass(step, event);
    default:
      return unreachable(event);
  }
}

type EventOf<Kind extends HubEvent["kind"]> = Extract<HubEvent, { kind: Kind }>;

function submit(step: Step, { spec }: EventOf<"task.submitted">): void {
  const { state, now } = step;
  const model = state.models.get(spec.model);
  const task: OpenTask = {
    spec,
    origin: { kind: "customer" },
    payer: "customer",
    ...freshProgress(),
  };
  state.tasks.set(spec.task, task);
  step.out.push({ kind: "task-changed", task: spec.task, at: now, state: "queued", what: "accepted" });
  if (!model) return endWithout(step, task, "failed", failure("unknown-model", `no model ${spec.model}`));
  if (spec.deadlineAt <= now)
    return endWithout(
      step,
      task,
      "expired",
      failure("deadline-missed", "the deadline passed before the hub could start"),
    );
  const refusal = whyUnserviceable(step, model);
  if (refusal) return endWithout(step, task, "failed", refusal);
  state.prices.add(spec.price);
  state.executionPrice.set(spec.model, spec.price / BigInt(executionsPriced(spec.level)));
  state.queue.demand.set(spec.model, (state.queue.demand.get(spec.model) ?? 0) + 1);
  earnHedge(step);
  enqueue(step, task, "primary", false);
  if (state.roster.able(spec.model).length === 0) prepareModels(step);
}

function paid(step: Step, { owner, amount }: EventOf<"owner.paid">): void {
  const { atRisk } = step.state.roster;
  atRisk.set(owner, (atRisk.get(owner) ?? 0n) + amount);
}

function cancel(step: Step, id: TaskId): void {
  const task = step.state.tasks.get(id);
  if (!task || task.state === "verified" || task.replied) return;
  endWithout(step, task, "cancelled", failure("cancelled", "cancelled by the caller"));
}

function join(step: Step, event: EventOf<"miner.joined">): void {
  const { state, now, out } = step;
  const { roster } = state;
  const standing = roster.standings.get(event.owner) ?? event.standing ?? freshStanding(event.owner, now);
  roster.standings.set(event.owner, standing);
  const session: MinerSession = {
    id: event.session,
    miner: event.miner,
    owner: event.owner,
    network: event.network,
    role: event.role ?? "miner",
    device: event.device,
    standing,
    slots: event.slots,
    // Work comes with the first status: only then is it known which models are loaded.
    accepting: false,
    reason: "connecting",
    joinedAt: now,
    graceEndsAt: null,
    models: new Map(),
    onWasm: new Set(),
    assignments: new Map(),
    messages: new Map(),
    lastResultAt: now,
    accepted: 0,
    refuted: 0,
    witnessDueAt: null,
  };
  const earlier = roster.byMiner.get(event.miner);
  if (earlier) takeOver(step, roster.sessions.get(earlier) as MinerSession, session);
  roster.add(session);
  out.push({ kind: "kept", session: session.id, assignments: [...session.assignments.keys()] });
}

/**
 * The same miner came back (or opened a second connection): its leases and loaded models move to the new session. In
 * another role other work and other models are its own: it starts afresh.
 */
function takeOver(step: Step, from: MinerSession, to: MinerSession): void {
  const { roster } = step.state;
  if (from.graceEndsAt === null) {
    const error = failure("replaced", "the same identity connected again");
    step.out.push({ kind: "disconnect", session: from.id, error });
  }
  if (from.role !== to.role) return dropSession(step, from);
  for (const assignment of from.assignments.values()) assignment.session = to.id;
  to.assignments = from.assignments;
  to.messages = from.messages;
  to.accepted = from.accepted;
  to.refuted = from.refuted;
  to.onWasm = from.onWasm;
  to.witnessDueAt = from.witnessDueAt;
  if (JSON.stringify(from.device) === JSON.stringify(to.device)) {
    for (const [key, on] of from.models) if (on.state !== "preparing") to.models.set(key, on);
    if (step.state.canarySessions.delete(from.id)) step.state.canarySessions.add(to.id);
  }
  from.assignments = new Map();
  from.messages = new Map();
  roster.remove(from);
}

function status(step: Step, event: EventOf<"miner.status">): void {
  const session = step.state.roster.sessions.get(event.session);
  if (!session) return;
  const resident = new Set(event.resident);
  for (const [key, on] of session.models) {
    if (on.state === "admitted" && !resident.has(key)) step.state.roster.forget(session, key);
  }
  session.accepting = event.accepting;
  session.slots = event.slots;
  session.reason = event.reason;
  step.state.roster.refresh(session);
  if (event.accepting) prepareModels(step, [session]);
}

/** A dropped connection keeps its work for min(3 s, half the slack of its tightest task). */
function lose(step: Step, id: SessionId): void {
  const { state, now } = step;
  const session = state.roster.sessions.get(id);
  if (!session || session.graceEndsAt !== null) return;
  let grace: number = limits.disconnectGraceMs;
  for (const assignment of session.assignments.values()) {
    const task = state.tasks.get(assignment.task);
    if (task && !task.replied) grace = Math.min(grace, Math.max(0, (task.spec.deadlineAt - now) / 2));
  }
  session.graceEndsAt = now + grace;
  state.roster.refresh(session);
  if (grace === 0) dropSession(step, session);
}

function prepared(step: Step, event: EventOf<"miner.prepared">): void {
  const session = step.state.roster.sessions.get(event.session);
  const model = step.state.models.get(event.model);
  const on = session?.models.get(event.model);
  if (!session || !model || on?.state !== "preparing") return;
  const mismatch = mismatchOf(model, event.outputs);
  const problem = tooSlowFor(session, event) ?? mismatch;
  on.deviceClass = deviceClassOf(event.digest);
  on.runtime = event.runtime ?? on.runtime;
  const ground = groundOn(session, event.model);
  const isQuarantined = step.state.classes.isQuarantined(ground);
  on.quarantined = problem === null && isQuarantined;
  on.state = problem || on.quarantined ? "refused" : "admitted";
  on.reason = problem?.message ?? (on.quarantined ? QUARANTINED : null);
  const outcome = mismatch ? "refused" : isQuarantined ? "quarantined" : "admitted";
  step.out.push({ kind: "known-answers", ground, at: step.now, outcome });
  on.serviceMs = Math.max(event.runMs, 0.1);
  step.state.roster.refresh(session);
  if (problem) refuse(step, session.id, "prepared", null, problem);
  prepareModels(step, [session]);
}

function prepareFailed(step: Step, event: EventOf<"miner.prepare-failed">): void {
  const session = step.state.roster.sessions.get(event.session);
  const on = session?.models.get(event.model);
  if (!session || on?.state !== "preparing") return;
  if (event.fault === "paused" || event.fault === "device-lost") step.state.roster.forget(session, event.model);
  else {
    on.state = "refused";
    on.reason = `${event.fault}: ${event.message}`;
  }
  prepareModels(step, [session]);
}

function refuse(
  step: Step,
  session: SessionId,
  event: string,
  assignment: AssignmentId | null,
  error: TabgridError,
): void {
  step.out.push({ kind: "refuse", session, event, assignment, error });
}

/** The lease that a result names, if this session holds it. */
function heldBy(step: Step, session: SessionId, id: AssignmentId): Assignment | TabgridError {
  const assignment = step.state.assignments.get(id);
  if (assignment) {
    if (assignment.session === session) return assignment;
    return failure("not-your-assignment", `${id} is another miner's`, { field: "assignment" });
  }
  const closed = step.state.closed.get(id);
  if (!closed) return failure("unknown-assignment", `no assignment ${id}`, { field: "assignment" });
  if (closed.answered && closed.session === session) {
    return failure("duplicate-result", `${id} has its result already`, { field: "assignment", expected: "one result" });
  }
  return failure("assignment-closed", `${id} has ended`, { field: "assignment" });
}

function result(step: Step, event: EventOf<"result">): void {
  const { state, now } = step;
  const held = heldBy(step, event.session, event.assignment);
  if ("code" in held) return refuse(step, event.session, "result", event.assignment, held);
  const session = state.roster.sessions.get(event.session) as MinerSession;
  const task = state.tasks.get(held.task) as OpenTask;
  const problem = outputProblem(step, task, event.outputs);
  if (problem) return refuse(step, event.session, "result", event.assignment, problem);
  observeService(session, held, now);
  closeAssignment(step, held, true);
  const run: Run = {
    by: session.owner,
    miner: session.miner,
    network: session.network,
    runtime: groundOn(session, task.spec.model).runtime,
    deviceClass: held.deviceClass,
    assignment: held.id,
    role: held.role,
    outputs: event.outputs,
    commitment: event.commitment,
    signature: "awaited",
    newcomer: held.newcomer,
    suspect: looksWrong(session, task, event),
    computeMs: event.computeMs,
    accepted: null,
  };
  task.runs.push(run);
  const unsigned = state.unsigned.get(session.id) ?? [];
  state.unsigned.set(session.id, unsigned);
  unsigned.push({ seq: event.seq, task: task.spec.task, run, at: now });
  if (task.state === "assigned") {
    move(step, task, "answered", `result of ${session.miner}`);
    recall(step, task); // of a straggler and its hedge the first result counts
  }
  if (task.origin.kind === "canary") return judgeCanary(step, task);
  const isFirst = task.runs.length === 1;
  if (isFirst && task.spec.level === "fast" && !task.replied && inGoodStanding(session.standing)) {
    task.replied = true;
    const outcome = { ok: true as const, outputs: run.outputs, basis: "pending" as const, executors: 1 };
    step.out.push({ kind: "reply", outcome: { task: task.spec.task, result: outcome } });
  }
  advance(step, task);
}

/** Broken on its face, or given by this device to another question before. */
function looksWrong(session: MinerSession, task: OpenTask, event: EventOf<"result">): boolean {
  const repeats = session.models.get(task.spec.model)?.recent.repeats(event.commitment, task.spec.inputHash);
  return repeats === true || (task.spec.level === "fast" && looksBroken(event.outputs));
}

/** Names, dtypes and shapes as the model says, free dimensions as in the request, finite where the model is. */
function outputProblem(step: Step, task: OpenTask, outputs: Tensor[]): TabgridError | null {
  const model = step.state.models.get(task.spec.model);
  if (!model) return failure("unknown-model", `no model ${task.spec.model}`);
  const matched = matchSpecs(outputs, model.outputs, "outputs");
  if (!matched.ok) return { ...matched.error, code: "wrong-outputs" };
  for (const [name, size] of matched.dims) {
    const asked = task.spec.dims[name];
    if (asked !== undefined && asked !== size) {
      return failure("wrong-outputs", `outputs: dimension ${name} is ${size}, the request has ${asked}`, {
        field: "outputs",
        expected: String(asked),
        got: String(size),
      });
    }
  }
  return null;
}

const SERVICE_WEIGHT = 0.2;

/** What the hub saw, not what the miner says: the time from the later of grant and last result. */
function observeService(session: MinerSession, assignment: Assignment, now: Millis): void {
  const on = session.models.get(assignment.model);
  const seen = now - Math.max(assignment.grantedAt, session.lastResultAt);
  if (on) on.serviceMs += SERVICE_WEIGHT * (seen - on.serviceMs);
  session.lastResultAt = now;
}

function failed(step: Step, event: EventOf<"assignments.failed">): void {
  const session = step.state.roster.sessions.get(event.session);
  if (!session) return;
  for (const id of event.assignments) {
    const held = heldBy(step, event.session, id);
    if ("code" in held) {
      refuse(step, event.session, "failed", id, held);
      continue;
    }
    // A lost device or failed load has lost its models: they are prepared, and proven, again.
    if (event.fault !== "paused" && event.fault !== "invalid-input") step.state.roster.forget(session, held.model);
    giveBack(step, held, `${event.fault}: ${event.message}`);
  }
  step.state.roster.refresh(session);
}

function signed(step: Step, session: SessionId, seq: number): void {
  const results = step.state.unsigned.get(session);
  if (!results) return;
  const covered: TaskId[] = [];
  while (results[0] && results[0].seq <= seq) {
    const entry = results.shift() as (typeof results)[number];
    entry.run.signature = "signed";
    covered.push(entry.task);
  }
  if (results.length === 0) step.state.unsigned.delete(session);
  for (const id of covered) {
    const task = step.state.tasks.get(id);
    if (task) settleIfSigned(step, task);
  }
}

function referenceDone(step: Step, event: EventOf<"reference.done">): void {
  step.state.referenceInFlight--;
  const task = step.state.tasks.get(event.task);
  if (task?.reference !== "pending") return;
  task.reference = "done";
  if (task.origin.kind === "supply") return supplied(step, task, event);
  task.runs.push({
    by: "reference",
    miner: null,
    network: null,
    runtime: "reference",
    deviceClass: "reference",
    assignment: null,
    role: task.runs.length === 0 ? "primary" : "check",
    outputs: event.outputs,
    commitment: event.commitment,
    signature: "signed",
    newcomer: false,
    suspect: false,
    computeMs: event.runMs,
    accepted: null,
  });
  advance(step, task);
}

function referenceFailed(step: Step, event: EventOf<"reference.failed">): void {
  step.state.referenceInFlight--;
  const task = step.state.tasks.get(event.task);
  if (task?.reference !== "pending") return;
  task.reference = "unavailable";
  if (task.origin.kind === "supply") step.state.tasks.delete(task.spec.task);
  else noReference(step, task, event.reason);
}
