import { failure } from "../../shared/errors.ts";
import type { SessionId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Millis } from "../../shared/time.ts";
import { mayRun } from "./checkers.ts";
import { type Assignment, expectedMs, type MinerSession, noteSlow } from "./roster.ts";
import { prepareModels } from "./scheduler.ts";
import { closeAssignment, endWithout, enqueue, move, type OpenTask, recall, type Step } from "./state.ts";
import { deadlineOf } from "./text.ts";
import { scorerLeft } from "./text-chunks.ts";
import { giveUpText, makerLeft } from "./text-stream.ts";
import { settleIfSigned } from "./verdict.ts";
import { askReference } from "./verification.ts";
import { drawWitnesses } from "./witness.ts";

/**
 * Everything that happens because time passed: leases and deadlines that end, dropped connections whose grace is over,
 * stragglers that are hedged, signatures that did not come. One sweep over what is open; nothing here owns a timer.
 */

const SWEEP_EVERY_MS = 50;
const PREPARE_EVERY_MS = 250;
const HEDGE = { role: "hedge", otherClass: false } as const;
const HEDGE_SHARE = 0.01;
const HEDGE_ALLOWANCE_MAX = 10;
const DEMAND_KEPT_PER_SWEEP = 0.9995;
/** How often a task may lose its miner before it is given up. */
const ATTEMPTS_MAX = 8;
/** After so many lost miners the reference node checks instead, so that a verdict does not wait for lease after lease. */
const CHECK_ATTEMPTS = 2;

export function sweep(step: Step): void {
  const { state, now } = step;
  if (now - state.sweptAt < SWEEP_EVERY_MS) return;
  const prepareDue = Math.floor(now / PREPARE_EVERY_MS) !== Math.floor(state.sweptAt / PREPARE_EVERY_MS);
  state.sweptAt = now;
  for (const session of state.roster.sessions.values()) {
    if (session.graceEndsAt !== null && session.graceEndsAt <= now) dropSession(step, session);
  }
  for (const assignment of state.assignments.values()) {
    if (assignment.leaseEndsAt <= now) endLease(step, assignment);
    else considerHedge(step, assignment);
  }
  for (const task of state.tasks.values()) {
    if (deadlineOf(task) <= now && !task.replied) {
      const error = failure("deadline-missed", `not answered within its deadline (${task.state})`);
      if (task.text) giveUpText(step, task, task.text, error);
      else endWithout(step, task, "expired", error);
    }
  }
  for (const [session, results] of state.unsigned) giveUpUnsigned(step, session, results);
  for (const [model, count] of state.queue.demand) {
    const kept = count * DEMAND_KEPT_PER_SWEEP;
    if (kept < 0.01) state.queue.demand.delete(model);
    else state.queue.demand.set(model, kept);
  }
  if (prepareDue) prepareModels(step);
  drawWitnesses(step);
}

/** When time alone may change something; null while nothing is open. */
export function nextWake(step: Step): Millis | null {
  const { state } = step;
  const open = state.tasks.size + state.assignments.size + state.unsigned.size + state.roster.sessions.size;
  return open > 0 ? step.now + SWEEP_EVERY_MS : null;
}

function endLease(step: Step, assignment: Assignment): void {
  noteSlow(step.state.roster, assignment, step.now);
  step.out.push({ kind: "cancel", session: assignment.session, assignments: [assignment.id] });
  giveBack(step, assignment, "lease ended");
}

/** An assignment will not be answered: its work goes back to the queue, ahead of new requests. */
export function giveBack(
  step: Step,
  assignment: Assignment,
  why: string,
  session = step.state.roster.sessions.get(assignment.session),
): void {
  const task = step.state.tasks.get(assignment.task);
  const isMaking = task?.text?.maker?.assignment === assignment.id;
  if (task?.text && isMaking) {
    if (makerLeft(step, task, task.text, assignment, session, { reason: why }) === "came-back")
      tryAgain(step, task, why);
    return;
  }
  closeAssignment(step, assignment, false);
  if (!task) return;
  if (task.origin.kind === "canary") {
    step.state.tasks.delete(task.spec.task); // it was seen: another one comes with the next draw
    return;
  }
  if (!tryAgain(step, task, why)) return;
  const checks = assignment.role === "check" || assignment.role === "third";
  const { text } = task;
  if (text && checks && (text.scoring?.session === assignment.session || text.finish === null)) {
    return scorerLeft(step, task, text);
  }
  if (task.state === "assigned") {
    if (task.live.size > 0) return; // the straggler's hedge, or the hedge's straggler, still runs
    recall(step, task);
    move(step, task, "queued", `${assignment.role} came back: ${why}`);
    return enqueue(step, task, "primary", true);
  }
  if (checks && task.attempts >= CHECK_ATTEMPTS && task.reference === "unused") {
    return askReference(step, task, "checkers were lost");
  }
  enqueue(step, task, assignment.role, true);
}

/** Counts a miner that gave a task up; false where that was one too many. */
function tryAgain(step: Step, task: OpenTask, why: string): boolean {
  task.attempts++;
  if (task.attempts <= ATTEMPTS_MAX) return true;
  const error = failure("execution-failed", `${task.attempts} miners gave this request up; the last because: ${why}`);
  if (task.text) giveUpText(step, task, task.text, error);
  else endWithout(step, task, "failed", error);
  return false;
}

/** The connection did not come back within its grace, or the miner left. */
export function dropSession(step: Step, session: MinerSession): void {
  const held = [...session.assignments.values()];
  step.state.roster.remove(session);
  for (const assignment of held) giveBack(step, assignment, "the miner left", session);
}

/**
 * Expected finish of work in flight: its expected service time, or, once it is late, as long again as it already took
 * (what has taken long is likely to take long). A straggler that would miss its deadline by that is run a second time.
 */
function considerHedge(step: Step, assignment: Assignment): void {
  const { state, now } = step;
  const task = state.tasks.get(assignment.task);
  // A text that stalls loses its lease and goes on elsewhere: two streams of one text would help nobody.
  if (!task || task.text || task.hedged || task.replied || assignment.role !== "primary" || state.hedgeAllowance < 1)
    return;
  const session = state.roster.sessions.get(assignment.session);
  const elapsed = now - assignment.grantedAt;
  const expected = session ? expectedMs(session, assignment.model) : 0;
  const finish = elapsed <= expected ? assignment.grantedAt + expected : now + elapsed;
  if (finish <= task.spec.deadlineAt) return;
  if (!state.roster.free(assignment.model).some((other) => mayRun(step, task, other, HEDGE))) return;
  task.hedged = true;
  state.hedgeAllowance -= 1;
  enqueue(step, task, "hedge", true);
}

export function earnHedge(step: Step): void {
  step.state.hedgeAllowance = Math.min(HEDGE_ALLOWANCE_MAX, step.state.hedgeAllowance + HEDGE_SHARE);
}

function giveUpUnsigned(
  step: Step,
  session: SessionId,
  results: { at: Millis; run: { signature: string }; task: OpenTask["spec"]["task"] }[],
): void {
  const settled: OpenTask["spec"]["task"][] = [];
  while (results[0] && results[0].at + limits.chainGraceMs <= step.now) {
    const entry = results.shift() as (typeof results)[number];
    entry.run.signature = "given-up";
    settled.push(entry.task);
  }
  if (results.length === 0) step.state.unsigned.delete(session);
  for (const id of settled) {
    const task = step.state.tasks.get(id);
    if (task) settleIfSigned(step, task);
  }
}
