import type { CustomerId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { AssignmentMode } from "../../shared/protocol.ts";
import type { Tensor } from "../../shared/tensor.ts";
import { tensorsHash } from "../../shared/tensors-hash.ts";
import { compareResults } from "../../shared/tolerance.ts";
import type { CanaryOwed } from "./canary-owed.ts";
import { blame, credit } from "./consequences.ts";
import type { CoreModel, HubEvent, TaskSpec } from "./events.ts";
import { freshQuestion, type KnownAnswer } from "./known-answers.ts";
import type { UncheckedAnswer } from "./retained.ts";
import type { MinerSession, ModelOnMiner } from "./roster.ts";
import { grant } from "./scheduler.ts";
import { freshProgress, move, type OpenTask, type Origin, type Run, type Step, unpaid } from "./state.ts";
import { compareScores } from "./text-evidence.ts";
import { chargeFor, settleIfSigned } from "./verdict.ts";
import { advance } from "./verification.ts";

/**
 * Tasks that the hub makes for itself: rechecks of answers that nobody checked, and canaries. No customer waits for them or
 * pays for them, nothing about them is shown, and a miner cannot tell them from ordinary work.
 */

/**
 * Doubted answers are looked at again, each like any other check: one that still waits for its signature after it, and the
 * makers of one text one after the other.
 */
export function startRechecks(step: Step): void {
  const { doubted, tasks } = step.state;
  for (const unchecked of doubted.splice(0)) {
    const { spec, state } = unchecked.task;
    if (state === "settled" && !tasks.has(spec.task)) recheck(step, unchecked);
    else doubted.push(unchecked);
  }
}

function recheck(step: Step, { task: settled, run }: UncheckedAnswer): void {
  const answer: Run = { ...run, accepted: null, signature: "signed" };
  const task = open(step, { ...settled.spec, price: chargeFor(settled) }, { kind: "recheck", answer });
  task.text = settled.text;
  task.runs.push(answer);
  task.state = "answered";
  advance(step, task);
}

/** Sends known answers to the miners that are owed one, as ordinary work; where none is ready the next is ordered. */
export function grantCanaries(step: Step): void {
  const { state } = step;
  for (const id of state.canarySessions) {
    const session = state.roster.sessions.get(id);
    let isOwed = false;
    for (const [key, on] of session?.models ?? []) {
      const [owed] = on.canariesOwed;
      if (!session || !owed) continue;
      if (!mayShow(on)) {
        isOwed ||= on.state === "preparing";
        continue;
      }
      const model = state.models.get(key) as CoreModel;
      if (mayTake(session)) {
        const known = state.known.take(key, session.owner);
        if (known) {
          on.canariesOwed.shift();
          send(step, session, model, known, owed);
        } else orderKnownAnswer(step, model);
      }
      isOwed ||= on.canariesOwed.length > 0;
    }
    if (!isOwed) state.canarySessions.delete(id);
  }
}

/** Whoever failed the model's known answers has shown what there is to show; whose class is quarantined may show otherwise. */
const mayShow = (on: ModelOnMiner): boolean => on.state === "admitted" || on.quarantined;

/** A suspended owner is still given them: they alone can show that its device is at fault. */
const mayTake = (session: MinerSession): boolean =>
  session.accepting && session.graceEndsAt === null && session.messages.size < session.slots * limits.inFlightPerSlot;

function send(step: Step, session: MinerSession, model: CoreModel, known: KnownAnswer, owed: CanaryOwed): void {
  const spec = { ...specOf(step, model, known.inputs, known.inputHash, known.mode), price: owed.price };
  const task = open(step, spec, { kind: "canary", expected: known, subject: owed.subject });
  grant(step, session, model, [{ task: task.spec.task, role: session.role === "validator" ? "check" : "primary" }]);
  task.waiting = 0;
}

export function judgeCanary(step: Step, task: OpenTask): void {
  const run = task.runs[0] as Run;
  const model = step.state.models.get(task.spec.model) as CoreModel;
  if (task.origin.kind !== "canary") return;
  const { expected } = task.origin;
  const compared =
    expected.mode === "score"
      ? compareScores(model, run.outputs, expected.outputs)
      : compareResults(model.comparator, run.outputs, expected.outputs);
  const { agreement } = compared;
  run.accepted = agreement === "PASS";
  if (agreement === "PASS") credit(step, task, run);
  else if (agreement === "FAIL") blame(step, task, run, model, expected, compared);
  else unpaid(step, task, run, "outside the model's tolerance: not paid, nobody is blamed");
  if (!run.accepted) {
    move(step, task, "failed", "canary");
    step.state.tasks.delete(task.spec.task);
    return;
  }
  move(step, task, "verified", "canary");
  settleIfSigned(step, task);
}

/** At most one at a time, when the reference node has nothing else to do. */
function orderKnownAnswer(step: Step, model: CoreModel): void {
  const { state } = step;
  if (state.referenceInFlight > 0 || model.referenceMs === null) return;
  const fresh = freshQuestion(model, step.rng);
  if (!fresh) return;
  const { inputs, mode } = fresh;
  const task = open(step, specOf(step, model, inputs, tensorsHash(inputs), mode), { kind: "supply" });
  task.state = "checking";
  task.reference = "pending";
  state.referenceInFlight++;
  step.out.push({ kind: "run-reference", task: task.spec.task, model: model.key, inputs, mode });
}

export function supplied(step: Step, task: OpenTask, event: Extract<HubEvent, { kind: "reference.done" }>): void {
  const { inputs, inputHash, model, mode = "run" } = task.spec;
  const { outputs, commitment, runMs: referenceMs } = event;
  step.state.tasks.delete(task.spec.task);
  step.state.known.add({ model, mode, inputs, inputHash, outputs, commitment, referenceMs, givenTo: new Set() });
}

function open(step: Step, spec: TaskSpec, origin: Origin): OpenTask {
  const task: OpenTask = { spec, origin, payer: "pool", ...freshProgress(), replied: true };
  step.state.tasks.set(spec.task, task);
  return task;
}

function specOf(step: Step, model: CoreModel, inputs: Tensor[], inputHash: string, mode: AssignmentMode): TaskSpec {
  const { state, now } = step;
  return {
    task: state.nextHubTask(),
    customer: HUB,
    model: model.key,
    inputs,
    inputHash,
    rows: 1,
    dims: {},
    work: 0n,
    price: 0n,
    level: "fast",
    deadlineAt: now + limits.deadlineDefaultMs,
    mode,
  };
}

const HUB = "hub" as CustomerId;
