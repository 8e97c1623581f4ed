import {
  type AssignmentId,
  type CustomerId,
  type MinerId,
  type ModelKey,
  type OwnerId,
  receiptOf,
} from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import type { VerdictBasis } from "../core/events.ts";
import { heldTask } from "../economy/held-task.ts";
import { receiptBatch, receiptLeaf } from "../economy/receipts.ts";
import { commonsRevenue, settle } from "../economy/revenue.ts";
import type { VerifiedTask } from "../economy/verified-task.ts";
import type { HeldChange } from "./held-changes.ts";
import { sha256 } from "./sha256.ts";
import type { Batch, HoldRequest, Store, TaskRecord } from "./store.ts";
import { newTaskId } from "./task-id.ts";

/** What a hub would write, made up: for the store's tests and its benchmark. `run` keeps the task ids of runs apart. */
export class Traffic {
  readonly customers = ["c_ann", "c_bob", "c_cid"] as CustomerId[];
  readonly #run: string;
  readonly #miners: number;
  #tasks = 0;

  constructor(run: string, miners = 40) {
    this.#run = run;
    this.#miners = miners;
  }

  async addCustomers(store: Store): Promise<void> {
    for (const customer of this.customers) await store.addCustomer({ customer, name: "", createdAt: 1 });
  }

  requests(count: number, amount: Nano = 2_000n): HoldRequest[] {
    return Array.from({ length: count }, () => {
      const number = ++this.#tasks;
      const at = 1_000 + number;
      const task = newTaskId(at, sha256(`${this.#run}:${number}`));
      return { task, customer: this.customers[number % 3] as CustomerId, amount, at };
    });
  }

  /** Settles every hold as a task that two miners ran. */
  settlement(holds: readonly HoldRequest[]): Batch {
    let pool = 0n;
    const facts = holds.map((of) => this.fact(of));
    const settled = facts.map((fact) => {
      const settlement = settle(fact, commonsRevenue, pool, sha256);
      if (!settlement.ok) throw new Error(settlement.error.message);
      pool += settlement.value.poolGain;
      const held = heldTask(fact, settlement.value, null, commonsRevenue, 0);
      return { fact, held, ...settlement.value };
    });
    const leaves = settled.map(({ fact, transfer }) => ({
      receipt: receiptOf(fact.task),
      leaf: receiptLeaf(fact, transfer),
    }));
    return {
      tasks: facts.map(taskOf),
      transfers: settled.map(({ transfer }) => transfer),
      receipts: receiptBatch(leaves, 9_000, () => "signature", sha256),
      held: settled.flatMap(({ held, transfer: { id: by }, madeBy: owner, poolGain: gain }): HeldChange[] => [
        { kind: "settled", held, by },
        ...(owner ? [{ kind: "credited", domain: commonsRevenue.domain, owner, gain, by } as const] : []),
      ]),
    };
  }

  fact({ task, customer, amount, at }: HoldRequest): VerifiedTask {
    const execution = { commitment: "bb", accepted: true, signed: true, newcomer: false };
    const miner = (role: "primary" | "check", shift: number) => {
      const number = (at * 7_919 + shift) % this.#miners;
      const [by, id] = [`own_${number}` as OwnerId, `m_${number}` as MinerId];
      return { ...execution, by, miner: id, assignment: `a_${task.slice(2)}${shift}` as AssignmentId, role };
    };
    return {
      task,
      at: at + 5,
      customer,
      model: `model-${at % 3}@1` as ModelKey,
      creator: `creator ${at % 3}`,
      royaltyBasisPoints: 2_000,
      level: "verified",
      price: amount,
      work: 123_456n,
      basis: "checked",
      inputHash: "aa".repeat(32),
      commitment: "bb".repeat(32),
      executions: [miner("primary", 0), miner("check", 1)],
    };
  }
}

export const taskOf = (fact: VerifiedTask): TaskRecord => ({
  task: fact.task,
  customer: fact.customer,
  model: fact.model,
  level: fact.level,
  state: "settled",
  basis: fact.basis as VerdictBasis,
  price: fact.price,
  work: fact.work,
  submittedAt: fact.at - 5,
  endedAt: fact.at,
  error: null,
  timeline: ["queued", "assigned", "answered", "checking", "verified", "settled"].map((what, i) => ({
    at: fact.at - 5 + i,
    what,
  })),
});
