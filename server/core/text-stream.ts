import { failure, type TabgridError } from "../../shared/errors.ts";
import type { Tensor } from "../../shared/tensor.ts";
import { tensorsHash } from "../../shared/tensors-hash.ts";
import { textTensors, tokensIn } from "../../shared/text-generation.ts";
import { groundOn } from "./checkers.ts";
import type { HubEvent } from "./events.ts";
import type { Assignment, MinerSession } from "./roster.ts";
import { closeAssignment, endWithout, enqueue, move, type OpenTask, type Run, recall, type Step } from "./state.ts";
import {
  append,
  CHUNK,
  endOf,
  enoughOf,
  floatsIn,
  makersOf,
  outputsOf,
  STREAM_LEASE_MS,
  type TextProgress,
  termsOf,
  textOutputsProblem,
  tokensProblem,
  topIn,
  truncate,
} from "./text.ts";
import { cutShort, finish, release, replyText } from "./text-release.ts";
import { advance } from "./verification.ts";

/**
 * A text while it is made: tokens that come, makers that leave, callers that have enough. Of two makers the second begins
 * after the first one's tokens, and the caller sees one stream.
 */

/** Makers that may leave one text before it is given up. */
const CONTINUATIONS = 2;

type EventOf<Kind extends HubEvent["kind"]> = Extract<HubEvent, { kind: Kind }>;

/**
 * Tokens of a running generation. After a dropped connection they are told again from the first: what is known already must
 * be the same. Returns why they are refused, or null.
 */
export function tokensArrived(step: Step, held: Assignment, event: EventOf<"tokens">): TabgridError | null {
  const task = step.state.tasks.get(held.task);
  const text = task?.text;
  if (!task || !text || held.mode !== "generate" || text.maker?.assignment !== held.id) {
    return failure("assignment-closed", `${held.id} is no generation under way`, { field: "assignment" });
  }
  const { maker } = text;
  const known = text.tokens.length - maker.from;
  if (event.position > known) {
    const detail = { field: "position", expected: `at most ${known}`, got: String(event.position) };
    return failure("out-of-sequence", "tokens come without gaps", detail);
  }
  if (!repeats(text, maker.from + event.position, event.tokens, event.logProbabilities)) {
    return failure("wrong-outputs", "these are not the tokens that were streamed before", { field: "tokens" });
  }
  const fresh = Math.max(0, known - event.position);
  const tokens = event.tokens.subarray(fresh);
  const logProbabilities = event.logProbabilities.subarray(fresh);
  const problem = ended(task, text) ?? tokensProblem(termsOf(task), text.tokens.length, tokens, logProbabilities);
  if (problem) return problem;
  held.leaseEndsAt = step.now + held.leaseMs;
  append(text, tokens, logProbabilities);
  received(step, task, text);
  return null;
}

const ended = (task: OpenTask, { tokens }: TextProgress): TabgridError | null =>
  endOf(termsOf(task), tokens) === null ? null : failure("wrong-outputs", "the text has ended", { field: "tokens" });

/** Whether tokens from there on are what is known already, as far as anything is. */
function repeats(text: TextProgress, from: number, tokens: Int32Array, logProbabilities: Float32Array): boolean {
  for (let at = from; at < Math.min(text.tokens.length, from + tokens.length); at++) {
    if (text.tokens[at] !== tokens[at - from] || text.logProbabilities[at] !== logProbabilities[at - from])
      return false;
  }
  return true;
}

/** More of it is there. */
function received(step: Step, task: OpenTask, text: TextProgress): void {
  text.aliveUntil = step.now + STREAM_LEASE_MS;
  if (endWhereEnough(step, task, text)) return;
  if (text.maker?.isTrusted) release(step, task, text, text.tokens.length);
  const checked = text.scoring?.run.span?.to ?? 0;
  if (task.spec.level === "verified" && text.tokens.length - checked >= CHUNK)
    step.state.scoringDue.add(task.spec.task);
}

/**
 * Ends a text at the token after which its caller has enough, however far its maker is by then: what comes behind is nobody's
 * and costs nothing. Where each token needs its alternatives, once these are there.
 */
function endWhereEnough(step: Step, task: OpenTask, text: TextProgress): boolean {
  if (text.top.length < text.tokens.length && termsOf(task).topLogProbabilities > 0) return false;
  const enough = enoughOf(task, text);
  if (enough === null) return false;
  const isTrusted = text.maker?.isTrusted === true;
  sendMakerAway(step, task, text);
  cutShort(step, task, text, { reason: "stop", delivered: enough, error: null });
  if (isTrusted) replyText(step, task, text, "pending");
  advance(step, task);
  return true;
}

/** Why a result of `generate` is no text, or null. */
export function generationProblem(task: OpenTask, text: TextProgress, outputs: readonly Tensor[]): TabgridError | null {
  const terms = termsOf(task);
  const shape = textOutputsProblem("generate", null, terms.topLogProbabilities, outputs);
  if (shape) return shape;
  const tokens = tokensIn(outputs, textTensors.tokens);
  const known = text.maker?.from ?? 0;
  const problem = tokensProblem(terms, known, tokens, floatsIn(outputs, textTensors.logProbabilities));
  if (problem) return problem;
  if (terms.endsByGrammar && known + tokens.length > 0) return null;
  if (endOf(terms, [...tokens]) === "stop" || known + tokens.length >= terms.maxTokens) return null;
  const expected = `a stop token, or ${terms.maxTokens - known} tokens`;
  return failure("wrong-outputs", "tokens: the text is not finished", {
    field: "outputs",
    expected,
    got: `${tokens.length} tokens`,
  });
}

/** The maker's whole part is in. What it had streamed is with the caller already: another result refutes itself. */
export function generationDone(step: Step, task: OpenTask, text: TextProgress, run: Run): void {
  const from = text.maker?.from ?? 0;
  const tokens = tokensIn(run.outputs, textTensors.tokens);
  const values = floatsIn(run.outputs, textTensors.logProbabilities);
  const isOther = text.tokens.length - from > tokens.length || !repeats(text, from, tokens, values);
  if (isOther) run.contradicts = true;
  const streamed = text.tokens.length - from;
  if (run.contradicts) run.suspect = true;
  else append(text, tokens.subarray(streamed), values.subarray(streamed));
  text.top.length = from;
  text.top.push(...topIn(run.outputs, termsOf(task).topLogProbabilities));
  run.span = { from, to: text.tokens.length };
  task.runs.push(run);
  const isTrusted = text.maker?.isTrusted === true;
  const enough = enoughOf(task, text);
  if (enough !== null) {
    recallAll(step, task, text);
    cutShort(step, task, text, { reason: "stop", delivered: enough, error: null });
  } else
    finish(step, task, text, endOf(termsOf(task), text.tokens) ?? (termsOf(task).endsByGrammar ? "stop" : "length"));
  const isReferences = makersOf(task).every(({ by }) => by === "reference");
  if (isTrusted) replyText(step, task, text, isReferences ? "reference" : "pending");
  advance(step, task);
}

/** A piece from the reference node: nobody needs to check it. */
export function referenceTokens(step: Step, { task: id, outputs }: EventOf<"reference.tokens">): void {
  const task = step.state.tasks.get(id);
  const text = task?.text;
  if (!task || !text || task.reference !== "pending" || text.maker?.assignment !== null) return;
  const tokens = tokensIn(outputs, textTensors.tokens);
  const top = topIn(outputs, termsOf(task).topLogProbabilities);
  append(text, tokens, floatsIn(outputs, textTensors.logProbabilities), top);
  received(step, task, text);
}

/**
 * Its maker will not go on. What it streamed is its own, authentic by the key of its session, and another goes on after it;
 * without a token, or where each token needs its alternatives, the work simply comes back, and where all of it was streamed the
 * text ends.
 */
export function makerLeft(
  step: Step,
  task: OpenTask,
  text: TextProgress,
  held: Assignment,
  session: MinerSession | undefined,
  why: { reason: string; isPreempted?: boolean },
): "continued" | "came-back" | "ended" {
  const isTrusted = text.maker?.isTrusted === true;
  closeMaking(step, task, text, held, session);
  const made = task.runs.find((run) => run.assignment === held.id);
  const end = made ? endOf(termsOf(task), text.tokens) : null;
  if (end !== null) {
    // All of it was streamed: whoever went on would have nothing to write.
    finish(step, task, text, end);
    if (isTrusted) replyText(step, task, text, "pending");
    advance(step, task);
    return "ended";
  }
  if (made && why.isPreempted) made.preempted = true;
  if (task.state === "assigned") move(step, task, "queued", `${held.role} came back: ${why.reason}`);
  if (made && !why.isPreempted && ++text.left > CONTINUATIONS) {
    const message = `${text.left} miners left in the middle of this text; the last because: ${why.reason}`;
    giveUpText(step, task, text, failure("execution-failed", message));
    return "ended";
  }
  text.aliveUntil = step.now + STREAM_LEASE_MS;
  enqueue(step, task, "primary", true);
  return made ? "continued" : "came-back";
}

/** Ends a text that nobody will go on with. */
export function giveUpText(step: Step, task: OpenTask, text: TextProgress, error: TabgridError): void {
  recallAll(step, task, text);
  if (text.released === 0) {
    return endWithout(step, task, error.code === "deadline-missed" ? "expired" : "failed", error);
  }
  cutShort(step, task, text, { reason: "length", delivered: text.released, error });
  advance(step, task);
}

/** The caller has enough of it, or went away: what it took is all of the text. */
export function stopText(
  step: Step,
  task: OpenTask,
  text: TextProgress,
  { delivered, finish: reason }: NonNullable<EventOf<"task.cancelled">["text"]>,
): void {
  const taken = Math.min(delivered, text.released);
  sendMakerAway(step, task, text);
  if (taken === 0) {
    return endWithout(step, task, "cancelled", failure("cancelled", "cancelled by the caller"));
  }
  const isChecked = task.spec.level !== "fast";
  cutShort(step, task, text, { reason, delivered: taken, error: null });
  if (!isChecked) replyText(step, task, text, "pending");
  advance(step, task);
}

function sendMakerAway(step: Step, task: OpenTask, text: TextProgress): void {
  const maker = text.maker?.assignment ? step.state.assignments.get(text.maker.assignment) : undefined;
  if (maker) {
    closeMaking(step, task, text, maker, step.state.roster.sessions.get(maker.session));
    step.out.push({ kind: "cancel", session: maker.session, assignments: [maker.id] });
  } else if (text.maker?.assignment === null) closeReference(task, text);
  recallAll(step, task, text);
}

/** No lease is open any more, and no check is with its checker or the reference node. */
function recallAll(step: Step, task: OpenTask, text: TextProgress): void {
  recall(step, task);
  if (text.scoring) text.scoring.isOut = false;
  if (task.reference === "pending") task.reference = "unused"; // what it still sends is not waited for
}

/** The reference node's pieces so far are its run. */
function closeReference(task: OpenTask, text: TextProgress): void {
  const span = { from: text.maker?.from ?? 0, to: text.tokens.length };
  if (span.from < span.to) task.runs.push(madeByReference(text, span));
}

export const madeByReference = (text: TextProgress, span: { from: number; to: number }, computeMs = 0): Run => {
  const outputs = outputsOf(text, span);
  return {
    by: "reference",
    miner: null,
    network: null,
    runtime: "reference",
    deviceClass: "reference",
    assignment: null,
    role: "primary",
    outputs,
    commitment: tensorsHash(outputs),
    signature: "signed",
    newcomer: false,
    suspect: false,
    computeMs,
    accepted: null,
    span,
  };
};

/** Takes the lease back; what was streamed under it becomes a run. */
function closeMaking(
  step: Step,
  task: OpenTask,
  text: TextProgress,
  held: Assignment,
  session: MinerSession | undefined,
): void {
  const { maker } = text;
  closeAssignment(step, held, false);
  text.maker = null;
  if (maker?.assignment !== held.id) return;
  if (termsOf(task).topLogProbabilities > 0) truncate(task, text, maker.from);
  const span = { from: maker.from, to: text.tokens.length };
  if (span.from === span.to || !session) return;
  const outputs = outputsOf(text, span);
  task.runs.push({
    by: session.owner,
    miner: session.miner,
    network: session.network,
    runtime: groundOn(session, held.model).runtime,
    deviceClass: held.deviceClass,
    assignment: held.id,
    role: "primary",
    outputs,
    commitment: tensorsHash(outputs),
    signature: "streamed",
    newcomer: held.newcomer,
    suspect: false,
    computeMs: step.now - held.grantedAt,
    accepted: null,
    span,
  });
}
