import { failure } from "../../shared/errors.ts";
import type { OwnerId } from "../../shared/ids.ts";
import { executionsPriced } from "../../shared/pricing.ts";
import { tensorsHash } from "../../shared/tensors-hash.ts";
import { prefillWork } from "../../shared/text-work.ts";
import { compareResults } from "../../shared/tolerance.ts";
import { groundOf, oweValidators } from "./checkers.ts";
import { blame, credit } from "./consequences.ts";
import type { CheckDone, CoreModel, Execution, Overturn, PoolWork, TaskSpec, VerdictBasis } from "./events.ts";
import { endWithout, move, type OpenTask, type Run, recall, type Step, unpaid } from "./state.ts";
import { isMaker, makersOf, outputsOf, type TextProgress, termsOf } from "./text.ts";
import { compareWithScore, keepEvidence } from "./text-evidence.ts";
import { replyText } from "./text-release.ts";
import { checkPrice, costOf, makingWork, textPrice } from "./text-terms.ts";
import { passesOf, trustOf } from "./trust.ts";

/**
 * What follows from a verdict (../shared/policy.md, "Verdicts and overturns"): the answer is accepted or refuted, everyone who
 * ran it is credited or blamed, and once all signatures are in the economy is told.
 */

/**
 * A delivered answer turned out wrong, or a text that nothing could take the place of: nothing is charged, or all is given
 * back, and its miner is not paid. Whoever helped to find out is, by the verification pool.
 */
export function refuteAnswer(
  step: Step,
  task: OpenTask,
  agreeing: readonly Run[],
  refuted: readonly Run[],
  reference: Run | null,
): void {
  const { spec, origin } = task;
  const isDelivered = task.replied || (task.text?.released ?? 0) > 0;
  const which = isDelivered ? "the delivered answer" : "the answer";
  const reason = `${which} was refuted by ${reference ? "the reference node" : "other owners"}`;
  const right = reference ?? (agreeing[0] as Run);
  for (const run of task.runs) run.accepted = agreeing.includes(run) || run === right;
  for (const run of task.runs) {
    if (!run.accepted && !refuted.includes(run)) unpaid(step, task, run, OUTSIDE_TOLERANCE);
  }
  book(step, task, agreeing, refuted, reference);
  endWithout(step, task, "failed", failure("execution-failed", reason), isDelivered ? undefined : true);
  const state = origin.kind === "recheck" ? ("overturned" as const) : ("failed" as const);
  if (origin.kind === "recheck") step.out.push({ kind: "overturned", fact: overturnOf(step, task, right, reason) });
  const revised = { task: spec.task, customer: spec.customer, at: step.now, state, reason };
  if (isDelivered) step.out.push({ kind: "receipt-revised", fact: revised });
  task.payer = "pool";
  if (agreeing.length === 0) return;
  step.state.tasks.set(spec.task, task); // until its checkers have signed
  settleIfSigned(step, task);
}

function overturnOf(step: Step, { spec, runs }: OpenTask, right: Run, reason: string): Overturn {
  const { by, assignment, commitment } = runs[0] as Run;
  const { task, customer, price } = spec;
  return {
    task,
    at: step.now,
    customer,
    price,
    owner: by as Exclude<Run["by"], "reference">,
    assignment: assignment as NonNullable<Run["assignment"]>,
    commitment,
    reference: right.commitment,
    reason,
  };
}

const OUTSIDE_TOLERANCE = "outside the model's tolerance: not paid, nobody is blamed";

export function accept(
  step: Step,
  task: OpenTask,
  answer: Run,
  agreeing: readonly Run[],
  refuted: readonly Run[],
  reference: Run | null = null,
): void {
  recall(step, task);
  for (const run of task.runs) run.accepted = agreeing.includes(run);
  task.answer = answer;
  task.basis = basisOf(task, agreeing);
  const score = reference ?? agreeing.find((run) => !isMaker(run));
  if (task.text && score) {
    const model = step.state.models.get(task.spec.model) as CoreModel;
    for (const made of makersOf(task)) if (!refuted.includes(made)) keepEvidence(step, model, task, made, score);
  }
  book(step, task, agreeing, refuted, reference);
  if (task.basis === "unchecked") for (const made of makersOf(task)) retain(step, task, made);
  if (task.basis === "checked")
    oweValidators(step, task, agreeing, step.state.models.get(task.spec.model) as CoreModel);
  for (const run of task.runs) {
    if (run.accepted || refuted.includes(run)) continue;
    unpaid(step, task, run, OUTSIDE_TOLERANCE);
  }
  move(step, task, "verified", `${task.basis}: ${agreeing.length} of ${task.runs.length} executions agree`);
  if (task.text) replyText(step, task, task.text, task.basis);
  else if (!task.replied) {
    task.replied = true;
    const result = { ok: true as const, outputs: answer.outputs, basis: task.basis, executors: agreeing.length };
    step.out.push({ kind: "reply", outcome: { task: task.spec.task, result } });
  }
  settleIfSigned(step, task);
}

function basisOf(task: OpenTask, agreeing: readonly Run[]): VerdictBasis {
  const byReference = (run: Run) => run.by === "reference";
  // A text that it only went on with is not judged by that.
  const runs = task.text && !makersOf(task).every(byReference) ? task.runs.filter((run) => !isMaker(run)) : task.runs;
  if (runs.some(byReference)) return "reference";
  return agreeing.some((run) => !isMaker(run)) ? "checked" : "unchecked";
}

/** Passes and mismatches of everyone who ran the task; an answer that nobody else found too is no pass. */
function book(
  step: Step,
  task: OpenTask,
  agreeing: readonly Run[],
  refuted: readonly Run[],
  reference: Run | null,
): void {
  const found = new Set([...agreeing, ...(reference ? [reference] : [])]);
  const isFound = task.text ? [...found].some((run) => !isMaker(run)) : found.size > 1;
  if (isFound) for (const run of agreeing) credit(step, task, run);
  if (!reference) return;
  const model = step.state.models.get(task.spec.model) as CoreModel;
  const truth = { outputs: reference.outputs, commitment: reference.commitment, referenceMs: reference.computeMs };
  for (const run of refuted) {
    const compared = task.text
      ? compareWithScore(step, model, task, run, reference)
      : compareResults(model.comparator, run.outputs, reference.outputs);
    blame(step, task, run, model, truth, compared);
  }
}

/** Settles a verified task, or pays a refuted one's checkers, once every accepted run is signed or will not be. */
export function settleIfSigned(step: Step, task: OpenTask): void {
  if (task.state !== "verified" && !(task.state === "failed" && task.payer === "pool")) return;
  if (task.runs.some((run) => run.accepted && run.signature === "awaited")) return;
  step.state.tasks.delete(task.spec.task);
  if (task.payer === "pool") return payFromPool(step, task);
  const { spec, answer, basis, text } = task;
  const model = step.state.models.get(spec.model) as CoreModel;
  const fact: CheckDone = {
    task: spec.task,
    at: step.now,
    customer: spec.customer,
    model: spec.model,
    creator: model.creator,
    royaltyBasisPoints: model.royaltyBasisPoints,
    level: spec.level,
    price: chargeFor(task),
    work: spec.work,
    basis: basis as CheckDone["basis"],
    inputHash: spec.inputHash,
    commitment: (answer as Run).commitment,
    executions: task.runs.map((run) => ({ ...executionOf(task, run), ...standingOf(step, task, run) })),
    ...(text ? settledText(task, text) : {}),
  };
  step.out.push({ kind: "check-done", fact });
  move(step, task, "settled", "postings and receipt");
}

/** What its customer pays once it is settled; a text, by the tokens that were delivered. */
export const chargeFor = (task: OpenTask): TaskSpec["price"] =>
  task.text ? textPrice(termsOf(task), task.spec.level, task.text.tokens.length) : task.spec.price;

/** What a text came to: proven by the tokens that were delivered. */
function settledText(task: OpenTask, text: TextProgress): Pick<CheckDone, "work" | "commitment" | "text"> {
  const { spec } = task;
  const terms = termsOf(task);
  const outputTokens = text.tokens.length;
  const { generation, check } = costOf(terms, outputTokens);
  const [made, ...others] = makersOf(task);
  const isWhole = made && others.length === 0 && made.signature !== "streamed";
  const whole = { from: 0, to: outputTokens };
  return {
    work: generation,
    commitment: isWhole ? made.commitment : tensorsHash(outputsOf(text, whole)),
    text: {
      promptTokens: terms.promptTokens,
      outputTokens,
      finish: text.finish ?? "length",
      seed: terms.requestSeed,
      held: spec.price,
      checkWork: check,
    },
  };
}

/** From now on, signed or not, a fail of its owner has this answer looked at. */
function retain({ state }: Step, task: OpenTask, run: Run): void {
  if (run.by !== "reference") state.retained.keep({ task, run }, run.by, state.checks.rechecks);
}

const executionOf = (task: OpenTask, run: Run): Execution => ({
  by: run.by,
  miner: run.miner,
  assignment: run.assignment,
  role: run.role,
  commitment: run.commitment,
  accepted: run.accepted === true,
  signed: run.signature === "signed" || run.signature === "streamed",
  newcomer: run.newcomer,
  computeMs: run.computeMs,
  ...(task.text ? textWorkOf(task, task.text, run) : {}),
});

function standingOf({ state }: Step, task: OpenTask, run: Run): Pick<Execution, "standing"> {
  const standing = run.by === "reference" ? undefined : state.roster.standings.get(run.by);
  if (!standing) return {};
  const trust = Math.round(trustOf(standing) * 1_000) / 1_000;
  const passed = passesOf(standing, groundOf(task, run));
  return { standing: { trust, passed, atRisk: state.roster.atRisk.get(standing.owner) ?? 0n } };
}

/** Its own tokens; whoever went on after others also read what these had written. */
function textWorkOf(
  task: OpenTask,
  text: TextProgress,
  run: Run,
): Pick<Execution, "work" | "repeated" | "preempted" | "span"> {
  const terms = termsOf(task);
  if (!isMaker(run)) return { work: costOf(terms, text.tokens.length).check };
  const span = run.span ?? { from: 0, to: text.tokens.length };
  const repeated = span.from > 0 ? prefillWork(terms.work, terms.promptTokens + span.from) : 0n;
  const before = task.runs.find((other) => isMaker(other) && other.span?.to === span.from);
  return { work: makingWork(terms, span), repeated, span, ...(before?.preempted ? { preempted: true } : {}) };
}

/** A recheck looks at the first answer, a refuted task's checks at whoever was refuted. */
function subjectOf({ origin, runs }: OpenTask): OwnerId | null {
  if (origin.kind === "canary") return origin.subject;
  const by = (runs.find((run) => isMaker(run) && run.accepted === false) ?? runs[0])?.by;
  return by === undefined || by === "reference" ? null : by;
}

/** What the hub wanted done for itself: only what was run for it, and not the answer it looked at again. */
function payFromPool(step: Step, task: OpenTask): void {
  const { spec, origin, runs, text } = task;
  const model = step.state.models.get(spec.model) as CoreModel;
  const own = runs.filter((run) => run.accepted && !(origin.kind === "recheck" && run === origin.answer));
  if (!own.some((run) => run.by !== "reference")) return;
  const fact: PoolWork = {
    task: spec.task,
    at: step.now,
    model: spec.model,
    royaltyBasisPoints: model.royaltyBasisPoints,
    price: spec.price / BigInt(executionsPriced(spec.level)),
    why: origin.kind === "canary" || origin.kind === "recheck" ? origin.kind : "refuted",
    subject: subjectOf(task),
    executions: own.map((run) => executionOf(task, run)),
  };
  if (text) {
    fact.price = checkPrice(termsOf(task), text.tokens.length);
    fact.work = costOf(termsOf(task), text.tokens.length).check;
  }
  step.out.push({ kind: "pool-work", fact });
}
