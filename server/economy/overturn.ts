import type { AccountId, CustomerId, OwnerId, TaskId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { assert } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import { accounts, heldPayOwner } from "./accounts.ts";
import { legsOf, type Transfer } from "./ledger.ts";

/**
 * A settled answer was refuted: every posting of its settlement is reversed and the customer has the whole price back.
 * Only the pay of this very task is taken from its miner: an overturn is no punishment (../shared/policy.md, "Verdicts and
 * overturns"), held or matured. What a party no longer holds comes from the verification pool, the domain's treasury and the foundation, in
 * this order (../shared/money.md, "Collateral").
 */
export interface RefutedTask {
  task: TaskId;
  at: Millis;
  customer: CustomerId;
  price: Nano;
}

export interface Reversal {
  transfer: Transfer | null;
  /** What nobody could cover: the customer's claim. */
  claim: Nano;
}

/**
 * `held`: what each owner still holds for the task, where that is less than its pay: whoever is not in it has matured it, and
 * gives it back out of its own account. Null: nothing has matured.
 */
export function overturn(
  fact: RefutedTask,
  settlement: Transfer,
  balanceOf: (account: AccountId) => Nano,
  domain: string,
  held: ReadonlyMap<OwnerId, Nano> | null = null,
): Reversal {
  assert(settlement.id === `settle:${fact.task}`, `${settlement.id} does not settle ${fact.task}`);
  const gains = new Map<AccountId, Nano>();
  const take = (account: AccountId, wanted: Nano): Nano => {
    const left = balanceOf(account) + (gains.get(account) ?? 0n);
    const taken = wanted < left ? wanted : left > 0n ? left : 0n;
    gains.set(account, (gains.get(account) ?? 0n) - taken);
    return taken;
  };
  const payer = accounts.customerHeld(fact.customer);
  const customer = accounts.customer(fact.customer);
  // Of a text more was held than it came to.
  const rest = settlement.legs.find(({ account }) => account === customer)?.amount ?? 0n;
  let back = 0n;
  for (const { account, amount } of settlement.legs) {
    if (account === customer) continue;
    if (account === payer) assert(amount === -fact.price - rest, `${fact.task} was settled for another price`);
    else if (amount > 0n) back += take(...whereItIs(account, amount, held));
    else {
      // The pool had paid a check out of its own: it has that back.
      gains.set(account, (gains.get(account) ?? 0n) - amount);
      back += amount;
    }
  }
  for (const account of [accounts.pool(domain), accounts.domain(domain), accounts.foundation]) {
    if (back < fact.price) back += take(account, fact.price - back);
  }
  gains.set(customer, back);
  const legs = legsOf(gains);
  const { task, at } = fact;
  return {
    transfer: legs.length > 0 ? { id: `overturn:${task}`, kind: "overturn", at, task, legs } : null,
    claim: fact.price - back,
  };
}

function whereItIs(account: AccountId, amount: Nano, held: ReadonlyMap<OwnerId, Nano> | null): [AccountId, Nano] {
  const owner = heldPayOwner(account);
  if (owner === null || held === null) return [account, amount];
  const left = held.get(owner);
  if (left === undefined) return [accounts.miner(owner), amount];
  return [account, left < amount ? left : amount];
}
