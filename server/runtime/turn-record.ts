import { type ModelKey, type OwnerId, type ReceiptId, receiptOf, type TaskId } from "../../shared/ids.ts";
import type { WorkLine } from "../../shared/protocol.ts";
import { assert } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import type { Exhibits } from "../cases/exhibits.ts";
import type { CheckDone, HubEffect, ReceiptRevised, Standing } from "../core/events.ts";
import type { TaskState } from "../core/task.ts";
import { WORDS_PER_PAYMENT } from "../core/witness.ts";
import { expireHold, voidHold } from "../economy/holds.ts";
import type { Transfer } from "../economy/ledger.ts";
import { receiptLeaf } from "../economy/receipts.ts";
import type { PayLine } from "../economy/task-pay.ts";
import type { Settling } from "../settlement/settling.ts";
import type { AttestationRecord } from "../store/attestation-records.ts";
import type { HeldChange } from "../store/held-changes.ts";
import type { Batch, ChainSignature } from "../store/store.ts";
import type { Change } from "./change.ts";
import type { Compatibility } from "./compatibility.ts";
import { type LiveTask, recordOf } from "./live-task.ts";

/** What the record of a turn asks and moves on. */
export interface RecordParts {
  live: ReadonlyMap<TaskId, LiveTask>;
  settling: Settling;
  exhibits: Exhibits;
  compatibility: Compatibility;
  /** SHA-256 over a model's files, part of every receipt. */
  filesHash(model: ModelKey): string | undefined;
  /** What was signed for a word on a miner's availability. */
  proofOf(witness: string): object | null;
}

type Effect<Kind extends HubEffect["kind"]> = Extract<HubEffect, { kind: Kind }>;

export const ended: ReadonlySet<TaskState> = new Set(["settled", "failed", "cancelled", "expired"]);

/**
 * What the effects of one turn leave behind: what one transaction writes (ended tasks, postings, receipts, standings), and
 * what whoever watches is told after it. Effects that are only sent leave nothing.
 */
export class TurnRecord {
  readonly #parts: RecordParts;
  readonly #at: Millis;
  readonly #tasks = new Set<LiveTask>();
  readonly #settled: CheckDone[] = [];
  readonly #revised: ReceiptRevised[] = [];
  readonly #transfers: Transfer[] = [];
  readonly #held: HeldChange[] = [];
  readonly #leaves: { receipt: ReceiptId; leaf: string }[] = [];
  readonly #pay = new Map<OwnerId, WorkLine[]>();
  readonly #standings = new Map<OwnerId, Standing>();
  readonly #judged: Effect<"known-answers">[] = [];
  readonly #attested: AttestationRecord[] = [];
  #referenceRuns = 0;

  constructor(parts: RecordParts, at: Millis) {
    this.#parts = parts;
    this.#at = at;
  }

  add(effect: HubEffect): void {
    switch (effect.kind) {
      case "task-changed":
        return this.#taskChanged(effect);
      case "void-hold":
        return this.#voidHold(effect);
      case "check-done":
        return this.#checkDone(effect);
      case "pool-work":
        return this.#poolWork(effect);
      case "work":
        return this.#work(effect);
      case "reply": {
        const task = this.#parts.live.get(effect.outcome.task);
        if (task && !effect.outcome.result.ok) task.error = effect.outcome.result.error;
        return;
      }
      case "receipt-revised":
        this.#revised.push(effect.fact);
        return;
      case "standing":
        this.#standings.set(effect.standing.owner, effect.standing);
        return;
      case "run-reference":
        this.#referenceRuns++;
        return;
      case "mismatch":
        return this.#parts.exhibits.keep(effect);
      case "known-answers":
        this.#judged.push(effect);
        return;
      case "attested":
        this.#attested.push({ ...effect.fact, proof: this.#parts.proofOf(effect.fact.witness) });
        this.#held.push(...this.#parts.settling.available(effect.fact));
        return;
      case "witness-pay": {
        // Validators serve all domains: the pool of the one that is always there pays their words.
        const paid = this.#parts.settling.words(effect, WORDS_PER_PAYMENT);
        if (paid) this.#transfers.push(paid);
      }
    }
  }

  /** The batch is null where nothing is to be written. Miners' signatures go into the same commit as the work they cover. */
  finish(chainSignatures: ChainSignature[]): {
    batch: Batch | null;
    change: Change;
    leaves: { receipt: ReceiptId; leaf: string }[];
  } {
    const standings = [...this.#standings.values()];
    const transfers = this.#transfers;
    const batch = {
      tasks: [...this.#tasks].filter((task) => ended.has(task.state)).map(recordOf),
      transfers,
      standings,
      chainSignatures,
      compatibility: this.#parts.compatibility.add(this.#judged),
      attestations: this.#attested,
      held: this.#held,
    };
    const change = {
      at: this.#at,
      tasks: this.#tasks,
      settled: this.#settled,
      revised: this.#revised,
      transfers,
      pay: this.#pay,
      standings,
      attested: this.#attested,
      referenceRuns: this.#referenceRuns,
    };
    const isEmpty = Object.values(batch).every(({ length }) => length === 0);
    return { batch: isEmpty ? null : batch, change, leaves: this.#leaves };
  }

  #taskChanged({ task: id, state, at, what }: Effect<"task-changed">): void {
    const task = this.#parts.live.get(id);
    if (!task) return;
    task.state = state;
    task.timeline.push({ at, what });
    if (ended.has(state)) task.endedAt = at;
    this.#tasks.add(task);
  }

  #voidHold({ task: id }: Effect<"void-hold">): void {
    const task = this.#parts.live.get(id);
    assert(task, `hold of ${id} voided, but the task is not open`);
    const { customer, price } = task.spec;
    const end = task.state === "expired" ? expireHold : voidHold;
    this.#transfers.push(end({ task: id, customer, amount: price }, this.#at));
  }

  #checkDone({ fact }: Effect<"check-done">): void {
    const { settling, filesHash, live } = this.#parts;
    const { transfer, lines, held } = settling.settle(fact);
    this.#transfers.push(transfer);
    this.#held.push(...held);
    const leaf = receiptLeaf(fact, transfer, {
      filesHash: filesHash(fact.model),
      depositOf: (owner) => settling.depositOf(owner, fact.model),
    });
    this.#leaves.push({ receipt: receiptOf(fact.task), leaf });
    this.#settled.push(fact);
    const task = live.get(fact.task);
    if (task) {
      task.basis = fact.basis;
      task.came = fact;
    }
    this.#addLines(fact.model, lines);
  }

  #poolWork({ fact }: Effect<"pool-work">): void {
    const { transfer, lines, held } = this.#parts.settling.poolWork(fact);
    if (transfer) this.#transfers.push(transfer);
    this.#held.push(...held);
    this.#addLines(fact.model, lines);
  }

  #work({ owner, assignment, model, role, outcome, reason }: Effect<"work">): void {
    const at = this.#at;
    this.#addPay(owner, { assignment, model, role, at, outcome, amount: "0", reason });
    if (outcome === "refuted") this.#held.push({ kind: "refuted", owner, at });
  }

  #addLines(model: ModelKey, lines: readonly PayLine[]): void {
    for (const { owner, amount, ...line } of lines) {
      this.#addPay(owner, { ...line, model, at: this.#at, amount: amount.toString() });
    }
  }

  #addPay(owner: OwnerId, line: WorkLine): void {
    const lines = this.#pay.get(owner);
    if (lines) lines.push(line);
    else this.#pay.set(owner, [line]);
  }
}
