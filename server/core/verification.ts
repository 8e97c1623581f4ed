import { failure } from "../../shared/errors.ts";
import { executionsPriced } from "../../shared/pricing.ts";
import type { Rng } from "../../shared/random.ts";
import { type Agreement, compareResults } from "../../shared/tolerance.ts";
import type { CheckDone, CoreModel } from "./events.ts";
import { expectedMs, type MinerSession } from "./roster.ts";
import { endWithout, enqueue, move, type OpenTask, paidRole, type Run, recall, type Step, unpaid } from "./state.ts";
import { NEWCOMER_PASSES, passesOf, recordMismatch, recordPass } from "./trust.ts";

/**
 * From results to a verdict (../shared/policy.md, "Who checks", "Agreement", "Verdicts and overturns").
 *
 * A checker is drawn only after the first result is in, is of another owner and network, and never sees the answer.
 * Runs that agree are accepted. Where they disagree slightly a third run decides; where they disagree beyond what any
 * honest device shows, or a newcomer is involved, the reference node has the last word.
 */

/** Share of checks that the reference node does; higher where addresses carry no evidence of distinct people. */
const REFERENCE_SHARE = 0.2;
const REFERENCE_SHARE_LOCAL = 0.5;
/** Where the reference node cannot run a model, this many owners decide. */
const OWNERS_WITHOUT_REFERENCE = 5;

/** Executions that a verdict needs; every task is checked once (adaptive rates come with their own issue). */
const runsWanted = (task: OpenTask): number => Math.max(2, executionsPriced(task.spec.level));

/** May this session run the task, given who already has? */
export function mayRun(step: Step, task: OpenTask, session: MinerSession, role: string): boolean {
  if (task.runs.length === 0 && task.live.size === 0) return true;
  for (const run of task.runs) {
    if (run.by === session.owner || (run.network !== null && run.network === session.network)) return false;
  }
  for (const id of task.live) {
    const assignment = step.state.assignments.get(id);
    const holder = assignment && step.state.roster.sessions.get(assignment.session);
    if (holder && (holder.owner === session.owner || (holder.network !== null && holder.network === session.network))) {
      return false;
    }
  }
  // A caller waits for this check: who would not be done in time is no help.
  if (!task.replied && step.now + expectedMs(session, task.spec.model) >= task.spec.deadlineAt) return false;
  return role !== "third" || passesOf(session.standing, task.spec.model, session.device.runtime) >= NEWCOMER_PASSES;
}

const someoneMayRun = (step: Step, task: OpenTask, role: string): boolean =>
  step.state.roster.able(task.spec.model).some((session) => mayRun(step, task, session, role));

/** A result came in, or a run that was hoped for will not come: take the next step towards the verdict. */
export function advance(step: Step, task: OpenTask, rng: Rng): void {
  const model = step.state.models.get(task.spec.model) as CoreModel;
  const reference = task.runs.find((run) => run.by === "reference");
  const outstanding = task.live.size + task.waiting + (task.reference === "pending" ? 1 : 0);
  if (reference) {
    if (outstanding > 0 && agreementsWith(model, task, reference).every((agreement) => agreement === "PASS")) return;
    return decideByReference(step, task, model, reference);
  }
  if (outstanding > 0 && task.runs.length < runsWanted(task)) return;
  if (task.runs.length < runsWanted(task)) return drawChecks(step, task, rng);
  const answer = task.runs[0] as Run;
  const agreements = agreementsWith(model, task, answer);
  if (agreements.every((agreement) => agreement === "PASS")) return accept(step, task, answer, task.runs, []);
  if (task.reference === "unavailable") return decideWithoutReference(step, task, model);
  const newcomers = task.runs.some((run) => run.role !== "primary" && run.newcomer);
  const slight = agreements.every((agreement) => agreement !== "FAIL");
  if (slight && !newcomers && task.runs.length === runsWanted(task) && someoneMayRun(step, task, "third")) {
    return askThird(step, task);
  }
  const largest = slight && !newcomers ? largestAgreeing(model, task.runs) : [];
  if (largest.length > task.runs.length / 2) return accept(step, task, largest[0] as Run, largest, []);
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

function drawChecks(step: Step, task: OpenTask, rng: Rng): void {
  const local = task.runs.every((run) => run.network === null);
  const share = local ? REFERENCE_SHARE_LOCAL : REFERENCE_SHARE;
  const missing = runsWanted(task) - task.runs.length;
  const referenceFree =
    task.reference === "unused" && step.state.referenceInFlight < step.state.options.referenceBacklog;
  let peers = missing;
  if (referenceFree && rng.next() < share) {
    askReference(step, task, "check");
    peers--;
  }
  for (let i = 0; i < peers; i++) {
    if (!someoneMayRun(step, task, "check")) break;
    toChecking(step, task, "check drawn");
    enqueue(step, task, "check", true);
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

function askThird(step: Step, task: OpenTask): void {
  toChecking(step, task, "slight disagreement: third run");
  enqueue(step, task, "third", true);
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

function decideWithoutReference(step: Step, task: OpenTask, model: CoreModel): void {
  const group = largestAgreeing(model, task.runs);
  if (group.length >= 2 && group.length > task.runs.length / 2) return accept(step, task, group[0] as Run, group, []);
  if (task.live.size + task.waiting > 0) return;
  if (task.runs.length < OWNERS_WITHOUT_REFERENCE && someoneMayRun(step, task, "check")) {
    toChecking(step, task, "another owner decides");
    return enqueue(step, task, "check", true);
  }
  giveUp(step, task);
}

function decideByReference(step: Step, task: OpenTask, model: CoreModel, reference: Run): void {
  const others = task.runs.filter((run) => run !== reference);
  const graded = others.map((run) => ({ run, agreement: agreement(model, run, reference) }));
  const agreeing = graded.filter(({ agreement }) => agreement === "PASS").map(({ run }) => run);
  const refuted = graded.filter(({ agreement }) => agreement === "FAIL").map(({ run }) => run);
  recall(step, task);
  const primary = others[0];
  if (task.replied && primary && !agreeing.includes(primary)) {
    return refuteDelivered(step, task, agreeing, refuted);
  }
  accept(step, task, agreeing[0] ?? reference, [...agreeing, reference], refuted);
}

/** A `fast` answer that was delivered turned out wrong: nothing is charged, the miner is not paid. */
function refuteDelivered(step: Step, task: OpenTask, agreeing: readonly Run[], refuted: readonly Run[]): void {
  for (const run of refuted) run.accepted = false;
  book(step, task, agreeing, refuted);
  endWithout(
    step,
    task,
    "failed",
    failure("execution-failed", "the delivered answer was refuted by the reference node"),
  );
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
  task.reference = "unused";
  task.attempts++;
  move(step, task, "queued", "tried again");
  enqueue(step, task, "primary", true);
}

function accept(step: Step, task: OpenTask, answer: Run, agreeing: readonly Run[], refuted: readonly Run[]): void {
  recall(step, task);
  for (const run of task.runs) run.accepted = agreeing.includes(run);
  task.answer = answer;
  task.basis = task.runs.some((run) => run.by === "reference") ? "reference" : "checked";
  book(step, task, agreeing, refuted);
  for (const run of task.runs) {
    if (run.accepted || refuted.includes(run)) continue;
    unpaid(step, task, run, "outside the model's tolerance: not paid, nobody is blamed");
  }
  move(step, task, "verified", `${task.basis}: ${agreeing.length} of ${task.runs.length} executions agree`);
  if (!task.replied) {
    task.replied = true;
    const result = { ok: true as const, outputs: answer.outputs, basis: task.basis, executors: agreeing.length };
    step.out.push({ kind: "reply", outcome: { task: task.spec.task, result } });
  }
  settleIfSigned(step, task);
}

/** Trust, strikes and passed checks of everyone who ran the task. */
function book(step: Step, task: OpenTask, agreeing: readonly Run[], refuted: readonly Run[]): void {
  const { state, now, out } = step;
  for (const run of agreeing) {
    if (run.by === "reference" || agreeing.length < 2) continue;
    const standing = state.roster.standings.get(run.by);
    if (!standing) continue;
    recordPass(standing, task.spec.model, run.runtime, now);
    out.push({ kind: "standing", standing });
    for (const session of sessionsOf(step, run)) session.accepted++;
  }
  for (const run of refuted) {
    if (run.by === "reference") continue;
    out.push({
      kind: "work",
      owner: run.by,
      assignment: run.assignment as NonNullable<Run["assignment"]>,
      model: task.spec.model,
      role: paidRole(run),
      outcome: "refuted",
      reason: "differs from the reference node beyond the model's tolerance",
    });
    const standing = state.roster.standings.get(run.by);
    if (!standing) continue;
    const suspended = recordMismatch(standing, task.spec.model, run.runtime, now);
    out.push({ kind: "standing", standing });
    for (const session of sessionsOf(step, run)) {
      session.refuted++;
      if (suspended) state.roster.refresh(session);
    }
  }
}

function* sessionsOf(step: Step, run: Run): Generator<MinerSession> {
  const id = run.miner && step.state.roster.byMiner.get(run.miner);
  const session = id && step.state.roster.sessions.get(id);
  if (session) yield session;
}

/** Settles a verified task once every accepted run is signed or will not be. */
export function settleIfSigned(step: Step, task: OpenTask): void {
  if (task.state !== "verified") return;
  if (task.runs.some((run) => run.accepted && run.signature === "awaited")) return;
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
    executions: task.runs.map((run) => ({
      by: run.by,
      miner: run.miner,
      assignment: run.assignment,
      role: run.role,
      commitment: run.commitment,
      accepted: run.accepted === true,
      signed: run.signature === "signed",
      newcomer: run.newcomer,
      computeMs: run.computeMs,
    })),
  };
  step.out.push({ kind: "check-done", fact });
  move(step, task, "settled", "postings and receipt");
  step.state.tasks.delete(spec.task);
}
