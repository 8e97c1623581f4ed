import type { TabgridError } from "../../shared/errors.ts";
import type { AccountId, OwnerId, TaskId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { ok, type Result } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import { accounts } from "./accounts.ts";
import { least } from "./apportion.ts";
import { legsOf, type Transfer } from "./ledger.ts";
import { type DomainRevenue, revenueTable } from "./revenue.ts";
import { BY_POOL, type PayLine } from "./task-pay.ts";
import type { VerifiedExecution } from "./verified-task.ts";

export interface PoolWork {
  task: TaskId;
  at: Millis;
  royaltyBasisPoints: number;
  /** What one execution of the task costs a customer, */
  price: Nano;
  /** and its work, where executions differ in theirs: FLOP. */
  work?: bigint;
  /** With the task it makes the posting unique. */
  why: string;
  /** Whose work it looked at, which pays for it (check-credit.ts). */
  subject: OwnerId | null;
  executions: readonly VerifiedExecution[];
}

/** Work that the hub ordered for itself, paid like an unpriced check, as far as `pool` lasts: what may be spent on it. */
export interface PoolPayment {
  /** Null where nothing is paid. */
  transfer: Transfer | null;
  pay: PayLine[];
  poolGain: Nano;
}

export function payPoolWork(fact: PoolWork, revenue: DomainRevenue, pool: Nano): Result<PoolPayment, TabgridError> {
  const table = revenueTable(revenue, fact.royaltyBasisPoints);
  if (!table.ok) return table;
  const whole = (fact.price * BigInt(table.value.miners)) / 10_000n;
  const gains = new Map<AccountId, Nano>();
  const pay: PayLine[] = [];
  let left = pool;
  for (const { by: owner, assignment, role: ran, accepted, signed, work } of fact.executions) {
    if (owner === "reference" || assignment === null || !accepted) continue;
    const wanted = fact.work && work !== undefined ? (whole * work) / fact.work : whole;
    const amount = least(wanted, left);
    const isPaid = signed && amount > 0n;
    const role = ran === "primary" || ran === "hedge" ? "primary" : "check";
    const line = { owner, assignment, role, outcome: isPaid ? "paid" : "unpaid" } as const;
    pay.push({ ...line, amount: isPaid ? amount : 0n, reason: reasonOf(role, isPaid, signed) });
    if (!isPaid) continue;
    left -= amount;
    gains.set(accounts.minerHeld(owner), (gains.get(accounts.minerHeld(owner)) ?? 0n) + amount);
  }
  const poolGain = left - pool;
  gains.set(accounts.pool(revenue.domain), poolGain);
  const { task, at, why } = fact;
  const legs = legsOf(gains);
  const transfer: Transfer | null =
    legs.length > 0 ? { id: `pool-work:${why}:${task}`, kind: "pool-work", at, task, legs } : null;
  return ok({ transfer, pay, poolGain });
}

function reasonOf(role: PayLine["role"], isPaid: boolean, signed: boolean): string {
  if (!signed) return "not signed in time: it stays in the verification pool";
  if (!isPaid) return `${role}: the verification pool is short`;
  return role === "primary" ? "primary: the whole miners' part" : BY_POOL;
}
