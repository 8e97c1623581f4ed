import type { AssignmentId, CaseId, CustomerId, ModelKey, OwnerId, SessionId, TaskId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import type { ServiceLevel } from "../../shared/pricing.ts";
import { nextInt, type Rng, seededRng } from "../../shared/random.ts";
import { assert } from "../../shared/result.ts";
import type { Tensor } from "../../shared/tensor.ts";
import type { CheckPolicy } from "../core/check-policy.ts";
import type { CaseRuling, CoreModel, HubEffect, HubEvent, Standing } from "../core/events.ts";
import { step } from "../core/hub.ts";
import { HubState } from "../core/state.ts";
import type { Ground } from "../core/trust.ts";
import { accounts } from "../economy/accounts.ts";
import { grant, voidHold } from "../economy/holds.ts";
import type { Transfer } from "../economy/ledger.ts";
import { Books } from "./books.ts";
import {
  type ClassFault,
  fingerprint,
  honestAnswer,
  inputOf,
  inputValue,
  rightAnswer,
  type SimMiner,
} from "./miner.ts";
import { postings } from "./postings.ts";
import { Timeline } from "./timeline.ts";
import type { Watcher } from "./watcher.ts";

/**
 * The production core and economy between simulated miners and customers, all of it out of one seed: messages are late,
 * lost, doubled and overtaken; the process dies at commits and starts again from the books, as server/start-hub.ts does.
 */
export interface WorldOptions {
  seed: number;
  models: CoreModel[];
  network: Conditions;
  watchers: Watcher[];
  referenceBacklog?: number;
  checks?: CheckPolicy;
  /** Number of a commit → whether the process dies before or after it. */
  crashes?: ReadonlyMap<number, "before" | "after">;
  /** What a person rules on a suspended owner, and after how long; null leaves the case open. */
  review?: (miner: SimMiner | undefined) => { ruling: CaseRuling; afterMs: number } | null;
}

export interface Conditions {
  /** One way, uniform. */
  delayMs: [number, number];
  /** Of messages: the connection breaks instead, and comes back after a while. */
  lossRate: number;
  duplicateRate: number;
  /** A miner's own time for one item, uniform. */
  serviceMs: [number, number];
  referenceMs: number;
  /** Of its runs. */
  referenceFailureRate: number;
}

interface Connection {
  session: SessionId;
  miner: SimMiner;
  seq: number;
  signedSeq: number;
  willSign: boolean;
  isOpen: boolean;
  /** Its assignments with their inputs, until answered or cancelled. */
  work: Map<AssignmentId, { model: ModelKey; value: number }>;
  resident: Set<ModelKey>;
}

const TICK_MS = 50;

export class World {
  readonly books: Books;
  readonly timeline = new Timeline();
  readonly miners = new Map<OwnerId, SimMiner>();
  faults: ClassFault[] = [];
  state: HubState;
  now = 1_000_000;
  commits = 0;
  crashCount = 0;
  executions = 0;
  hubWork = 0;
  readonly #options: WorldOptions;
  readonly #rng: Rng;
  #inbox: HubEvent[] = [];
  #connections = new Map<string, Connection>();
  #sessionsMade = 0;
  #ticking = false;
  #quarantined: Ground[] = [];
  /** What miners returned per input, for those who listen in. */
  #heard = new Map<number, Tensor[]>();

  constructor(options: WorldOptions) {
    this.#options = options;
    this.#rng = seededRng(options.seed);
    this.books = new Books((transfer) => this.#tell((watcher) => watcher.posted(transfer)));
    this.state = this.#start();
  }

  grant(customer: string, amount: Nano): void {
    this.books.commit([grant(customer as CustomerId, amount, "start", this.now)], []);
  }

  /** An owner with a past: its standing and held pay from before the simulation. */
  remember(standing: Standing, held: Nano): void {
    const legs = [
      { account: accounts.issuer, asset: "USDC" as const, amount: -held },
      { account: accounts.minerHeld(standing.owner), asset: "USDC" as const, amount: held },
    ];
    const transfer: Transfer = { id: `grant:${standing.owner}`, kind: "grant", at: this.now, task: null, legs };
    this.books.commit(held > 0n ? [transfer] : [], [standing]);
  }

  submit(name: string, customer: string, model: ModelKey, value: number, level: ServiceLevel, price: Nano): void {
    const task = `t_${name}` as TaskId;
    const inputs = [inputOf(value)];
    this.#tell((watcher) => watcher.submitted({ task, customer, model, level, price, value: inputValue(inputs) }));
    const spec = {
      task,
      customer: customer as CustomerId,
      model,
      inputs,
      inputHash: fingerprint(inputs),
      rows: 1,
      dims: {},
      work: 1_000n,
      price,
      level,
      deadlineAt: this.now + 20_000,
    };
    if (this.books.hold({ task, customer: spec.customer, amount: price }, this.now)) {
      this.#report({ kind: "task.submitted", at: this.now, spec });
    } else this.#tell((watcher) => watcher.refusedForBalance(task));
  }

  cancel(name: string): void {
    this.#report({ kind: "task.cancelled", at: this.now, task: `t_${name}` as TaskId });
  }

  /** Connects a miner; one whose owner is suspended is turned away, as the sockets do. */
  join(miner: SimMiner): void {
    this.miners.set(miner.owner, miner);
    const standing = this.books.standing(miner.owner);
    if (standing?.suspended) return;
    const before = this.#connections.get(miner.name);
    if (before?.isOpen) return;
    const session = `s_${miner.name}_${this.#sessionsMade++}` as SessionId;
    const connection: Connection = {
      session,
      miner,
      seq: 0,
      signedSeq: 0,
      willSign: false,
      isOpen: true,
      work: before?.work ?? new Map(),
      resident: before?.resident ?? new Set(),
    };
    this.#connections.set(miner.name, connection);
    if (before) this.#sign(before);
    const { now: at } = this;
    const { network, deviceClass } = miner.traits;
    const held = this.books.balance(accounts.minerHeld(miner.owner));
    this.#report({ kind: "owner.funds", at, owner: miner.owner, atRisk: held });
    const device = {
      runtime: deviceClass % 2 === 0 ? ("webgpu" as const) : ("wasm" as const),
      adapter: "simulated",
      fallback: false,
      features: [],
      memoryBytes: 1_000_000_000,
      agent: "sim",
      ortVersion: "1",
    };
    const who = { session, miner: miner.miner, owner: miner.owner, network, device, slots: 1, standing };
    this.#report({ kind: "miner.joined", at, ...who });
    this.#toHub(connection, () => this.#status(connection));
  }

  leave(miner: SimMiner): void {
    const connection = this.#connections.get(miner.name);
    if (connection?.isOpen) this.#break(connection);
  }

  /** Runs what is planned until then. */
  runUntil(end: number): void {
    for (;;) {
      if (this.#inbox.length > 0) this.#turn();
      if (this.timeline.next > end) break;
      this.now = Math.max(this.now, this.timeline.next);
      this.timeline.advance();
    }
    this.now = Math.max(this.now, end);
  }

  #tell(say: (watcher: Watcher) => void): void {
    for (const watcher of this.#options.watchers) say(watcher);
  }

  #report(event: HubEvent): void {
    this.#inbox.push(event);
  }

  #uniform([least, most]: [number, number]): number {
    return least + this.#rng.next() * (most - least);
  }

  /** Delivers after the network's delay, unless the connection is gone by then. */
  #toHub(connection: Connection, deliver: () => void): void {
    this.timeline.plan(this.now + this.#uniform(this.#options.network.delayMs), () => {
      if (connection.isOpen) deliver();
    });
  }

  #status(connection: Connection): void {
    this.#report({
      kind: "miner.status",
      at: this.now,
      session: connection.session,
      accepting: true,
      slots: 1,
      reason: null,
      resident: [...connection.resident],
    });
  }

  #break(connection: Connection): void {
    connection.isOpen = false;
    for (const id of connection.work.keys()) this.#tell((watcher) => watcher.unassigned(id));
    this.#report({ kind: "miner.lost", at: this.now, session: connection.session });
  }

  #turn(): void {
    const events = this.#inbox.splice(0);
    const { effects, wakeAt } = step(this.state, events, this.#rng);
    const { pool, transfers, standings } = postings(effects, this.books, this.now);
    const durable = transfers.length + standings.length > 0;
    if (durable) this.commits++;
    const crash = durable ? this.#options.crashes?.get(this.commits) : undefined;
    if (crash === "before") return this.#crash();
    this.books.commit(transfers, standings);
    assert(this.books.balance(accounts.pool("commons")) === pool, "the pool is not what its postings say");
    for (const effect of effects) this.#committed(effect);
    for (const { legs } of transfers) {
      for (const { account, amount } of legs) {
        const owner = /^miner:(.*):held$/.exec(account)?.[1];
        if (owner) this.#report({ kind: "owner.paid", at: this.now, owner: owner as OwnerId, amount });
      }
    }
    if (crash === "after") return this.#crash();
    for (const effect of effects) this.#send(effect);
    if (wakeAt !== null && !this.#ticking) {
      this.#ticking = true;
      this.timeline.plan(this.now + TICK_MS, () => {
        this.#ticking = false;
        this.#report({ kind: "tick", at: this.now });
      });
    }
  }

  /** The process dies: all that was not committed is gone, every connection breaks, and it starts from the books. */
  #crash(): void {
    this.crashCount++;
    this.#inbox = [];
    this.#tell((watcher) => watcher.crashed());
    const open = this.books.openHolds().map((held) => voidHold(held, this.now));
    this.books.commit(open, []);
    this.state = this.#start();
    for (const connection of this.#connections.values()) {
      if (!connection.isOpen) continue;
      connection.isOpen = false;
      connection.work.clear();
      this.timeline.plan(this.now + this.#uniform([10, 2_000]), () => this.join(connection.miner));
    }
  }

  #start(): HubState {
    const { models, checks, referenceBacklog = 4 } = this.#options;
    const idPrefix = `${this.crashCount}x`;
    for (const model of models) this.#report({ kind: "model.published", at: this.now, model });
    for (const ground of this.#quarantined) {
      this.#report({ kind: "class.ruled", at: this.now, ground, quarantined: true });
    }
    return new HubState({ idPrefix, referenceServes: true, referenceBacklog, checks });
  }

  /** What the books or their readers know once the batch is in. */
  #committed(effect: HubEffect): void {
    switch (effect.kind) {
      case "check-done": {
        const { task, basis, executions } = effect.fact;
        const accepted = executions.flatMap(({ accepted, assignment }) => (accepted && assignment ? [assignment] : []));
        return this.#tell((watcher) => watcher.settled(task, basis, accepted));
      }
      case "overturned":
        return this.#tell((watcher) => watcher.overturned(effect.fact.task, effect.fact.owner));
      case "case-opened": {
        const { owner, case: id } = effect.opened;
        this.#tell((watcher) => watcher.suspended(owner, id));
        return this.#review(owner, id);
      }
      case "case-withdrawn":
        return this.#tell((watcher) => watcher.restored(effect.owner, "withdrawn"));
      case "case-closed": {
        const { owner, ruling } = effect.decision;
        if (ruling !== "severe") this.#tell((watcher) => watcher.restored(owner, ruling));
        return;
      }
      case "class-quarantined":
        this.#quarantined.push(effect.ground);
        return this.#tell((watcher) => watcher.quarantined(effect.owners));
      case "work":
        if (effect.outcome === "refuted") {
          this.#tell((watcher) => watcher.refuted(effect.owner, effect.assignment));
        }
        return;
    }
  }

  #review(owner: OwnerId, id: CaseId): void {
    const miner = this.miners.get(owner);
    const verdict = this.#options.review?.(miner);
    if (verdict) {
      const { ruling, afterMs } = verdict;
      this.timeline.plan(this.now + afterMs, () => {
        this.#tell((watcher) => watcher.ruled(owner, id, ruling));
        this.#report({
          kind: "case.decided",
          at: this.now,
          case: id,
          owner,
          reviewer: "reviewer",
          ruling,
          standing: this.books.standing(owner),
        });
      });
    }
    if (miner?.traits.behaviour === "whitewashing") {
      this.timeline.plan(this.now + this.#uniform([10, 500]), () => {
        this.leave(miner);
        miner.renew(`${miner.name.split("~")[0]}~${this.#sessionsMade}`);
        this.join(miner);
      });
    }
  }

  #connectionOf(session: SessionId): Connection | undefined {
    const name = session.slice(2, session.lastIndexOf("_"));
    const connection = this.#connections.get(name);
    return connection?.session === session ? connection : undefined;
  }

  #send(effect: HubEffect): void {
    switch (effect.kind) {
      case "reply": {
        const { task, result } = effect.outcome;
        return this.#tell((watcher) =>
          watcher.replied(task, result.ok ? result.outputs : null, result.ok ? result.basis : result.error.code),
        );
      }
      case "run-reference":
        return this.#runReference(effect.task, effect.inputs);
      case "prepare":
        return this.#prepare(effect.session, effect.model);
      case "assign":
        return this.#assign(effect);
      case "kept": {
        const connection = this.#connectionOf(effect.session);
        for (const id of connection?.work.keys() ?? []) {
          if (effect.assignments.includes(id)) this.#planAnswer(connection as Connection, id);
          else connection?.work.delete(id);
        }
        return;
      }
      case "cancel": {
        const connection = this.#connectionOf(effect.session);
        for (const id of effect.assignments) {
          connection?.work.delete(id);
          this.#tell((watcher) => watcher.unassigned(id));
        }
        return;
      }
    }
  }

  #runReference(task: TaskId, inputs: Tensor[]): void {
    const { referenceMs, referenceFailureRate } = this.#options.network;
    const life = this.crashCount;
    this.executions++;
    this.timeline.plan(this.now + referenceMs, () => {
      if (life !== this.crashCount) return;
      if (this.#rng.next() < referenceFailureRate) {
        this.#tell((watcher) => watcher.referenceFailed(task));
        this.#report({ kind: "reference.failed", at: this.now, task, reason: "simulated" });
        return;
      }
      this.#tell((watcher) => watcher.referenceRan(task));
      const outputs = rightAnswer(inputValue(inputs));
      const commitment = fingerprint(outputs);
      this.#report({ kind: "reference.done", at: this.now, task, outputs, commitment, runMs: referenceMs });
    });
  }

  #prepare(session: SessionId, key: ModelKey): void {
    const connection = this.#connectionOf(session);
    const model = this.#options.models.find((one) => one.key === key);
    if (!connection || !model) return;
    this.#toHub(connection, () => {
      const { deviceClass } = connection.miner.traits;
      const outputs = model.golden.map(({ inputs }) => honestAnswer(inputValue(inputs), deviceClass));
      connection.resident.add(key);
      const digest = fingerprint(outputs.flat()).slice(-16);
      this.#report({
        kind: "miner.prepared",
        at: this.now,
        session,
        model: key,
        outputs,
        digest,
        loadMs: 1,
        runMs: 10,
      });
    });
  }

  #assign(effect: Extract<HubEffect, { kind: "assign" }>): void {
    const connection = this.#connectionOf(effect.session);
    if (!connection) return;
    const { owner, traits } = connection.miner;
    for (const { assignment, task, inputs } of effect.items) {
      const value = inputValue(inputs);
      const lease = { owner, ...traits, assignment, task, model: effect.model, value };
      this.#tell((watcher) => watcher.assigned(lease));
      if (!connection.isOpen) {
        this.#tell((watcher) => watcher.unassigned(assignment));
        continue;
      }
      connection.work.set(assignment, { model: effect.model, value });
      if (this.#rng.next() < this.#options.network.lossRate) return this.#loseConnection(connection);
      this.#planAnswer(connection, assignment);
    }
  }

  #loseConnection(connection: Connection): void {
    this.#break(connection);
    this.timeline.plan(this.now + this.#uniform([5, 6_000]), () => this.join(connection.miner));
  }

  #planAnswer(connection: Connection, id: AssignmentId): void {
    const { network } = this.#options;
    const due = this.now + this.#uniform(network.serviceMs) + this.#uniform(network.delayMs);
    this.timeline.plan(due, () => {
      if (!connection.isOpen || !connection.work.has(id) || connection.miner.forgets()) return;
      this.#answer(connection, id);
      if (this.#rng.next() < network.lossRate) this.#loseConnection(connection);
    });
  }

  #answer(connection: Connection, id: AssignmentId): void {
    const { session, miner, work } = connection;
    const { value } = work.get(id) as { value: number };
    work.delete(id);
    const outputs = miner.answer(value, this.#heard.get(value), this.faults, this.now);
    this.#heard.set(value, outputs);
    this.executions++;
    const seq = ++connection.seq;
    const commitment = fingerprint(outputs);
    this.#tell((watcher) => watcher.delivered(miner.owner, session, seq, id, outputs));
    const event = {
      kind: "result",
      at: this.now,
      session,
      assignment: id,
      seq,
      outputs,
      commitment,
      computeMs: 1,
    } as const;
    this.#report(event);
    if (this.#rng.next() < this.#options.network.duplicateRate) {
      this.#toHub(connection, () => this.#report({ ...event, at: this.now }));
    }
    if (connection.willSign) return;
    connection.willSign = true;
    this.timeline.plan(this.now + 100 + nextInt(this.#rng, 1_900), () => {
      connection.willSign = false;
      if (connection.isOpen) this.#sign(connection);
    });
  }

  #sign(connection: Connection): void {
    const { session, seq } = connection;
    if (seq === connection.signedSeq) return;
    connection.signedSeq = seq;
    this.#tell((watcher) => watcher.signed(session, seq));
    this.#report({ kind: "chain.signed", at: this.now, session, seq });
  }
}
