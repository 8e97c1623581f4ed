import type { OwnerId } from "../../shared/ids.ts";
import type { Comparison } from "../../shared/tolerance.ts";
import { oweCanary, owedByItself } from "./canary-owed.ts";
import { groundOf, groundOn, isWitness } from "./checkers.ts";
import type { CoreModel, HubEvent, Mismatch, Overturn, Standing } from "./events.ts";
import type { MinerSession } from "./roster.ts";
import { type OpenTask, paidRole, type Run, type Step } from "./state.ts";
import { besideEachOther } from "./text.ts";
import {
  expel,
  type Ground,
  groundKey,
  mismatchesOf,
  recordMismatch,
  recordPass,
  restore,
  voidStrikes,
} from "./trust.ts";

/**
 * What a verdict means for those who ran the task (../shared/policy.md, "Fault of a device, fault of a person"): passes and
 * strikes, rechecks, faults of a device class, suspension. A suspension opens a case; what a case may cost is decided by a
 * person, and no effect of this file moves money.
 */

/** The run agreed with the accepted answer, which somebody else found too. */
export function credit(step: Step, task: OpenTask, run: Run): void {
  const standing = standingOf(step, run);
  if (!standing) return;
  const isRecheck = task.origin.kind === "recheck" && run === task.origin.answer;
  recordPass(standing, groundOf(task, run), step.now, !isRecheck);
  step.out.push({ kind: "standing", standing });
  const session = sessionOf(step, run);
  if (session) session.accepted++;
}

/** What the reference node answered, now or when the canary was made. */
interface Truth {
  outputs: Run["outputs"];
  commitment: string;
  referenceMs: number;
}

/** The reference node refuted the run beyond what any honest device shows. */
export function blame(
  step: Step,
  task: OpenTask,
  run: Run,
  model: CoreModel,
  truth: Truth,
  { distance, what }: Comparison,
): void {
  const { state, now, out } = step;
  const standing = standingOf(step, run);
  if (!standing || run.assignment === null) return;
  const ground = groundOf(task, run);
  const isCanary = task.origin.kind === "canary";
  const witness = isWitness(step, task, run);
  const mismatch: Mismatch = {
    at: now,
    task: task.spec.task,
    assignment: run.assignment,
    ...ground,
    found: isCanary ? "canary" : task.origin.kind === "recheck" && run === task.origin.answer ? "recheck" : "check",
    inputHash: task.spec.inputHash,
    commitment: run.commitment,
    reference: truth.commitment,
    distance: Number.isFinite(distance) ? distance : Number.MAX_VALUE,
    compared: what,
    referenceMs: truth.referenceMs,
  };
  out.push({
    kind: "work",
    owner: standing.owner,
    assignment: run.assignment,
    model: model.key,
    role: paidRole(run),
    outcome: "refuted",
    reason: "differs from the reference node beyond the model's tolerance",
  });
  const { assignment } = run;
  const { outputs, reference } = task.text
    ? besideEachOther(task.text, run, truth)
    : { ...run, reference: truth.outputs };
  out.push({ kind: "mismatch", assignment, spec: task.spec, outputs, reference });
  // Of answers from before a quarantine that are looked at after it.
  const suspends = recordMismatch(standing, mismatch, state.classes.isQuarantined(ground));
  if (standing.pools) delete standing.pools[groundKey(ground)]; // what it held is in the mismatch
  state.doubted.push(...state.retained.takeAll(standing.owner));
  const session = sessionOf(step, run);
  if (session) session.refuted++;
  if (suspends) openCase(step, standing);
  if (isCanary) failedKnownAnswer(step, standing, ground, run, witness);
  else if (witness) oweCanary(step, run, model, task.spec, run);
  out.push({ kind: "standing", standing });
}

const standingOf = (step: Step, run: Run): Standing | undefined =>
  run.by === "reference" ? undefined : step.state.roster.standings.get(run.by);

function sessionOf(step: Step, run: Run): MinerSession | undefined {
  const id = run.miner && step.state.roster.byMiner.get(run.miner);
  return id ? step.state.roster.sessions.get(id) : undefined;
}

/** Work starts or stops for every session of the owner. */
function refreshOwner(step: Step, owner: OwnerId): void {
  for (const session of step.state.roster.sessions.values()) {
    if (session.owner === owner) step.state.roster.refresh(session);
  }
}

function openCase(step: Step, standing: Standing): void {
  standing.openCase = step.state.nextCase();
  step.out.push({
    kind: "case-opened",
    opened: {
      case: standing.openCase,
      owner: standing.owner,
      at: step.now,
      strikes: standing.strikes,
      evidence: mismatchesOf(standing),
      history: structuredCopy(standing.history),
    },
  });
  refreshOwner(step, standing.owner);
}

/** Notes change in place as passes are counted: evidence must not. */
const structuredCopy = (history: Standing["history"]): Standing["history"] => history.map((entry) => ({ ...entry }));

/** Fresh known answers alone tell a fault of the class: three proven owners on different networks. */
function failedKnownAnswer(step: Step, standing: Standing, ground: Ground, run: Run, witness: boolean): void {
  const { classes } = step.state;
  if (classes.isQuarantined(ground)) return forgive(step, standing, ground);
  if (!witness) return;
  const owners = classes.fail(ground, standing.owner, run.network, step.now);
  if (!owners) return;
  quarantine(step, ground);
  step.out.push({ kind: "class-quarantined", ground, at: step.now, owners });
  for (const owner of owners) {
    const other = step.state.roster.standings.get(owner);
    if (other) forgive(step, other, ground);
  }
}

/** The device was at fault: its strikes go, and with them a suspension that rested on them. */
function forgive(step: Step, standing: Standing, ground: Ground): void {
  const opened = standing.openCase;
  const lifted = voidStrikes(standing, ground, step.now);
  step.out.push({ kind: "standing", standing });
  if (!lifted) return;
  if (opened) {
    const why = "the device class was at fault";
    step.out.push({ kind: "case-withdrawn", case: opened, owner: standing.owner, at: step.now, why });
  }
  refreshOwner(step, standing.owner);
}

/** The class gets no more work for this model and runtime; whoever was struck on it is given a known answer to fail. */
function quarantine(step: Step, ground: Ground): void {
  const { state } = step;
  state.classes.rule(ground, true);
  for (const session of state.roster.sessions.values()) {
    const on = session.models.get(ground.model);
    if (on?.state !== "admitted" || groundKey(groundOn(session, ground.model)) !== groundKey(ground)) continue;
    on.state = "refused";
    on.quarantined = true;
    on.reason = QUARANTINED;
    const struck = mismatchesOf(session.standing).some((one) => groundKey(one) === groundKey(ground));
    if (struck) {
      on.canariesOwed = [owedByItself(state, session, ground.model)];
      state.canarySessions.add(session.id);
    }
    state.roster.refresh(session);
  }
}

export const QUARANTINED = "this kind of device computes the model wrongly: it is quarantined, nobody is blamed";

/** A quarantine from before a restart, or a person's word; lifting one has the model prepared again. */
export function ruleClass(step: Step, event: Extract<HubEvent, { kind: "class.ruled" }>): void {
  const { ground } = event;
  if (event.quarantined) return quarantine(step, ground);
  step.state.classes.rule(ground, false);
  for (const session of step.state.roster.sessions.values()) {
    const on = session.models.get(ground.model);
    if (ground.runtime !== "wasm" && session.onWasm.delete(ground.model)) {
      step.state.roster.forget(session, ground.model); // its GPU shows again what it computes
    } else if (on?.quarantined && groundKey(groundOn(session, ground.model)) === groundKey(ground)) {
      step.state.roster.forget(session, ground.model);
    }
  }
}

/** A person ruled. Dismissed and minor give work back, minor from the start of trust; severe keeps the owner out. */
export function decideCase(step: Step, event: Extract<HubEvent, { kind: "case.decided" }>): void {
  const { roster } = step.state;
  const standing = roster.standings.get(event.owner) ?? event.standing;
  if (!standing || (!event.report && standing.openCase !== event.case)) return;
  const suspendedAt = standing.history.findLast((entry) => entry.kind === "suspended")?.at ?? event.at;
  const openedAt = event.report ? event.at : suspendedAt;
  if (event.report) decideReport(step, event, standing, event.report.overturns);
  else if (event.ruling === "severe") standing.openCase = null;
  else {
    if (event.ruling === "minor") standing.passed = {};
    restore(standing, event.at, `case ${event.case}: ${event.ruling}`);
  }
  const { case: id, owner, at, reviewer, ruling, reason } = event;
  step.out.push({ kind: "case-closed", decision: { case: id, owner, at, openedAt, reviewer, ruling, reason } });
  step.out.push({ kind: "standing", standing });
  refreshOwner(step, event.owner);
}

/** A report froze nothing, so a dismissed one changes nothing. Upheld, its customer is refunded before anyone is fined. */
function decideReport(
  step: Step,
  event: Extract<HubEvent, { kind: "case.decided" }>,
  standing: Standing,
  overturns: Overturn | null,
): void {
  if (event.ruling === "dismissed") return;
  if (overturns) {
    const { task, customer, reason } = overturns;
    step.out.push({ kind: "overturned", fact: overturns });
    const fact = { task, customer, at: event.at, state: "overturned", reason } as const;
    step.out.push({ kind: "receipt-revised", fact });
  }
  standing.passed = {};
  if (event.ruling !== "severe") return;
  if (standing.openCase) {
    const why = "another case put the owner out";
    step.out.push({ kind: "case-withdrawn", case: standing.openCase, owner: event.owner, at: event.at, why });
  }
  expel(standing, event.at);
}
