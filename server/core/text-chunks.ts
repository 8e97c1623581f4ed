import { failure, type TabgridError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { concatRows, type Tensor } from "../../shared/tensor.ts";
import { compareText } from "../../shared/text-agreement.ts";
import { textTensors } from "../../shared/text-generation.ts";
import { referenceShareOf, someoneMayRun } from "./checkers.ts";
import type { CoreModel } from "./events.ts";
import type { Assignment, MinerSession } from "./roster.ts";
import { grant } from "./scheduler.ts";
import { enqueue, type OpenTask, type Run, type Step } from "./state.ts";
import { CHUNK, floatsIn, scoreInputs, type TextProgress, termsOf, textOutputsProblem } from "./text.ts";
import { evidenceOf, textToleranceOf } from "./text-evidence.ts";
import { release } from "./text-release.ts";
import { advance } from "./verification.ts";

/**
 * A check that follows a stream (../shared/policy.md, "How often"): of a `verified` text the caller is given what is checked,
 * chunk after chunk. The checker is drawn when the first chunk is in, unknown to whoever makes the text, and scores each
 * further chunk from the cache that it has.
 */

/** Hands the next part to each checker that has none, and draws a checker for streams that have none. */
export function followStreams(step: Step): void {
  const { state } = step;
  for (const id of state.scoringDue) {
    const task = state.tasks.get(id);
    const text = task?.text;
    const isDone = !task || !text || text.scoring?.isOut || followOne(step, task, text);
    if (isDone) state.scoringDue.delete(id);
  }
}

/** False where its checker has no room now. */
function followOne(step: Step, task: OpenTask, text: TextProgress): boolean {
  const { scoring } = text;
  if (!scoring) {
    drawFollower(step, task, text);
    return true;
  }
  const scored = scoring.run.span?.to ?? 0;
  if (text.tokens.length === scored) return true;
  if (scoring.session === null) {
    askToScore(step, task, text, scored);
    return true;
  }
  const session = step.state.roster.sessions.get(scoring.session);
  if (!session || !isAble(session, task)) {
    scorerLeft(step, task, text);
    return true;
  }
  if (session.messages.size >= session.slots * limits.inFlightPerSlot) return false;
  const model = step.state.models.get(task.spec.model) as CoreModel;
  grant(step, session, model, [{ task: task.spec.task, role: "check", from: scored }]);
  task.waiting++; // it never waited in the queue
  scoring.isOut = true;
  return true;
}

const isAble = (session: MinerSession, { spec }: OpenTask): boolean =>
  session.accepting &&
  session.graceEndsAt === null &&
  !session.standing.suspended &&
  session.models.get(spec.model)?.state === "admitted";

/** A peer, or the reference node for its share and where there is no peer. */
function drawFollower(step: Step, task: OpenTask, text: TextProgress): void {
  if (text.finish !== null || task.waiting > 0) return;
  const { state, rng } = step;
  const model = state.models.get(task.spec.model) as CoreModel;
  const peers = someoneMayRun(step, task, { role: "check", otherClass: false });
  const isFree =
    model.referenceMs !== null &&
    task.reference === "unused" &&
    state.referenceInFlight < state.options.referenceBacklog;
  if (isFree && (!peers || rng.next() < referenceShareOf(step, task))) return askToScore(step, task, text, 0);
  const isOut = [...task.live].some((id) => state.assignments.get(id)?.mode === "score");
  if (peers && !isOut) enqueue(step, task, "check", true);
}

function askToScore(step: Step, task: OpenTask, text: TextProgress, from: number): void {
  const { spec } = task;
  task.reference = "pending";
  step.state.referenceInFlight++;
  const span = { from, to: text.tokens.length };
  text.scoring = { run: text.scoring?.run ?? referenceScore(), session: null, isOut: true, asked: span };
  const inputs = scoreInputs(task, from);
  step.out.push({ kind: "run-reference", task: spec.task, model: spec.model, inputs, mode: "score" });
}

const referenceScore = (): Run => ({
  by: "reference",
  miner: null,
  network: null,
  runtime: "reference",
  deviceClass: "reference",
  assignment: null,
  role: "check",
  outputs: [],
  commitment: "",
  signature: "signed",
  newcomer: false,
  suspect: false,
  computeMs: 0,
  accepted: null,
  span: { from: 0, to: 0 },
});

/** Why these are no scores of so many tokens, or null. */
export function scoreProblem(count: number, top: number, outputs: readonly Tensor[]): TabgridError | null {
  const shape = textOutputsProblem("score", count, top, outputs);
  if (shape) return shape;
  const odd = floatsIn(outputs, textTensors.logProbabilities).find((value) => !Number.isFinite(value));
  if (odd === undefined) return null;
  return failure("wrong-outputs", "log_probabilities: not a finite number", { field: "outputs", got: String(odd) });
}

/** The run that scores of a part belong to: their own, or that of the parts before. */
export function scoreRun(text: TextProgress, run: Run, held: Pick<Assignment, "span" | "session">): Run {
  run.span = { ...(held.span ?? { from: 0, to: 0 }) };
  const { scoring } = text;
  if (run.span.from === 0 || !scoring || scoring.session !== held.session) return run;
  return extend(scoring.run, run);
}

function extend(before: Run, part: Run): Run {
  before.outputs = before.outputs.length === 0 ? part.outputs : concatRows(before.outputs, part.outputs);
  before.span = { from: 0, to: part.span?.to ?? 0 };
  before.assignment = part.assignment;
  before.commitment = part.commitment;
  before.signature = part.signature;
  before.computeMs += part.computeMs;
  return before;
}

/** Scores came in: of all of a text that is whole, or of what there was of it. */
export function scored(
  step: Step,
  task: OpenTask,
  text: TextProgress,
  run: Run,
  session: Assignment["session"] | null,
): void {
  const to = run.span?.to ?? 0;
  if (text.finish !== null && to >= text.tokens.length) {
    text.scoring = null;
    if (run.by === "reference") task.reference = "done";
    task.runs.push(run);
    return advance(step, task);
  }
  text.scoring = { run, session, isOut: false };
  if (run.by === "reference") task.reference = "unused";
  if (task.spec.level === "verified" && bearsOut(step, task, text, run)) release(step, task, text, to);
  if (text.finish !== null || text.tokens.length - to >= CHUNK) step.state.scoringDue.add(task.spec.task);
}

/** The reference node's scores of a part. */
export function referenceScored(
  step: Step,
  task: OpenTask,
  text: TextProgress,
  outputs: Tensor[],
  commitment: string,
  runMs: number,
): void {
  const { scoring } = text;
  const part: Run = { ...referenceScore(), outputs, commitment, computeMs: runMs };
  part.span = { ...(scoring?.asked ?? { from: 0, to: text.tokens.length }) };
  if (scoreProblem(part.span.to - part.span.from, termsOf(task).topLogProbabilities, outputs)) return; // of a question before
  scored(step, task, text, scoring && part.span.from > 0 ? extend(scoring.run, part) : part, null);
}

/** Nothing that these scores say refutes the text by itself; with its maker's earlier ones it is judged at its end. */
function bearsOut(step: Step, task: OpenTask, text: TextProgress, score: Run): boolean {
  const model = step.state.models.get(task.spec.model) as CoreModel;
  const evidence = evidenceOf(model, text, { ...score }, score);
  return compareText(textToleranceOf(model), evidence).agreement !== "FAIL";
}

/** Its checker is gone: another one begins anew. */
export function scorerLeft(step: Step, task: OpenTask, text: TextProgress): void {
  text.scoring = null;
  if (text.finish === null) step.state.scoringDue.add(task.spec.task);
  else advance(step, task);
}
