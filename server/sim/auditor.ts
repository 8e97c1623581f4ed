import { type Tensor, toNumbers } from "../../shared/tensor.ts";
import { MoneyAuditor } from "./money-auditor.ts";
import { RecheckAuditor } from "./recheck-auditor.ts";
import type { Lease, Posting, Watcher } from "./watcher.ts";

/**
 * Someone who watches the hub from outside and keeps books of its own. It knows the right answers, who said what and what
 * was paid, and none of the hub's code: it holds the hub to ../shared/policy.md, ../shared/money.md and
 * ../shared/design.md section 14.
 */
export interface Given extends Lease {
  outputs: Tensor[] | null;
  seq: number;
  session: string;
  live: boolean;
  refuted: boolean;
  /** Broken on its face, or given by this device to another question. */
  suspicious: boolean;
  /** Its owner was refuted after this was given and before it was settled. */
  doubted: boolean;
}

export interface Watched {
  customer: string;
  model: string;
  level: string;
  price: bigint;
  isHigh: boolean;
  hold: "none" | "open" | "settle" | "void" | "expire";
  replies: number;
  /** What was delivered before its verdict. */
  delivered: Tensor[] | null;
  value: number;
  given: Given[];
  referenceRuns: number;
  referenceFailed: boolean;
  basis: string | null;
  paid: Map<string, bigint>;
  overturned: boolean;
  rechecked: boolean;
  crashedSince: boolean;
}

/** What the auditor holds against an owner's results on one model. */
interface TrackRecord {
  /** No more checks than this can have been passed since the last fail. */
  passesAtMost: number;
  undecided: Set<string>;
  fails: number;
  recent: Map<string, number>;
}

const FAIL = 4e-4;
/** Least held pay, in pays, from which a result may go unchecked: 1.6 / (0.67 (L + 1)) < 1. */
const LEAST_STAKE = 1.38;
const NEWCOMER = 20;

export class Auditor implements Watcher {
  readonly faults: string[] = [];
  /** Models that the reference node cannot run. */
  readonly #withoutReference: ReadonlySet<string>;
  readonly tasks = new Map<string, Watched>();
  readonly counts = { settled: 0, unchecked: 0, wrong: 0, overturned: 0, suspended: 0, canaries: 0, quarantines: 0 };
  #given = new Map<string, Given>();
  #records = new Map<string, TrackRecord>();
  #suspended = new Set<string>();
  #refutals = new Map<string, number>();
  /** Session and model whose last answers to the known vectors were wrong. */
  #unfit = new Set<string>();
  #canaryFails = new Set<string>();
  #canaryValues = new Map<string, Set<number>>();
  #inQuarantine = new Set<string>();
  #signedUpTo = new Map<string, number>();
  #prices: bigint[] = [];
  #hedges = 0;
  #crashes = 0;

  readonly #rechecks = new RecheckAuditor(this.tasks);
  readonly #money: MoneyAuditor;

  constructor(withoutReference: readonly string[] = []) {
    this.#withoutReference = new Set(withoutReference);
    this.#money = new MoneyAuditor({
      tasks: this.tasks,
      given: this.#given,
      signedUpTo: this.#signedUpTo,
      isSuspended: (owner) => this.#suspended.has(owner),
      fault: (what) => this.#fault(what),
    });
  }

  /** An owner that had passed checks before. */
  remember(owner: string, model: string, passes: number): void {
    this.#record(owner, model).passesAtMost = passes;
  }

  submitted(task: Parameters<Watcher["submitted"]>[0]): void {
    const { customer, model, level, price, value } = task;
    const sorted = [...this.#prices].sort((a, b) => (a < b ? -1 : 1));
    const median = sorted[sorted.length >> 1] ?? price;
    this.#prices.push(price);
    this.tasks.set(task.task, {
      customer,
      model,
      level,
      price,
      isHigh: sorted.length > 64 && price >= 150n * median,
      hold: "none",
      replies: 0,
      delivered: null,
      value,
      given: [],
      referenceRuns: 0,
      referenceFailed: this.#withoutReference.has(model),
      basis: null,
      paid: new Map(),
      overturned: false,
      rechecked: false,
      crashedSince: false,
    });
  }

  refusedForBalance(task: string): void {
    const watched = this.tasks.get(task);
    if (watched && this.#money.balance(`customer:${watched.customer}`) >= watched.price) {
      this.#fault(`${task} was refused, but its customer can pay`);
    }
    this.tasks.delete(task);
  }

  replied(task: string, outputs: Tensor[] | null, basis: string): void {
    const watched = this.tasks.get(task);
    if (!watched) return this.#fault(`an answer to ${task}, which nobody asked`);
    if (++watched.replies > 1) this.#fault(`${task} was answered twice`);
    if (!outputs) return;
    if (basis === "pending") watched.delivered = outputs;
    const mayPrecedeVerdict = watched.level === "fast" && basis === "pending";
    if (basis === "pending" && !mayPrecedeVerdict)
      this.#fault(`${task} (${watched.level}) was answered before its verdict`);
    if (basis === "unchecked" && watched.level !== "fast")
      this.#fault(`${task} (${watched.level}) was answered unchecked`);
  }

  assigned(to: Lease): void {
    const task = this.tasks.get(to.task);
    const blank = { outputs: null, seq: 0, session: "", live: true, refuted: false, suspicious: false, doubted: false };
    const given: Given = { ...to, ...blank };
    this.#given.set(to.assignment, given);
    if (this.#unfit.has(`${to.session}|${to.model}`))
      this.#fault(`${to.owner} failed a known answer and was given ${to.task}`);
    if (!task) return this.#canary(to);
    this.#rechecks.ranAgain(to.task);
    if (this.#suspended.has(to.owner)) this.#fault(`${to.owner} is suspended and was given ${to.task}`);
    for (const other of task.given) {
      const counts = other.live || (other.outputs !== null && !task.referenceFailed);
      if (counts && other.owner === to.owner) this.#fault(`${to.owner} runs ${to.task} twice`);
      if (counts && to.network !== null && other.network === to.network) {
        this.#fault(`${to.owner} and ${other.owner} on one network run ${to.task}`);
      }
    }
    const isAnswered = task.given.some((other) => other.outputs !== null) || task.referenceRuns > 0;
    if (!isAnswered && task.given.some((other) => other.live)) this.#hedges++;
    if (!isAnswered && to.role === "validator") this.#fault(`${to.owner} only checks, yet ${to.task} had no answer`);
    task.given.push(given);
  }

  prepared(session: string, model: string, answers: { value: number; outputs: Tensor[] }[]): void {
    const isRight = answers.every((one) => offBy(one) < FAIL);
    if (isRight) this.#unfit.delete(`${session}|${model}`);
    else this.#unfit.add(`${session}|${model}`);
  }

  #canary({ owner, task, value }: Lease): void {
    this.counts.canaries++;
    const seen = this.#canaryValues.get(owner) ?? new Set();
    this.#canaryValues.set(owner, seen);
    if (seen.has(value)) this.#fault(`${owner} was given the same canary twice (${task})`);
    seen.add(value);
  }

  unassigned(assignment: string): void {
    const given = this.#given.get(assignment);
    if (given) given.live = false;
  }

  delivered(owner: string, session: string, seq: number, assignment: string, outputs: Tensor[]): void {
    const given = this.#given.get(assignment);
    if (!given || given.owner !== owner || given.outputs) return;
    given.outputs = outputs;
    given.seq = seq;
    given.session = session;
    given.live = false;
    const record = this.#record(owner, given.model);
    const text = textOf(outputs);
    const before = record.recent.get(session + text);
    record.recent.set(session + text, before ?? given.value);
    const numbers = numbersOf(outputs);
    given.suspicious = (before !== undefined && before !== given.value) || numbers.every((one) => one === numbers[0]);
    record.passesAtMost++;
    if (!this.tasks.has(given.task)) return;
    record.undecided.add(assignment);
    this.#rechecks.delivered(given);
  }

  signed(session: string, seq: number): void {
    this.#signedUpTo.set(session, seq);
  }

  referenceRan(task: string): void {
    const watched = this.tasks.get(task);
    if (watched) watched.referenceRuns++;
    this.#rechecks.ranAgain(task);
  }

  referenceFailed(task: string): void {
    const watched = this.tasks.get(task);
    if (watched) watched.referenceFailed = true;
    this.#rechecks.ranAgain(task);
  }

  refuted(owner: string, assignment: string): void {
    const given = this.#given.get(assignment);
    if (!given?.outputs || given.owner !== owner)
      return this.#fault(`${owner} was refuted on ${assignment}, not its own`);
    if (given.refuted) this.#fault(`${assignment} was refuted twice`);
    given.refuted = true;
    if (offBy(given) < FAIL) this.#fault(`${owner} was refuted on ${assignment}, but its answer was right`);
    this.#refutals.set(owner, (this.#refutals.get(owner) ?? 0) + 1);
    if (!this.tasks.has(given.task)) this.#canaryFails.add(owner);
    for (const [key, record] of this.#records) {
      if (!key.startsWith(`${owner}|`)) continue;
      record.fails++;
      if (key === `${owner}|${given.model}`) record.passesAtMost = record.undecided.size;
    }
    this.#rechecks.refuted(owner, ({ assignment: id, model }) => this.#record(owner, model).undecided.has(id));
  }

  settled(task: string, basis: string, accepted: string[]): void {
    const watched = this.tasks.get(task);
    if (!watched) return this.#fault(`${task} was settled, but nobody asked it`);
    if (watched.basis) this.#fault(`${task} was settled twice`);
    watched.basis = basis;
    this.counts.settled++;
    const runs = accepted.map((id) => this.#given.get(id)).filter((given) => given !== undefined);
    if (runs.length < accepted.length) this.#fault(`${task} was settled on assignments that were never given`);
    for (const run of runs) {
      if (run.task !== task || !run.outputs)
        this.#fault(`${task} was settled on ${run.assignment}, which gave no answer`);
      if (run.refuted) this.#fault(`${task} was settled on ${run.assignment}, which was refuted`);
    }
    const owners = new Set(runs.map((run) => run.owner));
    if (owners.size < runs.length) this.#fault(`${task} was settled on two executions of one owner`);
    const [first] = runs;
    for (const run of runs) {
      if (first && distance(numbersOf(first.outputs ?? []), numbersOf(run.outputs ?? [])) > FAIL) {
        this.#fault(`${task} was settled on answers that differ`);
      }
    }
    if (runs.some((run) => offBy(run) >= FAIL)) this.counts.wrong++;
    const wanted = watched.level === "fast" ? 1 : watched.level === "verified" ? 2 : Number(watched.level.slice(7));
    if (basis === "reference") {
      if (watched.referenceRuns === 0) this.#fault(`${task} rests on a reference run that did not happen`);
      if (runs.some((run) => offBy(run) >= FAIL)) this.#fault(`${task} was settled wrong against the reference`);
      const { delivered, value } = watched;
      if (delivered && offBy({ outputs: delivered, value }) > 2 * FAIL) {
        this.#fault(`${task} is charged, though the reference refuted what was delivered`);
      }
    } else if (basis === "checked") {
      const enough = watched.referenceFailed ? 2 : Math.max(2, wanted);
      if (owners.size < Math.min(enough, 3)) this.#fault(`${task} (${watched.level}) rests on ${owners.size} owners`);
    } else this.#uncheckedOne(task, watched, first);
    for (const given of watched.given) this.#record(given.owner, given.model).undecided.delete(given.assignment);
  }

  #uncheckedOne(task: string, watched: Watched, run: Given | undefined): void {
    this.counts.unchecked++;
    if (watched.level !== "fast" || !run) return this.#fault(`${task} (${watched.level}) was settled unchecked`);
    const record = this.#record(run.owner, watched.model);
    record.passesAtMost--;
    if (record.passesAtMost < NEWCOMER && record.fails === 0) {
      this.#fault(`${run.owner} is a newcomer (${record.passesAtMost} passes at most), yet ${task} was not checked`);
    }
    if (watched.isHigh) this.#fault(`${task} is of high value and was not checked`);
    if (run.suspicious) this.#fault(`${task} looked broken or repeated and was not checked`);
    const pay = (Number(watched.price) * 67) / 100;
    const held = Number(this.#money.balance(`miner:${run.owner}:held`));
    if (!this.#money.losses.has(run.owner) && held < LEAST_STAKE * pay) {
      this.#fault(`${run.owner} had nothing to lose, yet ${task} was not checked`);
    }
    this.#rechecks.settledUnchecked(task, run);
  }

  overturned(task: string, owner: string, assignment: string | null): void {
    const watched = this.tasks.get(task);
    if (!watched?.basis) return this.#fault(`${task} was overturned, but never settled`);
    if (watched.overturned) this.#fault(`${task} was overturned twice`);
    watched.overturned = true;
    this.counts.overturned++;
    // Who answered it wrong may have answered it right before, when it was tried first.
    const run = this.#given.get(assignment ?? "");
    if (run?.owner !== owner || offBy(run) < FAIL)
      this.#fault(`${task} was overturned, but the answer of ${owner} was right`);
  }

  suspended(owner: string): void {
    this.counts.suspended++;
    this.#suspended.add(owner);
    if ((this.#refutals.get(owner) ?? 0) < 4) this.#fault(`${owner} was suspended for fewer than four refuted answers`);
  }

  restored(owner: string, why: string): void {
    this.#suspended.delete(owner);
    if (why === "withdrawn" && !this.#inQuarantine.has(owner))
      this.#fault(`${owner} was let off without a class fault`);
  }

  ruled(owner: string, caseId: string, ruling: string): void {
    this.#money.rulings.set(`case:${caseId}`, `${ruling} ${owner}`);
  }

  quarantined(owners: string[]): void {
    this.counts.quarantines++;
    if (new Set(owners).size < 3) this.#fault(`a class was quarantined on the word of ${owners.length}`);
    const witnesses = owners.map((owner) => [...this.#given.values()].find((given) => given.owner === owner));
    const networks = witnesses.map((given) => given?.network ?? given?.owner);
    if (new Set(networks).size < owners.length) this.#fault("a class was quarantined on the word of one network");
    for (const owner of owners) {
      if (!this.#canaryFails.has(owner)) this.#fault(`${owner} bears witness, but failed no known answer`);
    }
    const fallen = witnesses[0]?.deviceClass;
    for (const given of this.#given.values()) if (given.deviceClass === fallen) this.#inQuarantine.add(given.owner);
  }

  crashed(): void {
    this.#crashes++;
    this.#rechecks.crashed();
    this.#prices = [];
    for (const watched of this.tasks.values()) watched.crashedSince = true;
    for (const given of this.#given.values()) given.live = false;
  }

  posted(posting: Posting): void {
    this.#money.posted(posting);
    const isEnd = posting.kind === "settle" || posting.kind === "void" || posting.kind === "expire";
    for (const given of (isEnd && this.tasks.get(posting.task ?? "")?.given) || []) {
      this.#record(given.owner, given.model).undecided.delete(given.assignment);
    }
  }

  /** After everything has come to rest; `left` is what the hub still holds open. */
  finish(left: Record<string, number>): void {
    for (const [what, count] of Object.entries(left))
      if (count > 0) this.#fault(`the hub is left with ${count} ${what}`);
    for (const [name, task] of this.tasks) {
      if (task.hold === "open") this.#fault(`the hold of ${name} never ended`);
      if (task.replies === 0 && !task.crashedSince) this.#fault(`${name} was never answered`);
      if ((task.hold === "settle") !== (task.basis !== null))
        this.#fault(`${name}: postings without a verdict, or one without`);
      if (task.basis && task.replies === 0 && !task.crashedSince) this.#fault(`${name} was charged, but not answered`);
    }
    for (const task of this.#rechecks.due) this.#fault(`${task} was not rechecked after a fail of its owner`);
    const total = this.#money.total();
    if (total !== 0n) this.#fault(`all balances together are ${total}`);
    const hedgesAtMost = 1 + this.#crashes + this.tasks.size / 100;
    if (this.#hedges > hedgesAtMost) this.#fault(`${this.#hedges} tasks were given out twice before an answer was in`);
  }

  #record(owner: string, model: string): TrackRecord {
    const key = `${owner}|${model}`;
    let record = this.#records.get(key);
    if (!record) {
      record = { passesAtMost: 0, undecided: new Set(), fails: 0, recent: new Map() };
      this.#records.set(key, record);
    }
    return record;
  }

  #fault(what: string): void {
    if (this.faults.length < 20) this.faults.push(what);
  }
}

const numbersOf = (outputs: readonly Tensor[]): number[] => outputs.flatMap((tensor) => [...toNumbers(tensor)]);
const textOf = (outputs: readonly Tensor[]): string => numbersOf(outputs).join();

/** How far an answer is from the right one, relative. */
export const offBy = (given: { outputs: Tensor[] | null; value: number }): number => {
  const { value } = given;
  return distance(numbersOf(given.outputs ?? []), [value, value + 1, 2 * value + 3]);
};

function distance(a: readonly number[], b: readonly number[]): number {
  let off = 0;
  let size = 0;
  for (const [index, right] of b.entries()) {
    off += ((a[index] ?? 0) - right) ** 2;
    size += right ** 2;
  }
  return Math.sqrt(off / (size || 1));
}
