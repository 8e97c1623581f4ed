import { failure } from "../shared/errors.ts";
import { type AccountId, type ModelKey, type OwnerId, type ReceiptId, receiptOf, type TaskId } from "../shared/ids.ts";
import type { Nano } from "../shared/money.ts";
import type { WorkLine } from "../shared/protocol.ts";
import type { Rng } from "../shared/random.ts";
import { assert, type Result } from "../shared/result.ts";
import type { Tensor } from "../shared/tensor.ts";
import type { Clock, Millis } from "../shared/time.ts";
import type { Compatibility } from "./compatibility.ts";
import type { CheckDone, HubEffect, HubEvent, ReceiptRevised, Standing, TaskOutcome, TaskSpec } from "./core/events.ts";
import { step } from "./core/hub.ts";
import type { HubState } from "./core/state.ts";
import type { TaskState } from "./core/task.ts";
import { WORDS_PER_PAYMENT } from "./core/witness.ts";
import { raises } from "./demand.ts";
import type { DomainMap } from "./domain-map.ts";
import { heldPayOwner } from "./economy/accounts.ts";
import { expireHold, voidHold } from "./economy/holds.ts";
import type { Transfer } from "./economy/ledger.ts";
import { receiptBatch, receiptLeaf } from "./economy/receipts.ts";
import { Exhibits } from "./exhibits.ts";
import { KeptAnswers } from "./kept-answers.ts";
import { type LiveTask, recordOf } from "./live-task.ts";
import { revisedLeaves } from "./receipt-revisions.ts";
import type { Progress, Question } from "./reference/desk.ts";
import { commitRevision, gather, nothingRevised, revise } from "./revisions.ts";
import { Settling } from "./settling.ts";
import type { MinerEffect } from "./sockets/miners.ts";
import type { AttestationRecord } from "./store/attestation-records.ts";
import type { HeldChange } from "./store/held-changes.ts";
import { sha256 } from "./store/sha256.ts";
import type { Batch, ChainSignature, Store } from "./store/store.ts";
import { revisedEvent } from "./webhooks/events.ts";

/**
 * The loop around the core (../shared/design.md section 5): drain what has arrived, set the prices of new requests aside,
 * step each event, commit all durable effects in one transaction, then send. What waits while a commit runs becomes the
 * next batch, so load makes commits larger, not more frequent. It owns the hub's only timer. A failed commit is fatal:
 * the state has moved on, so the process ends and starts again from the store.
 */

export interface RuntimeOptions {
  state: HubState;
  rng: Rng;
  store: Store;
  clock: Clock;
  domains: DomainMap;
  /** Signs the preimage of a receipt root, base64url. */
  sign(preimage: Uint8Array): string;
  compatibility: Compatibility;
  /** SHA-256 over a model's files, part of every receipt. */
  filesHash(model: ModelKey): string | undefined;
  runReference(
    question: Question,
    progress: Progress,
  ): Promise<Result<{ outputs: Tensor[]; commitment: string; runMs: number }, string>>;
  /** What was signed for a word on a miner's availability. */
  proofOf(witness: string): object | null;
  fatal(error: unknown): void;
}

/** What people watch: called after each commit with what it changed. */
export interface Observer {
  committed(change: Change): void;
}

export interface Change {
  at: Millis;
  tasks: ReadonlySet<LiveTask>;
  settled: readonly CheckDone[];
  /** Delivered answers that turned out wrong. */
  revised: readonly ReceiptRevised[];
  transfers: readonly Transfer[];
  pay: ReadonlyMap<OwnerId, readonly WorkLine[]>;
  standings: readonly Standing[];
  /** Words on the presence of miners. */
  attested: readonly AttestationRecord[];
  referenceRuns: number;
}

type ReceiptLeaf = { receipt: ReceiptId; leaf: string };
const BATCH_MAX = 4_096;
const ended: ReadonlySet<TaskState> = new Set(["settled", "failed", "cancelled", "expired"]);

export class Runtime {
  readonly live = new Map<TaskId, LiveTask>();
  readonly observers = new Set<Observer>();
  deliver: (effect: MinerEffect) => void = () => {};
  readonly #options: RuntimeOptions;
  readonly answers: KeptAnswers;
  readonly #exhibits: Exhibits;
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

  /** At start: the verification pools' balances by domain, and miners' deposits by account. */
  constructor(options: RuntimeOptions, pools: ReadonlyMap<string, Nano>, deposits: ReadonlyMap<AccountId, Nano>) {
    this.#options = options;
    this.answers = new KeptAnswers(options.clock);
    this.observers.add(this.answers);
    this.#settling = new Settling(options.domains, pools, deposits);
    this.#exhibits = new Exhibits((model) => options.state.models.get(model)?.comparator ?? null);
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
    const { batch: plain, change, leaves } = this.#durable(effects);
    const { store, domains, sign } = this.#options;
    leaves.push(...(await revisedLeaves(change.revised, store)));
    const receipts = () => receiptBatch(leaves, change.at, sign, sha256);
    const webhookEvents = change.revised.map(revisedEvent);
    const batch = leaves.length > 0 ? { ...plain, receipts: receipts(), webhookEvents } : plain;
    const past = await gather(effects, store);
    if (past || raises(batch, domains.wanted)) {
      const parts = { domains, pools: this.#settling.pools, exhibits: this.#exhibits };
      const more = await commitRevision(store, batch ?? {}, change.at, domains.wanted, async (books) =>
        past ? revise(past, { ...parts, books }) : nothingRevised(),
      );
      this.#settling.follow(more);
      change.transfers = [...change.transfers, ...more];
    } else if (batch) await store.commit(batch);
    this.#reportFunds(change.transfers);
    this.#send(effects);
    for (const task of change.tasks) if (ended.has(task.state)) this.live.delete(task.spec.task);
    for (const observer of this.observers) observer.committed(change);
    this.#sleep(wakeAt);
  }

  /** Gathers what must be committed: ended tasks, postings, receipts, standings. */
  #durable(effects: readonly HubEffect[]): { batch: Batch | null; change: Change; leaves: ReceiptLeaf[] } {
    const at = this.#options.clock.now();
    const transfers: Transfer[] = [];
    const leaves: ReceiptLeaf[] = [];
    const standings = new Map<OwnerId, Standing>();
    const changed = new Set<LiveTask>();
    const facts: CheckDone[] = [];
    const revised: Change["revised"][number][] = [];
    const pay = new Map<OwnerId, WorkLine[]>();
    const addPay = (owner: OwnerId, line: WorkLine) => pay.set(owner, [...(pay.get(owner) ?? []), line]);
    const held: HeldChange[] = [];
    const judged: Extract<HubEffect, { kind: "known-answers" }>[] = [];
    const attestations: AttestationRecord[] = [];
    let referenceRuns = 0;
    for (const effect of effects) {
      switch (effect.kind) {
        case "task-changed": {
          const task = this.live.get(effect.task);
          if (!task) break;
          task.state = effect.state;
          task.timeline.push({ at: effect.at, what: effect.what });
          if (ended.has(effect.state)) task.endedAt = effect.at;
          changed.add(task);
          break;
        }
        case "void-hold": {
          const task = this.live.get(effect.task);
          assert(task, `hold of ${effect.task} voided, but the task is not open`);
          const { customer, price } = task.spec;
          const end = task.state === "expired" ? expireHold : voidHold;
          transfers.push(end({ task: effect.task, customer, amount: price }, at));
          break;
        }
        case "check-done": {
          const { transfer, lines, held: kept } = this.#settling.settle(effect.fact);
          transfers.push(transfer);
          held.push({ kind: "settled", held: kept, by: transfer.id });
          const { model } = effect.fact;
          const leaf = receiptLeaf(effect.fact, transfer, {
            filesHash: this.#options.filesHash(model),
            depositOf: (owner) => this.#settling.depositOf(owner, model),
          });
          leaves.push({ receipt: receiptOf(effect.fact.task), leaf });
          facts.push(effect.fact);
          const task = this.live.get(effect.fact.task);
          if (task) {
            task.basis = effect.fact.basis;
            task.came = effect.fact;
          }
          for (const { owner, amount, ...line } of lines) {
            addPay(owner, { ...line, model: effect.fact.model, at, amount: amount.toString() });
          }
          break;
        }
        case "pool-work": {
          const { transfer, lines, held: kept } = this.#settling.poolWork(effect.fact);
          if (transfer) transfers.push(transfer);
          if (transfer && kept) held.push({ kind: "settled", held: kept, by: transfer.id });
          for (const { owner, amount, ...line } of lines) {
            addPay(owner, { ...line, model: effect.fact.model, at, amount: amount.toString() });
          }
          break;
        }
        case "receipt-revised":
          revised.push(effect.fact);
          break;
        case "work": {
          const { assignment, model, role, outcome, reason } = effect;
          addPay(effect.owner, { assignment, model, role, at, outcome, amount: "0", reason });
          if (outcome === "refuted") held.push({ kind: "refuted", owner: effect.owner, at });
          break;
        }
        case "standing":
          standings.set(effect.standing.owner, effect.standing);
          break;
        case "reply": {
          const task = this.live.get(effect.outcome.task);
          if (task && !effect.outcome.result.ok) task.error = effect.outcome.result.error;
          break;
        }
        case "run-reference":
          referenceRuns++;
          break;
        case "mismatch":
          this.#exhibits.keep(effect);
          break;
        case "known-answers":
          judged.push(effect);
          break;
        case "attested":
          attestations.push({ ...effect.fact, proof: this.#options.proofOf(effect.fact.witness) });
          held.push(...this.#settling.available(effect.fact));
          break;
        case "witness-pay": {
          // Validators serve all domains: the pool of the one that is always there pays their words.
          const paid = this.#settling.words(effect, WORDS_PER_PAYMENT);
          if (paid) transfers.push(paid);
        }
      }
    }
    const records = [...changed].filter((task) => ended.has(task.state)).map(recordOf);
    const change = {
      at,
      tasks: changed,
      settled: facts,
      revised,
      transfers: transfers as readonly Transfer[],
      pay,
      standings: [...standings.values()],
      attested: attestations,
      referenceRuns,
    };
    const chainSignatures = this.#chains.splice(0);
    const compatibility = this.#options.compatibility.add(judged);
    const { standings: owners } = change;
    const parts = { tasks: records, transfers, standings: owners, chainSignatures, compatibility, attestations, held };
    if (Object.values(parts).every(({ length }) => length === 0)) return { batch: null, change, leaves };
    return { batch: parts, change, leaves };
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
