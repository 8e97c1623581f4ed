import type { CustomerId, TaskId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { assert } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import { accounts } from "./accounts.ts";
import { legsOf, type Transfer } from "./ledger.ts";

/**
 * Two-phase payment. A hold sets a task's price aside when it is submitted, and ends in exactly one of three ways:
 *
 *   pending → posted    the task was verified; `settle` (revenue.ts) spends what is held
 *           → voided    it failed or was cancelled, or the hub restarted while it was open; the customer has it back
 *           → expired   its deadline passed; the customer has it back
 */
export interface Hold {
  task: TaskId;
  customer: CustomerId;
  amount: Nano;
}

export type HoldState = "pending" | "posted" | "voided" | "expired";

export const hold = (of: Hold, at: Millis): Transfer => move("hold", of, of.amount, at);
export const voidHold = (of: Hold, at: Millis): Transfer => move("void", of, -of.amount, at);
export const expireHold = (of: Hold, at: Millis): Transfer => move("expire", of, -of.amount, at);

function move(kind: "hold" | "void" | "expire", { task, customer, amount }: Hold, held: Nano, at: Millis): Transfer {
  assert(amount > 0n, `hold of ${amount} for ${task}`);
  const legs = legsOf(
    new Map([
      [accounts.customer(customer), -held],
      [accounts.customerHeld(customer), held],
    ]),
  );
  return { id: `${kind}:${task}`, kind, at, task, legs };
}

/** Test USDC for a customer; `reason` makes it unique: the same grant again changes nothing. */
export function grant(customer: CustomerId, amount: Nano, reason: string, at: Millis): Transfer {
  assert(amount > 0n, `grant of ${amount} to ${customer}`);
  const legs = legsOf(
    new Map([
      [accounts.issuer, -amount],
      [accounts.customer(customer), amount],
    ]),
  );
  return { id: `grant:${customer}:${reason}`, kind: "grant", at, task: null, legs };
}
