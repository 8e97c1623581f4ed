import { failure } from "../../shared/errors.ts";
import { type Agreement, compareResults } from "../../shared/tolerance.ts";
import { drawWanted, otherClassMayRun, referenceShareOf, someoneMayRun } from "./checkers.ts";
import type { CoreModel } from "./events.ts";
import { checksOf, endWithout, enqueue, move, type OpenTask, type Run, recall, type Step } from "./state.ts";
import { isMaker, makersOf, scoreInputs, workOf } from "./text.ts";
import { compareWithScore } from "./text-evidence.ts";
import { cutShort } from "./text-release.ts";
import { accept, refuteAnswer } from "./verdict.ts";

/**
 * From results to a verdict (../shared/policy.md, "Who checks", "Agreement", "Verdicts and overturns").
 *
 * A checker is drawn only after the first result is in, is of another owner and network, and never sees the answer.
 * Runs that agree are accepted. Where they disagree slightly a third run decides; where they disagree beyond what any
 * honest device shows, or a newcomer is involved, the reference node has the last word. A `fast` answer that was not
 * drawn for a check is accepted as it is, and kept for a while so that a later fail of its owner has it rechecked.
 *
 * Of a text the answer is what its makers wrote, and every other run is a score of it: scores agree with the text, not with
 * each other.
 */

/** Where the reference node cannot run a model, this many owners decide, and nobody is blamed. */
const OWNERS_WITHOUT_REFERENCE = 5;

/** A result came in, or a run that was hoped for will not come: take the next step towards the verdict. */
export function advance(step: Step, task: OpenTask): void {
  const model = step.state.models.get(task.spec.model) as CoreModel;
  if (task.text && !isReadyToJudge(step, task, task.text)) return;
  if (task.text && makersOf(task).every((run) => run.by === "reference")) {
    // Nothing to judge but the scores of who followed it: one that does not bear it out is not paid.
    const agreeing = task.runs.filter((run) => isMaker(run) || judgedAll(step, model, task, run) === "PASS");
    return accept(step, task, task.runs[0] as Run, agreeing, []);
  }
  if (task.wanted === 0 && task.runs.length > 0) task.wanted = drawWanted(step, task, model);
  const reference = judgeOf(task);
  const outstanding = task.live.size + task.waiting + (task.reference === "pending" ? 1 : 0);
  if (reference) {
    if (outstanding > 0 && agreementsWith(step, model, task, reference).every((agreement) => agreement === "PASS"))
      return;
    return decideByReference(step, task, model, reference);
  }
  if (outstanding > 0 && executionsOf(task) < task.wanted) return;
  if (executionsOf(task) < task.wanted) return drawChecks(step, task);
  const answer = task.runs[0] as Run;
  const agreements = agreementsWith(step, model, task, answer);
  if (agreements.every((agreement) => agreement === "PASS")) return accept(step, task, answer, task.runs, []);
  if (task.reference === "unavailable") return decideWithoutReference(step, task, model);
  const newcomers = task.runs.some((run) => run.role !== "primary" && run.newcomer);
  const slight = agreements.every((agreement) => agreement !== "FAIL");
  if (slight && !newcomers && executionsOf(task) === task.wanted && mayAskThird(step, task)) {
    return askThird(step, task);
  }
  const largest = slight && !newcomers ? largestAgreeing(step, model, task) : [];
  if (executionsOf(task, largest) >= task.wanted) return accept(step, task, largest[0] as Run, largest, []);
  askReference(step, task, "disagreement");
}

/** All that made a text count as one execution. */
function executionsOf(task: OpenTask, runs: readonly Run[] = task.runs): number {
  const makers = task.text ? runs.filter(isMaker).length : 0;
  return runs.length - Math.max(0, makers - 1);
}

/** The reference node's own run, where it judges: of a text that it wrote itself there is nothing to judge. */
const judgeOf = (task: OpenTask): Run | undefined =>
  task.runs.find((run) => run.by === "reference" && !(task.text && isMaker(run)));

/** A text is judged once it is whole, by a check that followed it to its end. */
function isReadyToJudge(step: Step, task: OpenTask, text: NonNullable<OpenTask["text"]>): boolean {
  if (text.finish === null) return false;
  const { scoring } = text;
  if (!scoring) return true;
  if (scoring.isOut) return false;
  if ((scoring.run.span?.to ?? 0) < text.tokens.length) {
    step.state.scoringDue.add(task.spec.task);
    return false;
  }
  task.runs.push(scoring.run);
  text.scoring = null;
  return true;
}

/** How each other run compares with one run; of a text, each score with what its makers wrote. */
function agreementsWith(step: Step, model: CoreModel, task: OpenTask, one: Run): Agreement[] {
  if (!task.text) return task.runs.filter((run) => run !== one).map((run) => agreement(model, run, one));
  if (!isMaker(one)) return task.runs.filter((run) => run !== one).map((run) => judged(step, model, task, run, one));
  return task.runs.filter((run) => !isMaker(run)).map((score) => judgedAll(step, model, task, score));
}

const agreement = (model: CoreModel, a: Run, b: Run): Agreement =>
  a.commitment === b.commitment ? "PASS" : compareResults(model.comparator, a.outputs, b.outputs).agreement;

const judged = (step: Step, model: CoreModel, task: OpenTask, run: Run, score: Run): Agreement =>
  compareWithScore(step, model, task, run, score).agreement;

/** What one score says of a text as a whole: the worst that it says of any maker. */
function judgedAll(step: Step, model: CoreModel, task: OpenTask, score: Run): Agreement {
  const found = makersOf(task).map((made) => judged(step, model, task, made, score));
  return found.find((one) => one === "FAIL") ?? found.find((one) => one === "GREY") ?? "PASS";
}

function largestAgreeing(step: Step, model: CoreModel, task: OpenTask): Run[] {
  if (task.text) return largestSide(step, model, task);
  let best: Run[] = [];
  for (const one of task.runs) {
    const group = task.runs.filter((run) => run === one || agreement(model, run, one) === "PASS");
    if (group.length > best.length) best = group;
  }
  return best;
}

/** The text with the scores that bear it out, or the scores that do not where they are more. */
function largestSide(step: Step, model: CoreModel, task: OpenTask): Run[] {
  const makers = makersOf(task);
  const scores = task.runs.filter((run) => !isMaker(run));
  const passing = scores.filter((score) => judgedAll(step, model, task, score) === "PASS");
  const failing = scores.filter((score) => !passing.includes(score));
  return failing.length > passing.length + 1 ? failing : [...makers, ...passing];
}

function drawChecks(step: Step, task: OpenTask): void {
  const { state, rng } = step;
  const missing = task.wanted - executionsOf(task);
  const model = state.models.get(task.spec.model) as CoreModel;
  const forReference = task.reference === "unused" && rng.next() < referenceShareOf(step, task);
  const isFree = state.referenceInFlight < state.options.referenceBacklog && model.referenceMs !== null;
  let peers = missing;
  if (forReference && isFree) {
    askReference(step, task, "check");
    peers--;
  }
  for (let i = 0; i < peers; i++) {
    // Another class stands in for a reference node that has no time.
    const crosses = (forReference && !isFree) || rng.next() < checksOf(step, task).crossClassShare;
    const otherClass = crosses && otherClassMayRun(step, task, "check");
    if (!otherClass && !someoneMayRun(step, task, { role: "check", otherClass })) break;
    toChecking(step, task, otherClass ? "check drawn from another device class" : "check drawn");
    enqueue(step, task, "check", true, otherClass);
  }
  const outstanding = task.waiting + task.live.size + (task.reference === "pending" ? 1 : 0);
  if (outstanding === 0) noPeerLeft(step, task);
}

/** Nobody else may run this task: the reference node does, or the verdict is made of what there is. */
export function noPeerLeft(step: Step, task: OpenTask): void {
  if (task.text && task.text.finish === null) return; // a check was to follow the stream: it is drawn at its end
  if (task.reference === "unused") return askReference(step, task, "no other owner to check");
  if (task.reference === "pending" || task.live.size + task.waiting > 0) return;
  const model = step.state.models.get(task.spec.model) as CoreModel;
  const reference = judgeOf(task);
  if (reference) decideByReference(step, task, model, reference);
  else decideWithoutReference(step, task, model);
}

function toChecking(step: Step, task: OpenTask, what: string): void {
  if (task.state !== "checking") move(step, task, "checking", what);
}

const mayAskThird = (step: Step, task: OpenTask): boolean =>
  otherClassMayRun(step, task, "third") || someoneMayRun(step, task, { role: "third", otherClass: false });

function askThird(step: Step, task: OpenTask): void {
  toChecking(step, task, "slight disagreement: third run");
  enqueue(step, task, "third", true, otherClassMayRun(step, task, "third"));
}

/** A text that nobody makes goes on there; one that is whole is scored. */
export function askReference(step: Step, task: OpenTask, why: string): void {
  const { text, spec } = task;
  const model = step.state.models.get(spec.model) as CoreModel;
  if (model.referenceMs === null) {
    task.reference = "unavailable";
    return noReference(step, task, "the reference node cannot run this model in time");
  }
  const isMaking = text !== null && text.finish === null;
  toChecking(step, task, `reference node: ${why}`);
  task.reference = "pending";
  step.state.referenceInFlight++;
  if (isMaking) {
    const isTrusted = text.released === text.tokens.length; // else others wait for their check
    text.maker = { assignment: null, from: text.tokens.length, isTrusted };
  }
  const { mode, inputs } = isMaking
    ? workOf(task, "primary")
    : text
      ? { mode: "score" as const, inputs: scoreInputs(task, 0) }
      : workOf(task, "check");
  step.out.push({ kind: "run-reference", task: spec.task, model: spec.model, inputs, mode });
}

/** The reference node will not answer for this task. */
export function noReference(step: Step, task: OpenTask, reason: string): void {
  const { text } = task;
  const error = failure("execution-failed", `no miner could serve this and ${reason}`);
  if (text && text.finish === null && text.released > 0) {
    cutShort(step, task, text, { reason: "length", delivered: text.released, error });
    return advance(step, task);
  }
  if (task.runs.length === 0 || (text && text.finish === null)) return endWithout(step, task, "failed", error);
  decideWithoutReference(step, task, step.state.models.get(task.spec.model) as CoreModel);
}

/** All agree, or so many owners as there are up to five have been asked and most agree. */
function decideWithoutReference(step: Step, task: OpenTask, model: CoreModel): void {
  const group = largestAgreeing(step, model, task);
  const executions = executionsOf(task);
  const agreeing = executionsOf(task, group);
  const enough = task.wanted === 1 ? 1 : 2;
  const isUnanimous = agreeing === executions && agreeing >= enough;
  if (isUnanimous) return accept(step, task, group[0] as Run, group, []);
  if (task.live.size + task.waiting > 0) return;
  if (executions < OWNERS_WITHOUT_REFERENCE) {
    const otherClass = otherClassMayRun(step, task, "check");
    if (otherClass || someoneMayRun(step, task, { role: "check", otherClass })) {
      toChecking(step, task, "another owner decides");
      return enqueue(step, task, "check", true, otherClass);
    }
  }
  if (agreeing < enough || agreeing <= executions / 2) return giveUp(step, task);
  const isBorneOut = group.includes(task.runs[0] as Run);
  if (isBorneOut || (!task.replied && !task.text)) return accept(step, task, group[0] as Run, group, []);
  refuteAnswer(step, task, group, [], null);
}

function decideByReference(step: Step, task: OpenTask, model: CoreModel, reference: Run): void {
  const others = task.runs.filter((run) => run !== reference);
  const graded = others.map((run) => ({
    run,
    agreement: task.text ? judged(step, model, task, run, reference) : agreement(model, run, reference),
  }));
  const agreeing = graded.filter(({ agreement }) => agreement === "PASS").map(({ run }) => run);
  const refuted = graded.filter(({ agreement }) => agreement === "FAIL").map(({ run }) => run);
  recall(step, task);
  const isRefuted = makersOf(task).some((made) => refuted.includes(made));
  // A score of a text is no answer that could take its place.
  if (isRefuted && (task.replied || task.text)) return refuteAnswer(step, task, agreeing, refuted, reference);
  const answer = task.text ? (makersOf(task)[0] as Run) : (agreeing[0] ?? reference);
  accept(step, task, answer, [...agreeing, reference], refuted, reference);
}

function giveUp(step: Step, task: OpenTask): void {
  const again = !task.replied && !task.text && task.attempts < 3;
  if (!again) {
    return endWithout(
      step,
      task,
      "failed",
      failure("execution-failed", "no two executions agreed and no reference could decide"),
    );
  }
  toChecking(step, task, "no agreement");
  move(step, task, "rejected", "no agreement");
  task.runs = [];
  task.wanted = 0;
  task.reference = "unused";
  task.attempts++;
  move(step, task, "queued", "tried again");
  enqueue(step, task, "primary", true);
}
