import { failure } from "../../shared/errors.ts";
import { executionsPriced } from "../../shared/pricing.ts";
import { type Agreement, compareResults } from "../../shared/tolerance.ts";
import { drawWanted, groundOf, otherClassMayRun, oweValidators, referenceShareOf, someoneMayRun } from "./checkers.ts";
import { blame, credit } from "./consequences.ts";
import type { CheckDone, CoreModel, Execution, Overturn, VerdictBasis } from "./events.ts";
import { endWithout, enqueue, move, type OpenTask, type Run, recall, type Step, unpaid } from "./state.ts";
import { passesOf } from "./trust.ts";

/**
 * From results to a verdict (../shared/policy.md, "Who checks", "Agreement", "Verdicts and overturns").
 *
 * A checker is drawn only after the first result is in, is of another owner and network, and never sees the answer.
 * Runs that agree are accepted. Where they disagree slightly a third run decides; where they disagree beyond what any
 * honest device shows, or a newcomer is involved, the reference node has the last word. A `fast` answer that was not
 * drawn for a check is accepted as it is, and kept for a while so that a later fail of its owner has it rechecked.
 */

/** Where the reference node cannot run a model, this many owners decide, and nobody is blamed. */
const OWNERS_WITHOUT_REFERENCE = 5;

/** A result came in, or a run that was hoped for will not come: take the next step towards the verdict. */
export function advance(step: Step, task: OpenTask): void {
  const model = step.state.models.get(task.spec.model) as CoreModel;
  if (task.wanted === 0 && task.runs.length > 0) task.wanted = drawWanted(step, task, model);
  const reference = task.runs.find((run) => run.by === "reference");
  const outstanding = task.live.size + task.waiting + (task.reference === "pending" ? 1 : 0);
  if (reference) {
    if (outstanding > 0 && agreementsWith(model, task, reference).every((agreement) => agreement === "PASS")) return;
    return decideByReference(step, task, model, reference);
  }
  if (outstanding > 0 && task.runs.length < task.wanted) return;
  if (task.runs.length < task.wanted) return drawChecks(step, task);
  const answer = task.runs[0] as Run;
  const agreements = agreementsWith(model, task, answer);
  if (agreements.every((agreement) => agreement === "PASS")) return accept(step, task, answer, task.runs, []);
  if (task.reference === "unavailable") return decideWithoutReference(step, task, model);
  const newcomers = task.runs.some((run) => run.role !== "primary" && run.newcomer);
  const slight = agreements.every((agreement) => agreement !== "FAIL");
  if (slight && !newcomers && task.runs.length === task.wanted && mayAskThird(step, task)) {
    return askThird(step, task);
  }
  const largest = slight && !newcomers ? largestAgreeing(model, task.runs) : [];
  if (largest.length >= task.wanted) return accept(step, task, largest[0] as Run, largest, []);
  askReference(step, task, "disagreement");
}

/** How each other run compares with one run. */
const agreementsWith = (model: CoreModel, task: OpenTask, one: Run): Agreement[] =>
  task.runs.filter((run) => run !== one).map((run) => agreement(model, run, one));

const agreement = (model: CoreModel, a: Run, b: Run): Agreement =>
  a.commitment === b.commitment ? "PASS" : compareResults(model.comparator, a.outputs, b.outputs).agreement;

function largestAgreeing(model: CoreModel, runs: readonly Run[]): Run[] {
  let best: Run[] = [];
  for (const one of runs) {
    const group = runs.filter((run) => run === one || agreement(model, run, one) === "PASS");
    if (group.length > best.length) best = group;
  }
  return best;
}

function drawChecks(step: Step, task: OpenTask): void {
  const { state, rng } = step;
  const missing = task.wanted - task.runs.length;
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
    const crosses = (forReference && !isFree) || rng.next() < state.checks.crossClassShare;
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
  if (task.reference === "unused") return askReference(step, task, "no other owner to check");
  if (task.reference === "pending" || task.live.size + task.waiting > 0) return;
  const model = step.state.models.get(task.spec.model) as CoreModel;
  const reference = task.runs.find((run) => run.by === "reference");
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

export function askReference(step: Step, task: OpenTask, why: string): void {
  const model = step.state.models.get(task.spec.model) as CoreModel;
  if (model.referenceMs === null) {
    task.reference = "unavailable";
    return noReference(step, task, "the reference node cannot run this model in time");
  }
  toChecking(step, task, `reference node: ${why}`);
  task.reference = "pending";
  step.state.referenceInFlight++;
  step.out.push({ kind: "run-reference", task: task.spec.task, model: task.spec.model, inputs: task.spec.inputs });
}

/** The reference node will not answer for this task. */
export function noReference(step: Step, task: OpenTask, reason: string): void {
  if (task.runs.length === 0) {
    return endWithout(step, task, "failed", failure("execution-failed", `no miner could serve this and ${reason}`));
  }
  decideWithoutReference(step, task, step.state.models.get(task.spec.model) as CoreModel);
}

/** All agree, or so many owners as there are up to five have been asked and most agree. */
function decideWithoutReference(step: Step, task: OpenTask, model: CoreModel): void {
  const group = largestAgreeing(model, task.runs);
  const enough = task.wanted === 1 ? 1 : 2;
  const isUnanimous = group.length === task.runs.length && group.length >= enough;
  if (isUnanimous) return accept(step, task, group[0] as Run, group, []);
  if (task.live.size + task.waiting > 0) return;
  if (task.runs.length < OWNERS_WITHOUT_REFERENCE) {
    const otherClass = otherClassMayRun(step, task, "check");
    if (otherClass || someoneMayRun(step, task, { role: "check", otherClass })) {
      toChecking(step, task, "another owner decides");
      return enqueue(step, task, "check", true, otherClass);
    }
  }
  if (group.length < enough || group.length <= task.runs.length / 2) return giveUp(step, task);
  if (!task.replied || group.includes(task.runs[0] as Run)) return accept(step, task, group[0] as Run, group, []);
  refuteDelivered(step, task, group, [], null);
}

function decideByReference(step: Step, task: OpenTask, model: CoreModel, reference: Run): void {
  const others = task.runs.filter((run) => run !== reference);
  const graded = others.map((run) => ({ run, agreement: agreement(model, run, reference) }));
  const agreeing = graded.filter(({ agreement }) => agreement === "PASS").map(({ run }) => run);
  const refuted = graded.filter(({ agreement }) => agreement === "FAIL").map(({ run }) => run);
  recall(step, task);
  const primary = others[0];
  if (task.replied && primary && refuted.includes(primary)) {
    return refuteDelivered(step, task, agreeing, refuted, reference);
  }
  accept(step, task, agreeing[0] ?? reference, [...agreeing, reference], refuted, reference);
}

/**
 * A delivered answer turned out wrong: nothing is charged, or all is given back, and its miner is not paid. Whoever helped
 * to find out is, by the verification pool.
 */
function refuteDelivered(
  step: Step,
  task: OpenTask,
  agreeing: readonly Run[],
  refuted: readonly Run[],
  reference: Run | null,
): void {
  const { spec, origin } = task;
  const reason = `the delivered answer was refuted by ${reference ? "the reference node" : "other owners"}`;
  const right = reference ?? (agreeing[0] as Run);
  for (const run of task.runs) run.accepted = agreeing.includes(run) || run === right;
  for (const run of task.runs) {
    if (!run.accepted && !refuted.includes(run)) unpaid(step, task, run, OUTSIDE_TOLERANCE);
  }
  book(step, task, agreeing, refuted, reference);
  endWithout(step, task, "failed", failure("execution-failed", reason));
  const state = origin.kind === "recheck" ? ("overturned" as const) : ("failed" as const);
  if (origin.kind === "recheck") step.out.push({ kind: "overturned", fact: overturnOf(step, task, right, reason) });
  step.out.push({ kind: "receipt-revised", task: spec.task, at: step.now, state, reason });
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

function giveUp(step: Step, task: OpenTask): void {
  const again = !task.replied && task.attempts < 3;
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

const OUTSIDE_TOLERANCE = "outside the model's tolerance: not paid, nobody is blamed";

function accept(
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
  book(step, task, agreeing, refuted, reference);
  if (task.basis === "checked")
    oweValidators(step, task, agreeing, step.state.models.get(task.spec.model) as CoreModel);
  for (const run of task.runs) {
    if (run.accepted || refuted.includes(run)) continue;
    unpaid(step, task, run, OUTSIDE_TOLERANCE);
  }
  move(step, task, "verified", `${task.basis}: ${agreeing.length} of ${task.runs.length} executions agree`);
  if (!task.replied) {
    task.replied = true;
    const result = { ok: true as const, outputs: answer.outputs, basis: task.basis, executors: agreeing.length };
    step.out.push({ kind: "reply", outcome: { task: task.spec.task, result } });
  }
  settleIfSigned(step, task);
}

function basisOf(task: OpenTask, agreeing: readonly Run[]): VerdictBasis {
  if (task.runs.some((run) => run.by === "reference")) return "reference";
  return agreeing.length > 1 ? "checked" : "unchecked";
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
  if (found.size > 1) for (const run of agreeing) credit(step, task, run);
  if (!reference) return;
  const model = step.state.models.get(task.spec.model) as CoreModel;
  const truth = { outputs: reference.outputs, commitment: reference.commitment, referenceMs: reference.computeMs };
  for (const run of refuted) blame(step, task, run, model, truth);
}

/** Settles a verified task, or pays a refuted one's checkers, once every accepted run is signed or will not be. */
export function settleIfSigned(step: Step, task: OpenTask): void {
  if (task.state !== "verified" && !(task.state === "failed" && task.payer === "pool")) return;
  if (task.runs.some((run) => run.accepted && run.signature === "awaited")) return;
  step.state.tasks.delete(task.spec.task);
  if (task.payer === "pool") return payFromPool(step, task);
  const { spec, answer, basis } = task;
  const model = step.state.models.get(spec.model) as CoreModel;
  const fact: CheckDone = {
    task: spec.task,
    at: step.now,
    customer: spec.customer,
    model: spec.model,
    creator: model.creator,
    royaltyBasisPoints: model.royaltyBasisPoints,
    level: spec.level,
    price: spec.price,
    work: spec.work,
    basis: basis as CheckDone["basis"],
    inputHash: spec.inputHash,
    commitment: (answer as Run).commitment,
    executions: task.runs.map(executionOf),
  };
  step.out.push({ kind: "check-done", fact });
  move(step, task, "settled", "postings and receipt");
  const owner = answer?.by;
  if (basis !== "unchecked" || !answer || owner === undefined || owner === "reference") return;
  step.state.retained.keep({ spec, run: answer }, owner, step.state.checks.rechecks);
  const standing = step.state.roster.standings.get(owner);
  const failedSince = standing && passesOf(standing, groundOf(task, answer)) < step.state.checks.newcomerPasses;
  if (failedSince) step.state.distrusted.add(owner);
}

const executionOf = (run: Run): Execution => ({
  by: run.by,
  miner: run.miner,
  assignment: run.assignment,
  role: run.role,
  commitment: run.commitment,
  accepted: run.accepted === true,
  signed: run.signature === "signed",
  newcomer: run.newcomer,
  computeMs: run.computeMs,
});

/** What the hub wanted done for itself: only what was run for it, and not the answer it looked at again. */
function payFromPool(step: Step, { spec, origin, runs }: OpenTask): void {
  const model = step.state.models.get(spec.model) as CoreModel;
  const own = runs.filter((run) => run.accepted && !(origin.kind === "recheck" && run === origin.answer));
  if (!own.some((run) => run.by !== "reference")) return;
  step.out.push({
    kind: "pool-work",
    fact: {
      task: spec.task,
      at: step.now,
      model: spec.model,
      royaltyBasisPoints: model.royaltyBasisPoints,
      price: spec.price / BigInt(executionsPriced(spec.level)),
      why: origin.kind === "canary" || origin.kind === "recheck" ? origin.kind : "refuted",
      executions: own.map(executionOf),
    },
  });
}
