import type { AssignmentId, MinerId, OwnerId } from "../../shared/ids.ts";
import { receiptOf } from "../../shared/ids.ts";
import { executionsPriced } from "../../shared/pricing.ts";
import type { CheckDone, Execution, PoolWork } from "../core/events.ts";
import { freshStanding } from "../core/trust.ts";
import { accounts } from "../economy/accounts.ts";
import type { Transfer } from "../economy/ledger.ts";
import { receiptBatch, receiptLeaf } from "../economy/receipts.ts";
import type { DomainMap } from "../settlement/domain-map.ts";
import { Settling } from "../settlement/settling.ts";
import type { TestBooks } from "../settlement/test-books.ts";
import type { HeldChange } from "../store/held-changes.ts";
import type { Version } from "../store/party-records.ts";
import { sha256 } from "../store/sha256.ts";
import type { Batch, HoldRequest } from "../store/store.ts";
import { taskOf } from "../store/traffic.ts";

/**
 * Work of a hub, made up out of its task's id: tensors and texts of every level; checks that agree, differ, come from the
 * reference node or were not signed; hedges, newcomers, texts that changed hands; canaries and words on availability.
 */
export interface MadeUp {
  request: HoldRequest;
  /** The first of those whom it may have gone to. */
  firstOwner: number;
}

export const OWNERS = 40;
export const ownerOf = (number: number): OwnerId => `own_${number}` as OwnerId;

const levels = ["fast", "fast", "fast", "verified", "verified", "verified", "quorum-3", "quorum-5"] as const;

/** The same for the same task, whichever model it asked for. */
export function factOf(
  { request, firstOwner }: MadeUp,
  { model, creator, royaltyBasisPoints }: Pick<Version, "model" | "creator" | "royaltyBasisPoints">,
): CheckDone {
  const { task, customer, amount, at } = request;
  const bytes = sha256(task);
  const byte = (i: number): number => bytes[i] as number;
  const one = (i: number, of: number): boolean => byte(i) % of === 0;
  const executions: Execution[] = [];
  const ran = (role: Execution["role"], more: Partial<Execution> = {}) => {
    const number = firstOwner + ((byte(1) + 7 * executions.length) % OWNERS);
    const miner = `m_${number}` as MinerId;
    const assignment = `a_${task.slice(2)}${executions.length}` as AssignmentId;
    const whole = { by: ownerOf(number), miner, assignment, role, commitment: "bb", accepted: true };
    executions.push({ ...whole, signed: !one(8 + executions.length, 16), newcomer: false, computeMs: 1, ...more });
  };
  const byReference = { by: "reference", miner: null, assignment: null } as const;
  const level = levels[byte(2) % levels.length] as (typeof levels)[number];
  const isText = one(3, 5);
  ran("primary", { newcomer: one(4, 8), ...(one(5, 20) && byReference), ...(isText && { work: 60_000n }) });
  // At most two go on with a text, the reference node too; its caller may have had enough of it before.
  if (isText && one(6, 4)) {
    ran("primary", { work: 40_000n, repeated: 5_000n, preempted: one(7, 2) });
    if (one(24, 3))
      ran("primary", { work: 20_000n, repeated: 7_000n, preempted: one(25, 2), ...(one(26, 4) && byReference) });
  }
  const isCancelled = isText && one(27, 5);
  const made = isText ? executions.reduce((sum, { work = 0n }) => sum + work, 0n) : 123_456n;
  if (!isText && one(6, 10)) ran("hedge");
  const checks = level === "fast" ? (one(7, 3) ? 1 : 0) : executionsPriced(level) - 1;
  for (let i = 0; i < checks; i++) ran("check", one(16 + i, 10) ? byReference : {});
  if (checks > 0 && one(20, 12)) {
    executions[executions.length - 1] = { ...(executions.at(-1) as Execution), accepted: false };
    ran("third", one(21, 2) ? byReference : {});
  }
  const price = isText ? 1n + (amount * BigInt(byte(22))) / (isCancelled ? 2_560n : 256n) : amount;
  const [outputTokens, finish] = isCancelled ? [1, "cancelled" as const] : [30, "stop" as const];
  const text = { promptTokens: 9, outputTokens, finish, seed: "1", held: amount };
  return {
    task,
    at: at + 5,
    customer,
    model,
    creator,
    royaltyBasisPoints,
    level,
    price,
    work: made,
    basis: checks > 0 ? "checked" : "unchecked",
    inputHash: "aa".repeat(32),
    commitment: "bb".repeat(32),
    executions,
    ...(isText && { text: { ...text, checkWork: 20_000n } }),
  };
}

/** As a hub that starts now would know the verification pools. */
export async function settlingNow({ store, domains }: TestBooks): Promise<Settling> {
  const names = domains.names();
  const balances = await store.settlement.balances(names.map(accounts.pool));
  const pools = new Map(names.map((name) => [name, balances.get(accounts.pool(name)) ?? 0n]));
  return new Settling(domains, { pools, deposits: new Map(), credits: await store.settlement.credits() });
}

/** What a hub would commit once these tasks are verified, and what else of the time comes with them. */
export function workOf(facts: readonly CheckDone[], settling: Settling, domains: DomainMap): Batch {
  const transfers: Transfer[] = [];
  const held: HeldChange[] = [];
  const leaves = facts.map((fact) => {
    const settled = settling.settle(fact);
    transfers.push(settled.transfer);
    held.push(...settled.held);
    const canary = sha256(fact.task)[23] as number;
    if (canary % 8 === 0) {
      const paid = settling.poolWork(canaryOf(fact));
      if (paid.transfer) transfers.push(paid.transfer);
      held.push(...paid.held);
    }
    return { receipt: receiptOf(fact.task), leaf: receiptLeaf(fact, settled.transfer) };
  });
  const owners = new Set(facts.flatMap(({ executions }) => executions.map(({ by }) => by)));
  owners.delete("reference");
  const [first] = facts;
  const [owner] = owners as Set<OwnerId>;
  if (first && owner) {
    const paid = settling.words({ owner, words: first.at, at: first.at }, 10);
    if (paid) transfers.push(paid);
    const present = { owner, model: first.model, domain: domains.domainOf(first.model), ms: 300_000n };
    held.push({ kind: "available", ...present });
  }
  return {
    tasks: facts.map(taskOf),
    transfers,
    held,
    ...(first && { receipts: receiptBatch(leaves, first.at, () => "signature", sha256) }),
    standings: ([...owners] as OwnerId[]).map((of) => freshStanding(of, first?.at ?? 0)),
  };
}

const canaryOf = ({ task, at, model, royaltyBasisPoints, price, work, executions }: CheckDone): PoolWork => ({
  task,
  at,
  model,
  royaltyBasisPoints,
  price,
  work,
  why: "canary",
  subject: executions[0]?.by === "reference" ? null : (executions[0]?.by ?? null),
  executions: executions.slice(0, 1),
});
