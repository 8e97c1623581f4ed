import type { TabgridError } from "../../shared/errors.ts";
import type { AssignmentId, CaseId, MinerId, ModelKey, OwnerId, SessionId, TaskId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import type { Rng } from "../../shared/random.ts";
import type { Tensor } from "../../shared/tensor.ts";
import type { Millis } from "../../shared/time.ts";
import { type CheckPolicy, commonsChecks, MedianPrice } from "./check-policy.ts";
import { DeviceClasses } from "./device-class.ts";
import type { CoreModel, HubEffect, TaskSpec, VerdictBasis } from "./events.ts";
import { type KnownAnswer, KnownAnswers } from "./known-answers.ts";
import type { ProbeSet } from "./probes.ts";
import { Queue, type Role } from "./queue.ts";
import { Retained, type UncheckedAnswer } from "./retained.ts";
import { type Assignment, noteSlow, Roster } from "./roster.ts";
import { assertLegalMove, type TaskState } from "./task.ts";
import type { Span, TextProgress } from "./text.ts";
import { Witnesses } from "./witness.ts";

/** All that the core holds: open tasks, who is here, what waits. Settled and ended tasks live in the store only. */

/** One finished execution of a task. */
export interface Run {
  by: OwnerId | "reference";
  miner: MinerId | null;
  network: string | null;
  runtime: string;
  /** Of the device for this model; `reference` is a class of its own. */
  deviceClass: string;
  assignment: AssignmentId | null;
  role: Role;
  outputs: Tensor[];
  commitment: string;
  /**
   * `awaited` until the miner signs its chain up to this result, or lets the time for it pass; `streamed`: a text's maker that
   * left before its result, whose tokens are authentic by its session's key.
   */
  signature: "signed" | "awaited" | "given-up" | "streamed";
  newcomer: boolean;
  /** Broken-looking, or given before to another question. */
  suspect: boolean;
  computeMs: number;
  /** Agreed with the accepted answer; null before the verdict. */
  accepted: boolean | null;
  /** Of a text: the tokens that it made, or scored. */
  span?: Span;
  /** Its result is not what it had streamed. */
  contradicts?: boolean;
  /** The hub sent its maker away for a request that pays more. */
  preempted?: boolean;
}

/**
 * Whose task it is. A canary is made by the hub to see whether a miner computes; a recheck is a settled `fast` task whose
 * unchecked answer is looked at again; a supply run makes the answer of a future canary.
 */
export type Origin =
  | { kind: "customer" }
  /** `subject`: whose work it stands in for a check of. */
  | { kind: "canary"; expected: KnownAnswer; subject: OwnerId }
  | { kind: "recheck"; answer: Run }
  | { kind: "supply" };

export interface OpenTask {
  spec: TaskSpec;
  origin: Origin;
  /** Executions that the verdict needs; 0 until it is drawn. */
  wanted: number;
  /** Who pays the accepted executions: `pool` once there is no customer, or none any more. */
  payer: "customer" | "pool";
  state: TaskState;
  runs: Run[];
  live: Set<AssignmentId>;
  /** Its items in the queue. */
  waiting: number;
  reference: "unused" | "pending" | "done" | "unavailable";
  /** The caller has its answer (a `fast` task is answered before its verdict). */
  replied: boolean;
  attempts: number;
  hedged: boolean;
  basis: VerdictBasis | null;
  answer: Run | null;
  text: TextProgress | null;
}

/** What an open task starts with. */
export const freshProgress = (): Omit<OpenTask, "spec" | "origin" | "payer"> => ({
  wanted: 0,
  state: "queued",
  runs: [],
  live: new Set(),
  waiting: 0,
  reference: "unused",
  replied: false,
  attempts: 0,
  hedged: false,
  basis: null,
  answer: null,
  text: null,
});

export interface HubOptions {
  /** Makes assignment ids unique over restarts: random, new at each start. */
  idPrefix: string;
  /** Serve requests on the reference node when no miner can. */
  referenceServes: boolean;
  /** Reference runs in flight above which peers are preferred as checkers. */
  referenceBacklog: number;
  /** Of tasks that name none; that of `commons` where it is left out. */
  checks?: CheckPolicy;
}

/** A result that its miner has not signed yet. */
interface Unsigned {
  seq: number;
  task: TaskId;
  run: Run;
  at: Millis;
}

export class HubState {
  readonly options: HubOptions;
  readonly models = new Map<ModelKey, CoreModel>();
  /** The newest of each model. */
  readonly probes = new Map<ModelKey, ProbeSet>();
  readonly tasks = new Map<TaskId, OpenTask>();
  readonly assignments = new Map<AssignmentId, Assignment>();
  /** Recently closed assignments, to tell a repeated result from an unknown one. */
  readonly closed = new Map<AssignmentId, { session: SessionId; answered: boolean }>();
  readonly queue = new Queue();
  readonly roster = new Roster();
  readonly unsigned = new Map<SessionId, Unsigned[]>();
  readonly checks: CheckPolicy;
  readonly prices: MedianPrice;
  /** What one execution of each model last cost. */
  readonly executionPrice = new Map<ModelKey, Nano>();
  readonly retained = new Retained();
  readonly known = new KnownAnswers();
  readonly classes = new DeviceClasses();
  readonly witnesses = new Witnesses();
  /** Sessions that are owed a canary. */
  readonly canarySessions = new Set<SessionId>();
  /** Texts of which a checker may be given a further part. */
  readonly scoringDue = new Set<TaskId>();
  /** Unchecked answers whose owner has failed since: looked at again once they are settled. */
  readonly doubted: UncheckedAnswer[] = [];
  referenceInFlight = 0;
  sweptAt: Millis = 0;
  /** Allowance for hedges: a hundredth of a task each, ../shared/policy.md "Words". */
  hedgeAllowance = 1;
  #counter = 0;

  constructor(options: HubOptions) {
    this.options = options;
    this.checks = options.checks ?? commonsChecks;
    this.prices = new MedianPrice(this.checks.highValueFactor);
  }

  nextAssignment(): AssignmentId {
    return `a_${this.options.idPrefix}${(this.#counter++).toString(36)}` as AssignmentId;
  }

  nextHubTask(): TaskId {
    return `t_${this.options.idPrefix}${(this.#counter++).toString(36)}` as TaskId;
  }

  nextCase(): CaseId {
    return `c_${this.options.idPrefix}${(this.#counter++).toString(36)}` as CaseId;
  }

  nextMessage(): number {
    return this.#counter++;
  }
}

/** What one step works with: the state, the time of the event, and the list that its effects go to. */
export interface Step {
  state: HubState;
  now: Millis;
  rng: Rng;
  out: HubEffect[];
}

/** How often a task is checked, and by whom. */
export const checksOf = (step: Step, { spec }: OpenTask): CheckPolicy => spec.checks ?? step.state.checks;

export const isCustomers = (task: OpenTask): boolean => task.origin.kind === "customer";

export function move(step: Step, task: OpenTask, to: TaskState, what: string): void {
  assertLegalMove(task.state, to);
  task.state = to;
  if (isCustomers(task)) step.out.push({ kind: "task-changed", task: task.spec.task, at: step.now, state: to, what });
}

const CLOSED_KEPT = 20_000;

/** Takes a lease back (answered or not) and frees the miner's room. */
export function closeAssignment(step: Step, assignment: Assignment, answered: boolean): void {
  const { state } = step;
  state.assignments.delete(assignment.id);
  state.tasks.get(assignment.task)?.live.delete(assignment.id);
  state.roster.close(assignment);
  state.closed.set(assignment.id, { session: assignment.session, answered });
  if (state.closed.size > CLOSED_KEPT) {
    for (const oldest of state.closed.keys()) {
      state.closed.delete(oldest);
      break;
    }
  }
}

export function enqueue(step: Step, task: OpenTask, role: Role, urgent: boolean, otherClass = false): void {
  const { task: id, customer, model, rows, text, preemptible } = task.spec;
  const isLast = (text?.preemptible ?? preemptible) === true && role === "primary";
  const lane = isLast ? "last" : urgent ? "first" : "turn";
  step.state.queue.of(model).push({ task: id, customer, role, rows, otherClass }, lane);
  task.waiting++;
}

/** Recalls every lease of a task and takes it out of the queue. */
export function recall(step: Step, task: OpenTask): void {
  const bySession = new Map<SessionId, AssignmentId[]>();
  for (const id of task.live) {
    const assignment = step.state.assignments.get(id);
    if (!assignment) continue;
    noteSlow(step.state.roster, assignment, step.now);
    bySession.set(assignment.session, [...(bySession.get(assignment.session) ?? []), id]);
    closeAssignment(step, assignment, false);
  }
  for (const [session, assignments] of bySession) step.out.push({ kind: "cancel", session, assignments });
  if (task.waiting > 0) step.state.queue.of(task.spec.model).removeTask(task.spec.task);
  task.waiting = 0;
}

/** Ends a task without an accepted answer: the hold is voided, the caller is told unless it has an answer already. */
export function endWithout(
  step: Step,
  task: OpenTask,
  to: "failed" | "cancelled" | "expired",
  error: TabgridError,
  again?: true,
): void {
  recall(step, task);
  move(step, task, to, error.message);
  if (!task.replied) {
    task.replied = true;
    step.out.push({
      kind: "reply",
      outcome: { task: task.spec.task, result: { ok: false, error, ...(again && { again }) } },
    });
  }
  for (const run of task.runs) if (run.accepted === null) unpaid(step, task, run, error.message);
  if (isCustomers(task)) step.out.push({ kind: "void-hold", task: task.spec.task, reason: error.message });
  step.state.tasks.delete(task.spec.task);
}

export const paidRole = (run: Run): "primary" | "check" =>
  run.role === "check" || run.role === "third" ? "check" : "primary";

/** Tells a miner why work that it did is not paid. */
export function unpaid(step: Step, task: OpenTask, run: Run, reason: string): void {
  if (run.by === "reference" || run.assignment === null) return;
  if (task.origin.kind === "recheck" && run === task.origin.answer) return; // it was paid long ago
  const { by: owner, assignment } = run;
  const line = { assignment, model: task.spec.model, role: paidRole(run), outcome: "unpaid" as const, reason };
  step.out.push({ kind: "work", owner, ...line });
}
