import type { AssignmentId, CaseId, CustomerId, ModelKey, OwnerId, SessionId, TaskId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import type { ServiceLevel } from "../../shared/pricing.ts";
import { nextInt, type Rng, seededRng } from "../../shared/random.ts";
import type { Tensor } from "../../shared/tensor.ts";
import type { CheckPolicy } from "../core/check-policy.ts";
import type { CaseRuling, CoreModel, HubEffect, HubEvent, Standing } from "../core/events.ts";
import { accounts } from "../economy/accounts.ts";
import { grant } from "../economy/holds.ts";
import type { Transfer } from "../economy/ledger.ts";
import { type Connection, classOf } from "./connection.ts";
import { type CrashPoint, HubProcess } from "./hub-process.ts";
import { type ClassFault, fingerprint, inputOf, inputValue, rightAnswer, type SimMiner, showing } from "./miner.ts";
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
  crashes?: ReadonlyMap<number, CrashPoint>;
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

const TICK_MS = 50;

export class World {
  readonly hub: HubProcess;
  readonly timeline = new Timeline();
  readonly miners = new Map<OwnerId, SimMiner>();
  faults: ClassFault[] = [];
  now = 1_000_000;
  executions = 0;
  readonly #options: WorldOptions;
  readonly #rng: Rng;
  #connections = new Map<string, Connection>();
  #sessionsMade = 0;
  #ticking = false;
  /** What miners returned per input, for those who listen in. */
  #heard = new Map<number, Tensor[]>();

  constructor(options: WorldOptions) {
    this.#options = options;
    this.#rng = seededRng(options.seed);
    const { models, referenceBacklog = 4, checks, crashes, watchers } = options;
    this.hub = new HubProcess({ models, referenceBacklog, checks, crashes }, this.#rng, watchers, this.now);
  }

  grant(customer: string, amount: Nano): void {
    this.hub.books.commit([grant(customer as CustomerId, amount, "start", this.now)], []);
  }

  /** An owner with a past: its standing and held pay from before the simulation. */
  remember(standing: Standing, held: Nano): void {
    const legs = [
      { account: accounts.issuer, asset: "USDC" as const, amount: -held },
      { account: accounts.minerHeld(standing.owner), asset: "USDC" as const, amount: held },
    ];
    const transfer: Transfer = { id: `grant:${standing.owner}`, kind: "grant", at: this.now, task: null, legs };
    this.hub.books.commit(held > 0n ? [transfer] : [], [standing]);
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
    if (this.hub.books.hold({ task, customer: spec.customer, amount: price }, this.now)) {
      this.hub.report({ kind: "task.submitted", at: this.now, spec });
    } else this.#tell((watcher) => watcher.refusedForBalance(task));
  }

  cancel(name: string): void {
    this.hub.report({ kind: "task.cancelled", at: this.now, task: `t_${name}` as TaskId });
  }

  /** The hub makes new known answers of a model, which nobody has seen. */
  renewProbes(model: ModelKey, values: readonly number[]): void {
    const vectors = values.map((value) => ({ inputs: [inputOf(value)], outputs: rightAnswer(value) }));
    this.hub.renewProbes({ model, madeAt: this.now, vectors }, this.now);
  }

  /** Connects a miner; one whose owner is suspended is turned away, as the sockets do. */
  join(miner: SimMiner): void {
    this.miners.set(miner.owner, miner);
    const standing = this.hub.books.standing(miner.owner);
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
      onWasm: before?.onWasm ?? new Set(),
    };
    this.#connections.set(miner.name, connection);
    if (before) this.#sign(before);
    const { now: at } = this;
    const { network, deviceClass, role } = miner.traits;
    const held = this.hub.books.balance(accounts.minerHeld(miner.owner));
    this.hub.report({ kind: "owner.funds", at, owner: miner.owner, atRisk: held });
    const device = {
      runtime: deviceClass % 2 === 0 ? ("webgpu" as const) : ("wasm" as const),
      adapter: "simulated",
      fallback: false,
      features: [],
      memoryBytes: 1_000_000_000,
      agent: "sim",
      ortVersion: "1",
    };
    const who = { session, miner: miner.miner, owner: miner.owner, network, role, device, slots: 1, standing };
    this.hub.report({ kind: "miner.joined", at, ...who });
    this.#toHub(connection, () => this.#status(connection));
  }

  leave(miner: SimMiner): void {
    const connection = this.#connections.get(miner.name);
    if (connection?.isOpen) this.#break(connection);
  }

  /** Runs what is planned until then. */
  runUntil(end: number): void {
    for (;;) {
      if (this.hub.hasWork) this.#turn();
      if (this.timeline.next > end) break;
      this.now = Math.max(this.now, this.timeline.next);
      this.timeline.advance();
    }
    this.now = Math.max(this.now, end);
  }

  #tell(say: (watcher: Watcher) => void): void {
    for (const watcher of this.#options.watchers) say(watcher);
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
    this.hub.report({
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
    this.hub.report({ kind: "miner.lost", at: this.now, session: connection.session });
  }

  #turn(): void {
    const turn = this.hub.turn(this.now);
    if (turn.died) return this.#reconnect();
    for (const effect of turn.effects) this.#send(effect);
    if (turn.wakeAt === null || this.#ticking) return;
    this.#ticking = true;
    this.timeline.plan(this.now + TICK_MS, () => {
      this.#ticking = false;
      this.hub.report({ kind: "tick", at: this.now });
    });
  }

  /** The process died: every connection is broken, and comes back. */
  #reconnect(): void {
    for (const connection of this.#connections.values()) {
      if (!connection.isOpen) continue;
      connection.isOpen = false;
      connection.work.clear();
      this.timeline.plan(this.now + this.#uniform([10, 2_000]), () => this.join(connection.miner));
    }
  }

  #review(owner: OwnerId, id: CaseId): void {
    const miner = this.miners.get(owner);
    const verdict = this.#options.review?.(miner);
    if (verdict) {
      const { ruling, afterMs } = verdict;
      this.timeline.plan(this.now + afterMs, () => {
        this.#tell((watcher) => watcher.ruled(owner, id, ruling));
        this.hub.report({
          kind: "case.decided",
          at: this.now,
          case: id,
          owner,
          reviewer: "reviewer",
          ruling,
          standing: this.hub.books.standing(owner),
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
      case "case-opened":
        return this.#review(effect.opened.owner, effect.opened.case);
      case "reply": {
        const { task, result } = effect.outcome;
        return this.#tell((watcher) =>
          watcher.replied(task, result.ok ? result.outputs : null, result.ok ? result.basis : result.error.code),
        );
      }
      case "run-reference":
        return this.#runReference(effect.task, effect.inputs);
      case "prepare":
        return this.#prepare(effect);
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
    const life = this.hub.crashes;
    this.executions++;
    this.timeline.plan(this.now + referenceMs, () => {
      if (life !== this.hub.crashes) return;
      if (this.#rng.next() < referenceFailureRate) {
        this.#tell((watcher) => watcher.referenceFailed(task));
        this.hub.report({ kind: "reference.failed", at: this.now, task, reason: "simulated" });
        return;
      }
      this.#tell((watcher) => watcher.referenceRan(task));
      const outputs = rightAnswer(inputValue(inputs));
      const commitment = fingerprint(outputs);
      this.hub.report({ kind: "reference.done", at: this.now, task, outputs, commitment, runMs: referenceMs });
    });
  }

  #prepare({ session, model: key, runtime, probes = [] }: Extract<HubEffect, { kind: "prepare" }>): void {
    const connection = this.#connectionOf(session);
    const model = this.#options.models.find((one) => one.key === key);
    if (!connection || !model) return;
    this.#toHub(connection, () => {
      if (runtime === "wasm") connection.onWasm.add(key);
      else connection.onWasm.delete(key);
      const { answers, ...shown } = showing(connection.miner, classOf(connection, key), model, probes);
      connection.resident.add(key);
      this.#tell((watcher) => watcher.prepared?.(session, key, answers));
      this.hub.report({
        kind: "miner.prepared",
        at: this.now,
        session,
        model: key,
        ...shown,
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
      const deviceClass = classOf(connection, effect.model);
      const lease = {
        owner,
        ...traits,
        session: effect.session,
        deviceClass,
        assignment,
        task,
        model: effect.model,
        value,
      };
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
    const { value, model } = work.get(id) as { value: number; model: ModelKey };
    work.delete(id);
    const outputs = miner.answer(value, this.#heard.get(value), this.faults, this.now, classOf(connection, model));
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
    this.hub.report(event);
    if (this.#rng.next() < this.#options.network.duplicateRate) {
      this.#toHub(connection, () => this.hub.report({ ...event, at: this.now }));
      this.#impersonate(event);
    }
    if (connection.willSign) return;
    connection.willSign = true;
    this.timeline.plan(this.now + 100 + nextInt(this.#rng, 1_900), () => {
      connection.willSign = false;
      if (connection.isOpen) this.#sign(connection);
    });
  }

  /** Someone else hands in a result for work that is not its own. */
  #impersonate(event: Extract<HubEvent, { kind: "result" }>): void {
    const others = [...this.#connections.values()].filter((one) => one.isOpen && one.session !== event.session);
    const thief = others[nextInt(this.#rng, others.length)];
    const open = others.flatMap(({ work }) => [...work.keys()]);
    const assignment = open[nextInt(this.#rng, open.length)];
    if (!thief || !assignment || thief.work.has(assignment)) return;
    this.hub.report({ ...event, session: thief.session, assignment, seq: ++thief.seq });
  }

  #sign(connection: Connection): void {
    const { session, seq } = connection;
    if (seq === connection.signedSeq) return;
    connection.signedSeq = seq;
    this.#tell((watcher) => watcher.signed(session, seq));
    this.hub.report({ kind: "chain.signed", at: this.now, session, seq });
  }
}
