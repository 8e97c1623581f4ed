import { executionsPriced } from "../../shared/pricing.ts";
import { sessionRoles } from "../../shared/protocol.ts";
import { oweCanary } from "./canary-owed.ts";
import { checkRate, payOf } from "./check-policy.ts";
import type { CoreModel } from "./events.ts";
import type { WorkItem } from "./queue.ts";
import { expectedMs, type MinerSession } from "./roster.ts";
import { checksOf, isCustomers, type OpenTask, type Run, type Step } from "./state.ts";
import { deadlineOf, isMaker, makersOf } from "./text.ts";
import { checkCostOf } from "./text-terms.ts";
import { type Ground, isProven, NEWCOMER_PASSES, passesOf } from "./trust.ts";
import { isTooSlow } from "./validators.ts";

/** Who may check, and whether an answer is checked at all (../shared/policy.md, "Who checks" and "How often"). */

export const groundOf = (task: OpenTask, run: Run): Ground => ({
  model: task.spec.model,
  runtime: run.runtime,
  deviceClass: run.deviceClass,
});

export const groundOn = (session: MinerSession, model: CoreModel["key"]): Ground => ({
  model,
  runtime: session.models.get(model)?.runtime ?? session.device.runtime,
  deviceClass: session.models.get(model)?.deviceClass ?? "",
});

type Wanted = Pick<WorkItem, "role" | "otherClass">;

export const isCheck = (role: WorkItem["role"]): boolean => role === "check" || role === "third";

/** May this session run the task, given who already has? */
export function mayRun(step: Step, task: OpenTask, session: MinerSession, { role, otherClass }: Wanted): boolean {
  if (session.role === "validator") {
    const on = session.models.get(task.spec.model);
    if (!isCheck(role) || !on || isTooSlow(session, on)) return false;
  }
  if (task.runs.length === 0 && task.live.size === 0) return true;
  // Whoever made a part of a text may go on with it, but nobody makes what it checks.
  const isMaking = task.text !== null && !isCheck(role);
  const scorer = task.text?.scoring?.run;
  for (const run of scorer ? [...task.runs, scorer] : task.runs) {
    if (isMaking && isMaker(run)) continue;
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
  if (!task.replied && step.now + expectedMs(session, task.spec.model) >= deadlineOf(task)) return false;
  if (otherClass) {
    const { deviceClass } = groundOn(session, task.spec.model);
    if (task.runs.some((run) => run.deviceClass === deviceClass)) return false;
  }
  return role !== "third" || passesOf(session.standing, groundOn(session, task.spec.model)) >= NEWCOMER_PASSES;
}

export const someoneMayRun = (step: Step, task: OpenTask, wanted: Wanted): boolean =>
  sessionRoles.some((role) =>
    step.state.roster.able(task.spec.model, role).some((session) => mayRun(step, task, session, wanted)),
  );

/** Whether a peer of another device class could take this check. */
export const otherClassMayRun = (step: Step, task: OpenTask, role: Wanted["role"]): boolean =>
  step.state.roster.classCount(task.spec.model) > 1 && someoneMayRun(step, task, { role, otherClass: true });

/**
 * Draws how many executions the verdict of an answered task needs; only now, so that its miner could not know. Of `fast`
 * tasks few are checked; in the place of some checks the miner is sent a canary, unless the answer itself must be checked.
 */
export function drawWanted(step: Step, task: OpenTask, model: CoreModel): number {
  const { spec } = task;
  const makers = makersOf(task).filter((run) => run.by !== "reference");
  const [primary] = makers;
  if (!isCustomers(task)) return 2;
  if (spec.level !== "fast") return Math.max(2, executionsPriced(spec.level));
  if (!primary) return 1;
  let rate = 0;
  for (const run of makers) rate = Math.max(rate, rateOf(step, task, model, run));
  if (rate >= 1) return 2;
  if (step.rng.next() >= rate) return 1;
  if (step.rng.next() >= referenceShareOf(step, task) * checksOf(step, task).canaryPart) return 2;
  return oweCanary(step, primary, model, spec, primary) ? 1 : 2;
}

export function referenceShareOf(step: Step, task: OpenTask): number {
  const { referenceShare, referenceShareLocal } = checksOf(step, task);
  return task.runs.every((run) => run.network === null) ? referenceShareLocal : referenceShare;
}

function rateOf(step: Step, task: OpenTask, model: CoreModel, run: Run): number {
  const { prices, roster, classes } = step.state;
  const { spec } = task;
  const standing = run.by === "reference" ? undefined : roster.standings.get(run.by);
  const ground = groundOf(task, run);
  if (!standing || standing.suspended || run.suspect || classes.isQuarantined(ground)) return 1;
  if (prices.isHigh(spec.price)) return 1;
  const checks = checksOf(step, task);
  const pay = payOf(checks, spec.price, model.royaltyBasisPoints);
  const atRisk = Number(roster.atRisk.get(standing.owner) ?? 0n);
  const cost = task.text && spec.text ? checkCostOf(spec.text, task.text.tokens.length) : 1;
  return checkRate(checks, passesOf(standing, ground), { pay, atRisk }, cost);
}

/**
 * A validator has no answers of its own in whose place it could be sent a canary: it is owed one for as many of the checks
 * in which peers alone agreed, so that a check that only repeats what its miner said is found out.
 */
export function oweValidators(step: Step, task: OpenTask, agreeing: readonly Run[], model: CoreModel): void {
  const { roster } = step.state;
  for (const run of agreeing) {
    const id = run.miner && roster.byMiner.get(run.miner);
    const session = id ? roster.sessions.get(id) : undefined;
    if (session?.role !== "validator") continue;
    if (step.rng.next() < referenceShareOf(step, task) * checksOf(step, task).canaryPart)
      oweCanary(step, run, model, task.spec, task.runs[0]);
  }
}

/** An owner whose failure of a known answer says something about its device class. */
export const isWitness = (step: Step, task: OpenTask, run: Run): boolean => {
  const standing = run.by === "reference" ? undefined : step.state.roster.standings.get(run.by);
  return standing !== undefined && isProven(standing, groundOf(task, run));
};
