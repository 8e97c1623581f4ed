import type { AccountId, ModelKey, OwnerId, TaskId } from "../../shared/ids.ts";
import { ceilDiv, type Nano } from "../../shared/money.ts";
import { assert } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import { accounts, heldPayOwner } from "./accounts.ts";
import { least } from "./apportion.ts";
import type { Transfer } from "./ledger.ts";
import type { PoolPayment, PoolWork } from "./pool-work.ts";
import { type DomainRevenue, revenueTable, type Settlement } from "./revenue.ts";
import type { VerifiedTask } from "./verified-task.ts";

/** What the economy keeps of a settled task until it has matured. */
export interface HeldTask {
  task: TaskId;
  at: Millis;
  domain: string;
  /** The epoch from which the settings hold that it was settled under. */
  since: number;
  model: ModelKey;
  /** Gross price. */
  revenue: Nano;
  foundation: Nano;
  /** y. */
  processor: Nano;
  /** x. */
  creator: Nano;
  /** z. */
  emission: Nano;
  /** The fixed part and d. */
  burn: Nano;
  /** What each miner was paid, and for how much of `revenue`. */
  pay: readonly { owner: OwnerId; amount: Nano; worth: Nano }[];
  /** How much of `revenue` each miner checked, in equal parts. */
  checks: readonly { owner: OwnerId; worth: Nano }[];
}

/**
 * Reads off a settlement, and the bonus that pledges added, what will mature. The reference node's part of pay and checks
 * is nobody's.
 */
export function heldTask(
  fact: VerifiedTask,
  settlement: Settlement,
  bonus: Transfer | null,
  revenue: DomainRevenue,
  since: number,
): HeldTask {
  const table = revenueTable(revenue, fact.royaltyBasisPoints);
  assert(table.ok, `${fact.task} was settled by a table that is refused`);
  const { domain } = revenue;
  const gained = new Map(settlement.transfer.legs.map(({ account, amount }) => [account, amount]));
  const gainOf = (account: AccountId): Nano => gained.get(account) ?? 0n;

  const minersPart = ceilDiv(fact.price * BigInt(table.value.miners), 10_000n);
  let unearned = minersPart;
  const pay: HeldTask["pay"][number][] = [];
  for (const { owner, amount } of settlement.pay) {
    if (amount === 0n) continue;
    // What the verification pool paid on top of the price comes last and is worth nothing of it.
    const ofPrice = least(amount, unearned);
    unearned -= ofPrice;
    pay.push({ owner, amount, worth: (fact.price * ofPrice) / minersPart });
  }

  for (const { account, amount } of bonus?.legs ?? []) {
    const owner = heldPayOwner(account);
    if (owner) pay.push({ owner, amount, worth: 0n });
  }

  const checks = fact.executions.filter(({ role }) => role === "check" || role === "third");
  return {
    task: fact.task,
    at: fact.at,
    domain,
    since,
    model: fact.model,
    revenue: fact.price,
    foundation: gainOf(accounts.foundation),
    processor: gainOf(accounts.processor),
    creator: gainOf(accounts.creator(fact.creator)),
    emission: gainOf(accounts.emission(domain)),
    burn: gainOf(accounts.burn(domain)),
    pay,
    checks: checks.flatMap(({ by, accepted, signed }) =>
      by !== "reference" && accepted && signed ? [{ owner: by, worth: fact.price / BigInt(checks.length) }] : [],
    ),
  };
}

const noParts = {
  since: 0,
  revenue: 0n,
  foundation: 0n,
  processor: 0n,
  creator: 0n,
  emission: 0n,
  burn: 0n,
  checks: [],
};

/** Pay for work that no customer ordered matures like any other and counts for nothing else. Null where nobody was paid. */
export function heldPoolWork(
  { task, at, why }: PoolWork,
  { pay }: PoolPayment,
  model: ModelKey,
  domain: string,
): HeldTask | null {
  const paid = pay.flatMap(({ owner, amount }) => (amount > 0n ? [{ owner, amount, worth: 0n }] : []));
  if (paid.length === 0) return null;
  return { ...noParts, task: `${why}:${task}` as TaskId, at, domain, model, pay: paid };
}

/** Interest of a dismissed case: goes to held pay, and matures with it. */
export const heldInterest = (of: string, owner: OwnerId, amount: Nano, at: Millis, domain: string): HeldTask => ({
  ...noParts,
  task: `case:${of}` as TaskId,
  at,
  domain,
  model: "" as ModelKey,
  pay: [{ owner, amount, worth: 0n }],
});
