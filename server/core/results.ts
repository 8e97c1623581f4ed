import { failure, type TabgridError } from "../../shared/errors.ts";
import type { AssignmentId, SessionId } from "../../shared/ids.ts";
import { matchSpecs, type Tensor } from "../../shared/tensor.ts";
import { textTensors, tokensIn } from "../../shared/text-generation.ts";
import type { Millis } from "../../shared/time.ts";
import { looksBroken } from "./check-policy.ts";
import { groundOn } from "./checkers.ts";
import type { HubEvent } from "./events.ts";
import { judgeCanary, supplied } from "./hub-made.ts";
import { giveBack } from "./leases.ts";
import type { Assignment, MinerSession } from "./roster.ts";
import { closeAssignment, move, type OpenTask, type Run, recall, type Step } from "./state.ts";
import { referenceScored, scored, scoreProblem, scoreRun } from "./text-chunks.ts";
import { generationDone, generationProblem, madeByReference, tokensArrived } from "./text-stream.ts";
import { inGoodStanding } from "./trust.ts";
import { settleIfSigned } from "./verdict.ts";
import { advance, noReference } from "./verification.ts";

/** What miners and the reference node return: results, tokens, work given back, signatures. */

type EventOf<Kind extends HubEvent["kind"]> = Extract<HubEvent, { kind: Kind }>;

export function refuse(
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

export function result(step: Step, event: EventOf<"result">): void {
  const { state, now } = step;
  const held = heldBy(step, event.session, event.assignment);
  if ("code" in held) return refuse(step, event.session, "result", event.assignment, held);
  const session = state.roster.sessions.get(event.session) as MinerSession;
  const task = state.tasks.get(held.task) as OpenTask;
  const problem = outputProblem(step, task, held, event.outputs);
  if (problem) return refuse(step, event.session, "result", event.assignment, problem);
  if (held.mode !== "generate") observeService(session, held, now);
  closeAssignment(step, held, true);
  const own: Run = {
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
  const { text } = task;
  const run = text && held.mode === "score" ? scoreRun(text, own, held) : own;
  const unsigned = state.unsigned.get(session.id) ?? [];
  state.unsigned.set(session.id, unsigned);
  unsigned.push({ seq: event.seq, task: task.spec.task, run, at: now });
  if (text && held.mode === "score") return scored(step, task, text, run, session.id);
  if (text) return generationDone(step, task, text, run);
  task.runs.push(run);
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

export function tokens(step: Step, event: EventOf<"tokens">): void {
  const held = heldBy(step, event.session, event.assignment);
  const problem = "code" in held ? held : tokensArrived(step, held, event);
  if (problem) refuse(step, event.session, "tokens", event.assignment, problem);
}

/** Broken on its face, or given by this device to another question before. */
function looksWrong(session: MinerSession, task: OpenTask, event: EventOf<"result">): boolean {
  const repeats = session.models.get(task.spec.model)?.recent.repeats(event.commitment, task.spec.inputHash);
  return repeats === true || (task.spec.level === "fast" && looksBroken(event.outputs));
}

function outputProblem(step: Step, task: OpenTask, held: Assignment, outputs: Tensor[]): TabgridError | null {
  const { text, spec } = task;
  if (text && held.mode === "generate") return generationProblem(task, text, outputs);
  if (held.mode !== "score") return tensorProblem(step, task, outputs);
  const count = held.span ? held.span.to - held.span.from : tokensIn(spec.inputs, textTensors.tokens).length;
  return scoreProblem(count, spec.text?.topLogProbabilities ?? 0, outputs);
}

/** Names, dtypes and shapes as the model says, free dimensions as in the request, finite where the model is. */
function tensorProblem(step: Step, task: OpenTask, outputs: Tensor[]): TabgridError | null {
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

export function failed(step: Step, event: EventOf<"assignments.failed">): void {
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

export function signed(step: Step, session: SessionId, seq: number): void {
  const results = step.state.unsigned.get(session);
  if (!results) return;
  const covered: OpenTask["spec"]["task"][] = [];
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

export function referenceDone(step: Step, event: EventOf<"reference.done">): void {
  step.state.referenceInFlight--;
  const task = step.state.tasks.get(event.task);
  if (task?.reference !== "pending") return;
  const { text } = task;
  const { outputs, commitment, runMs } = event;
  if (text && text.finish === null && text.maker?.assignment === null) {
    task.reference = "unused"; // of what others wrote it may still be the judge
    const span = { from: text.maker.from, to: text.tokens.length };
    return generationDone(step, task, text, { ...madeByReference(text, span, runMs), outputs });
  }
  if (text) return referenceScored(step, task, text, outputs, commitment, runMs);
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
    outputs,
    commitment,
    signature: "signed",
    newcomer: false,
    suspect: false,
    computeMs: runMs,
    accepted: null,
  });
  advance(step, task);
}

export function referenceFailed(step: Step, event: EventOf<"reference.failed">): void {
  step.state.referenceInFlight--;
  const task = step.state.tasks.get(event.task);
  if (task?.reference !== "pending") return;
  task.reference = "unavailable";
  const { text } = task;
  if (task.origin.kind === "supply") step.state.tasks.delete(task.spec.task);
  else if (text?.scoring?.session === null && text.finish === null)
    text.scoring = null; // drawn anew at its end
  else noReference(step, task, event.reason);
}
