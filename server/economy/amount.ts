import { failure, type TabgridError } from "../../shared/errors.ts";
import type { AccountId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { err, ok, type Result } from "../../shared/result.ts";

/** Balances are 64-bit integers in the database. */
export const AMOUNT_MAX: Nano = 2n ** 63n - 1n;

/** An amount that somebody asks to move: more than nothing, and no balance can overflow by it. */
export function checkAmount(amount: Nano, field: string): Result<Nano, TabgridError> {
  if (amount > AMOUNT_MAX) {
    const detail = { field, expected: `at most ${AMOUNT_MAX}`, got: String(amount) };
    return err(failure("amount-overflow", "the amount is larger than any balance can be", detail));
  }
  if (amount <= 0n)
    return err(failure("value-out-of-range", "nothing is moved", { field, expected: "> 0", got: String(amount) }));
  return ok(amount);
}

/** The same, and the account has it. */
export function checkCovered(
  amount: Nano,
  balance: Nano,
  account: AccountId,
  field: string,
): Result<Nano, TabgridError> {
  const checked = checkAmount(amount, field);
  if (!checked.ok || amount <= balance) return checked;
  const detail = { field, expected: `at most ${balance}`, got: String(amount) };
  return err(failure("insufficient-balance", `${account} does not hold this much`, detail));
}

/** The same of what an issuer brings into being: no balance can hold more than all that was issued. `issued`: until now. */
export function checkIssue(amount: Nano, issued: Nano, field: string): Result<Nano, TabgridError> {
  const checked = checkAmount(amount, field);
  const most = AMOUNT_MAX - issued;
  if (!checked.ok || amount <= most) return checked;
  const detail = { field, expected: `at most ${most}`, got: String(amount) };
  return err(failure("amount-overflow", "all balances together would be larger than one can be", detail));
}
