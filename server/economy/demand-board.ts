import { failure, type TabgridError } from "../../shared/errors.ts";
import type { AccountId, CustomerId, ModelKey } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import { accounts } from "./accounts.ts";
import { checkCovered } from "./amount.ts";
import { least } from "./apportion.ts";
import { legsOf, type Transfer } from "./ledger.ts";
import type { Settlement } from "./revenue.ts";

/**
 * Who wants a model served pledges USDC that raises its miners' pay by a share, until the pledge is spent. A pledge is no
 * revenue: nobody else earns from it and no emission follows it.
 */
export interface Pledge {
  pledge: string;
  customer: CustomerId;
  model: ModelKey;
  left: Nano;
  /** On top of a miner's pay, per cent. */
  raisePercent: number;
  withdrawn: boolean;
}

const RAISE_MOST = 1_000;

export function pledge(
  wanted: Pick<Pledge, "pledge" | "customer" | "model" | "raisePercent">,
  amount: Nano,
  balance: Nano,
  at: Millis,
): Result<{ pledge: Pledge; transfer: Transfer }, TabgridError> {
  const { customer, model, raisePercent } = wanted;
  const covered = checkCovered(amount, balance, accounts.customer(customer), "amount");
  if (!covered.ok) return covered;
  if (!Number.isInteger(raisePercent) || raisePercent < 1 || raisePercent > RAISE_MOST) {
    const detail = { field: "raisePercent", expected: `an integer, 1 to ${RAISE_MOST}`, got: String(raisePercent) };
    return err(failure("share-out-of-bounds", "pay cannot be raised by this", detail));
  }
  const gains = new Map([
    [accounts.customer(customer), -amount],
    [accounts.pledge(model), amount],
  ]);
  const id = `pledge:${wanted.pledge}`;
  const transfer: Transfer = { id, kind: "pledge", at, task: null, legs: legsOf(gains) };
  return ok({ pledge: { ...wanted, left: amount, withdrawn: false }, transfer });
}

/** What is not spent goes back to its customer. */
export function withdraw(of: Pledge, at: Millis): Result<{ pledge: Pledge; transfer: Transfer | null }, TabgridError> {
  if (of.withdrawn)
    return err(
      failure("wrong-state", `pledge ${of.pledge} is withdrawn`, {
        field: "pledge",
        expected: "one that is not withdrawn",
        got: of.pledge,
      }),
    );
  const gains = new Map([
    [accounts.pledge(of.model), -of.left],
    [accounts.customer(of.customer), of.left],
  ]);
  const legs = legsOf(gains);
  const id = `pledge:${of.pledge}:back`;
  const transfer: Transfer | null = legs.length > 0 ? { id, kind: "pledge", at, task: null, legs } : null;
  return ok({ pledge: { ...of, left: 0n, withdrawn: true }, transfer });
}

/** What a settlement paid, and when. */
interface Paid {
  pay: readonly Pick<Settlement["pay"][number], "owner" | "amount">[];
  transfer: Pick<Transfer, "task" | "at">;
}

/** Raises the pay of a settled task; pledges of the model are used in their order. */
export function payBonus(
  board: readonly Pledge[],
  model: ModelKey,
  { pay, transfer: settlement }: Paid,
): { board: Pledge[]; transfer: Transfer | null } {
  const gains = new Map<AccountId, Nano>();
  const gain = (account: AccountId, amount: Nano) => gains.set(account, (gains.get(account) ?? 0n) + amount);
  const after = board.map((one) => {
    if (one.model !== model) return one;
    let { left } = one;
    for (const { owner, amount } of pay) {
      const bonus = least((amount * BigInt(one.raisePercent)) / 100n, left);
      left -= bonus;
      gain(accounts.minerHeld(owner), bonus);
    }
    gain(accounts.pledge(model), left - one.left);
    return { ...one, left };
  });
  const { task, at } = settlement;
  const legs = legsOf(gains);
  return { board: after, transfer: legs.length > 0 ? { id: `bonus:${task}`, kind: "bonus", at, task, legs } : null };
}

/**
 * The task was overturned: what of its bonus is still held goes back to the model's first open pledge, or, where none is
 * open, to the customer of its last one.
 */
export function returnBonus(
  board: readonly Pledge[],
  model: ModelKey,
  bonus: Transfer,
  balanceOf: (account: AccountId) => Nano,
  at: Millis,
): { board: Pledge[]; transfer: Transfer | null } {
  const gains = new Map<AccountId, Nano>();
  let back = 0n;
  for (const { account, amount } of bonus.legs) {
    if (amount <= 0n) continue;
    const taken = least(amount, balanceOf(account));
    gains.set(account, -taken);
    back += taken;
  }
  const ofModel = board.filter((one) => one.model === model);
  const open = ofModel.find(({ withdrawn }) => !withdrawn);
  const last = ofModel.at(-1);
  const to = open || !last ? accounts.pledge(model) : accounts.customer(last.customer);
  gains.set(to, back);
  const legs = legsOf(gains);
  return {
    board: board.map((one) => (one === open ? { ...one, left: one.left + back } : one)),
    transfer: legs.length > 0 ? { id: `${bonus.id}:back`, kind: "bonus", at, task: bonus.task, legs } : null,
  };
}
