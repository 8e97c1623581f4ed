import { failure } from "../../shared/errors.ts";
import type { OwnerId, TaskId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import type { Rng } from "../../shared/random.ts";
import type { Result } from "../../shared/result.ts";
import type { Tensor } from "../../shared/tensor.ts";
import type { Clock, Millis } from "../../shared/time.ts";
import { Exhibits } from "../cases/exhibits.ts";
import { revisedLeaves } from "../cases/receipt-revisions.ts";
import { commitRevision, gather, nothingRevised, revise } from "../cases/revisions.ts";
import type { HubEffect, HubEvent, TaskOutcome, TaskSpec } from "../core/events.ts";
import { step } from "../core/hub.ts";
import type { HubState } from "../core/state.ts";
import { heldPayOwner } from "../economy/accounts.ts";
import type { Transfer } from "../economy/ledger.ts";
import { receiptBatch } from "../economy/receipts.ts";
import type { Progress, Question } from "../reference/desk.ts";
import { raises } from "../settlement/demand.ts";
import type { DomainMap } from "../settlement/domain-map.ts";
import { type Funds, Settling } from "../settlement/settling.ts";
import type { MinerEffect } from "../sockets/miners.ts";
import { sha256 } from "../store/sha256.ts";
import type { ChainSignature, Store } from "../store/store.ts";
import { revisedEvent } from "../webhooks/events.ts";
import type { Observer } from "./change.ts";
import { KeptAnswers } from "./kept-answers.ts";
import type { LiveTask } from "./live-task.ts";
import { ended, type RecordParts, TurnRecord } from "./turn-record.ts";

/**
 * The loop around the core (../shared/design.md section 5): drain what has arrived, set the prices of new requests aside,
 * step each event, commit all durable effects in one transaction, then send. What waits while a commit runs becomes the
 * next batch, so load makes commits larger, not more frequent. It owns the hub's only timer. A failed commit is fatal:
 * the state has moved on, so the process ends and starts again from the store.
 */

export interface RuntimeOptions extends Pick<RecordParts, "compatibility" | "filesHash" | "proofOf"> {
  state: HubState;
  rng: Rng;
  store: Store;
  clock: Clock;
  domains: DomainMap;
  /** Signs the preimage of a receipt root, base64url. */
  sign(preimage: Uint8Array): string;
  runReference(
    question: Question,
    progress: Progress,
  ): Promise<Result<{ outputs: Tensor[]; commitment: string; runMs: number }, string>>;
  fatal(error: unknown): void;
}

const BATCH_MAX = 4_096;

export class Runtime {
  readonly live = new Map<TaskId, LiveTask>();
  readonly observers = new Set<Observer>();
  deliver: (effect: MinerEffect) => void = () => {};
  readonly #options: RuntimeOptions;
  readonly answers: KeptAnswers;
  readonly #record: RecordParts;
  #inbox: HubEvent[] = [];
  #chains: ChainSignature[] = [];
  #running = false;
  #timer: NodeJS.Timeout | null = null;
  readonly #settling: Settling;
  #jobs: (() => Promise<void>)[] = [];
  #idle: (() => void)[] = [];
  #reported = 0;
  #done = 0;
  #waiting: { upTo: number; resolve: () => void }[] = [];

  constructor(options: RuntimeOptions, funds: Funds) {
    this.#options = options;
    this.answers = new KeptAnswers(options.clock);
    this.observers.add(this.answers);
    this.#settling = new Settling(options.domains, funds);
    this.#record = {
      ...options,
      live: this.live,
      settling: this.#settling,
      exhibits: new Exhibits((model) => options.state.models.get(model)?.comparator ?? null),
    };
  }

  report(event: HubEvent): void {
    this.#inbox.push(event);
    this.#reported++;
    this.#kick();
  }

  /** Keeps a miner's signature: it goes into the same commit as the work that it covers. Report `chain.signed` next. */
  keepChain(chain: ChainSignature): void {
    this.#chains.push(chain);
  }

  /** Others committed these: pools and funds follow, and whoever watches is told. */
  posted(transfers: readonly Transfer[]): void {
    if (transfers.length === 0) return;
    this.#settling.follow(transfers);
    this.#reportFunds(transfers);
    const at = this.#options.clock.now();
    const nothing = {
      tasks: new Set<LiveTask>(),
      settled: [],
      revised: [],
      standings: [],
      attested: [],
      referenceRuns: 0,
    };
    for (const observer of this.observers) observer.committed({ at, ...nothing, transfers, pay: new Map() });
  }

  /** Resolves with the caller's answer; for `fast` that is before the verdict. */
  submit(spec: TaskSpec, onPart: LiveTask["onPart"] = () => {}): Promise<TaskOutcome["result"]> {
    const at = this.#options.clock.now();
    return new Promise((reply) => {
      this.live.set(spec.task, {
        spec,
        state: "queued",
        basis: null,
        submittedAt: at,
        endedAt: null,
        error: null,
        timeline: [],
        came: null,
        reply,
        onPart,
      });
      this.report({ kind: "task.submitted", at, spec });
    });
  }

  /**
   * Work on the books between two turns: no task is settled and no answer overturned meanwhile. What it posted is told to the
   * core and to whoever watches.
   */
  between<T>(work: () => Promise<{ value: T; transfers: readonly Transfer[] }>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#jobs.push(async () => {
        try {
          const { value, transfers } = await work();
          this.posted(transfers);
          resolve(value);
        } catch (error) {
          reject(error);
        }
      });
      this.#kick();
    });
  }

  /** Resolves when what was reported until now is committed and sent, whatever comes in meanwhile. */
  caughtUp(): Promise<void> {
    if (this.#done === this.#reported) return Promise.resolve();
    const upTo = this.#reported;
    return new Promise((resolve) => this.#waiting.push({ upTo, resolve }));
  }

  /** Resolves when everything that was reported is committed and sent. */
  settled(): Promise<void> {
    if (!this.#running) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  async close(): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer);
    await this.settled();
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #kick(): void {
    if (this.#running) return;
    this.#running = true;
    setImmediate(() => {
      this.#loop().catch((error) => this.#options.fatal(error));
    });
  }

  async #loop(): Promise<void> {
    while (this.#inbox.length > 0 || this.#jobs.length > 0) {
      for (const job of this.#jobs.splice(0)) await job();
      const events = this.#inbox.splice(0, BATCH_MAX);
      await this.#turn(await this.#afterHolds(events));
      this.#done += events.length;
      while ((this.#waiting[0]?.upTo ?? Number.POSITIVE_INFINITY) <= this.#done) this.#waiting.shift()?.resolve();
    }
    this.#running = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** Sets prices aside; requests that their customer cannot pay are answered here and never reach the core. */
  async #afterHolds(events: HubEvent[]): Promise<HubEvent[]> {
    const specs = events.flatMap((event) => (event.kind === "task.submitted" ? [event] : []));
    if (specs.length === 0) return events;
    const outcomes = await this.#options.store.hold(
      specs.map(({ at, spec }) => ({ task: spec.task, customer: spec.customer, amount: spec.price, at })),
    );
    const refused = new Set<TaskId>();
    for (const [index, outcome] of outcomes.entries()) {
      const spec = (specs[index] as (typeof specs)[number]).spec;
      if (outcome === "held") continue;
      refused.add(spec.task);
      const message = `the balance does not cover the price of ${spec.price / 1000n} µUSDC`;
      this.live
        .get(spec.task)
        ?.reply({ ok: false, error: failure("insufficient-balance", message, { field: "balance" }) });
      this.live.delete(spec.task);
    }
    if (refused.size === 0) return events;
    return events.filter((event) => event.kind !== "task.submitted" || !refused.has(event.spec.task));
  }

  async #turn(events: HubEvent[]): Promise<void> {
    if (events.length === 0) return;
    const { effects, wakeAt } = step(this.#options.state, events, this.#options.rng);
    const { store, domains, sign, clock } = this.#options;
    const record = new TurnRecord(this.#record, clock.now());
    for (const effect of effects) record.add(effect);
    const { batch: plain, change, leaves } = record.finish(this.#chains.splice(0));
    leaves.push(...(await revisedLeaves(change.revised, store)));
    const receipts = () => receiptBatch(leaves, change.at, sign, sha256);
    const webhookEvents = change.revised.map(revisedEvent);
    const batch = leaves.length > 0 ? { ...plain, receipts: receipts(), webhookEvents } : plain;
    const past = await gather(effects, store);
    if (past || raises(batch, domains.wanted)) {
      const parts = { domains, pools: this.#settling.pools, exhibits: this.#record.exhibits };
      const more = await commitRevision(store, batch ?? {}, change.at, domains.wanted, async (books) =>
        past ? revise(past, { ...parts, books }) : nothingRevised(),
      );
      this.#settling.follow(more.transfers, more.held);
      change.transfers = [...change.transfers, ...more.transfers];
    } else if (batch) await store.commit(batch);
    this.#reportFunds(change.transfers);
    this.#send(effects);
    for (const task of change.tasks) if (ended.has(task.state)) this.live.delete(task.spec.task);
    for (const observer of this.observers) observer.committed(change);
    this.#sleep(wakeAt);
  }

  /** The core weighs what an owner would lose: it is told of every change of held pay. */
  #reportFunds(transfers: readonly Transfer[]): void {
    const gains = new Map<OwnerId, Nano>();
    for (const { legs } of transfers) {
      for (const { account, amount } of legs) {
        const owner = heldPayOwner(account);
        if (owner) gains.set(owner, (gains.get(owner) ?? 0n) + amount);
      }
    }
    const at = this.#options.clock.now();
    for (const [owner, amount] of gains) this.report({ kind: "owner.paid", at, owner, amount });
  }

  #send(effects: readonly HubEffect[]): void {
    for (const effect of effects) {
      switch (effect.kind) {
        case "prepare":
        case "assign":
        case "cancel":
        case "refuse":
        case "kept":
        case "disconnect":
        case "witness-ask":
        case "witness-relay":
        case "witness-answer":
          this.deliver(effect);
          break;
        case "reply":
          this.answers.reply(effect.outcome, this.live.get(effect.outcome.task));
          break;
        case "part":
          this.answers.part(effect.task, effect.part);
          this.live.get(effect.task)?.onPart(effect.part);
          break;
        case "run-reference":
          this.#runReference(effect);
      }
    }
  }

  #runReference({ task, ...question }: Extract<HubEffect, { kind: "run-reference" }>): void {
    const { runReference, state, clock } = this.#options;
    const progress = {
      piece: (outputs: Tensor[]) => this.report({ kind: "reference.tokens", at: clock.now(), task, outputs }),
      isWanted: () => state.tasks.get(task)?.reference === "pending",
    };
    runReference(question, progress).then(
      (run) => {
        const at = clock.now();
        if (run.ok) this.report({ kind: "reference.done", at, task, ...run.value });
        else this.report({ kind: "reference.failed", at, task, reason: run.error });
      },
      (error) => this.#options.fatal(error),
    );
  }

  #sleep(wakeAt: Millis | null): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    if (wakeAt === null) return;
    const delay = Math.max(0, wakeAt - this.#options.clock.now());
    this.#timer = setTimeout(() => this.report({ kind: "tick", at: this.#options.clock.now() }), delay);
  }
}
