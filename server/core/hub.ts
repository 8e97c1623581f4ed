import { failure } from "../../shared/errors.ts";
import type { SessionId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Rng } from "../../shared/random.ts";
import { unreachable } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import { executionPrice } from "./canary-owed.ts";
import { groundOn } from "./checkers.ts";
import { decideCase, QUARANTINED, ruleClass } from "./consequences.ts";
import { deviceClassOf } from "./device-class.ts";
import type { HubEffect, HubEvent } from "./events.ts";
import { grantCanaries, startRechecks } from "./hub-made.ts";
import { mismatchOf } from "./known-answers.ts";
import { dropSession, earnHedge, nextWake, sweep } from "./leases.ts";
import { probeMismatch, renewProbes } from "./probes.ts";
import { failed, referenceDone, referenceFailed, refuse, result, signed, tokens } from "./results.ts";
import { type MinerSession, unseen } from "./roster.ts";
import { prepareModels, schedule, whyUnserviceable } from "./scheduler.ts";
import { endWithout, enqueue, freshProgress, type HubState, type OpenTask, type Step } from "./state.ts";
import { freshText } from "./text.ts";
import { followStreams } from "./text-chunks.ts";
import { referenceTokens, stopText } from "./text-stream.ts";
import { freshStanding, NEWCOMER_PASSES, passesOf } from "./trust.ts";
import { tooSlowFor } from "./validators.ts";
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
  followStreams(current);
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
    case "probes.renewed":
      return renewProbes(step, event);
    case "task.submitted":
      return submit(step, event);
    case "task.cancelled":
      return cancel(step, event);
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
    case "tokens":
      return tokens(step, event);
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
    case "reference.tokens":
      return referenceTokens(step, event);
    case "reference.failed":
      return referenceFailed(step, event);
    case "owner.funds":
      step.state.roster.atRisk.set(event.owner, event.atRisk);
      return step.state.roster.bar(event.owner, event.barred ?? []);
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
    text: spec.text ? freshText() : null,
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
  state.executionPrice.set(spec.model, executionPrice(spec));
  state.queue.demand.set(spec.model, (state.queue.demand.get(spec.model) ?? 0) + 1);
  earnHedge(step);
  enqueue(step, task, "primary", false);
  if (state.roster.able(spec.model).length === 0) prepareModels(step);
}

function paid(step: Step, { owner, amount }: EventOf<"owner.paid">): void {
  const { atRisk } = step.state.roster;
  atRisk.set(owner, (atRisk.get(owner) ?? 0n) + amount);
}

function cancel(step: Step, { task: id, text: taken }: EventOf<"task.cancelled">): void {
  const task = step.state.tasks.get(id);
  if (!task || task.state === "verified" || task.replied) return;
  if (task.text) {
    const all = { delivered: task.text.released, finish: "cancelled" as const };
    return stopText(step, task, task.text, taken ?? all);
  }
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
    seen: unseen(),
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
  to.seen = from.seen;
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
  const mismatch = mismatchOf(model, event.outputs) ?? probeMismatch(model, on.probes, event.outputs);
  const problem = tooSlowFor(session, event) ?? mismatch;
  on.deviceClass = deviceClassOf(event.digest);
  on.runtime = event.runtime ?? on.runtime;
  let ground = groundOn(session, event.model);
  let isQuarantined = step.state.classes.isQuarantined(ground);
  if (on.probes && event.renewed && !problem) {
    const isProven = passesOf(session.standing, ground) >= NEWCOMER_PASSES;
    on.deviceClass = step.state.classes.renewed(ground, on.probes.madeAt, event.renewed, isProven);
    ground = groundOn(session, event.model);
    isQuarantined ||= step.state.classes.isQuarantined(ground);
  }
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
