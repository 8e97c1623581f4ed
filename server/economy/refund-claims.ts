import type { AccountId, CustomerId, TaskId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import type { Millis } from "../../shared/time.ts";
import { accounts } from "./accounts.ts";
import { legsOf, type Transfer } from "./ledger.ts";
import type { RefutedTask } from "./overturn.ts";

/**
 * What of a refund nobody could cover (../shared/money.md, "Collateral"): it waits, and is paid by the verification pool, the
 * domain's treasury and the foundation, in this order, as soon as they hold anything again; the oldest claim first.
 */
export interface RefundClaim {
  task: TaskId;
  customer: CustomerId;
  domain: string;
  left: Nano;
  /** Counts payments: names their transfers. */
  payments: number;
}

export const refundClaim = ({ task, customer }: RefutedTask, domain: string, left: Nano): RefundClaim => {
  return { task, customer, domain, left, payments: 0 };
};

export const claimPayers = (domain: string): AccountId[] => [
  accounts.pool(domain),
  accounts.domain(domain),
  accounts.foundation,
];

/** Null where there is nothing to pay it with. `balanceOf`: what may be taken. */
export function payClaim(
  claim: RefundClaim,
  balanceOf: (account: AccountId) => Nano,
  at: Millis,
): { claim: RefundClaim; transfer: Transfer } | null {
  const gains = new Map<AccountId, Nano>();
  let { left } = claim;
  for (const account of claimPayers(claim.domain)) {
    const held = balanceOf(account);
    const taken = held < left ? held : left;
    if (taken <= 0n) continue;
    gains.set(account, -taken);
    left -= taken;
  }
  if (left === claim.left) return null;
  gains.set(accounts.customer(claim.customer), claim.left - left);
  const payments = claim.payments + 1;
  const id = `claim:${claim.task}:${payments}`;
  const transfer: Transfer = { id, kind: "refund", at, task: claim.task, legs: legsOf(gains) };
  return { claim: { ...claim, left, payments }, transfer };
}
