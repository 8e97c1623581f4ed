import { failure, type TabgridError } from "../../shared/errors.ts";
import type { AccountId, OwnerId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { assert, err, ok, type Result } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import { accounts } from "./accounts.ts";
import { checkCovered } from "./amount.ts";
import { legsOf, type Transfer } from "./ledger.ts";

/**
 * DN that a party stakes on a domain, or delegates to a validator of it. Staked DN votes and earns by time; on its way out
 * it does neither, but is still slashed with its validator; after the delay it is its party's again.
 */
export interface Position {
  domain: string;
  /** Null: on the domain itself. */
  validator: OwnerId | null;
  /** Named by the account of its spendable USDC. */
  party: AccountId;
  amount: Nano;
  /** In the order in which it will be free. */
  unbonding: readonly { amount: Nano; freeAt: Millis }[];
  /** Counts stakes, unstakes and releases: names their transfers. */
  moves: number;
  /** Amount × ms since the epoch began, up to `timeAt`. */
  time: bigint;
  timeAt: Millis;
  /** The least that was staked at every moment since `heldSince`: what may vote. */
  heldSince: Millis;
}

interface Moved {
  position: Position;
  transfer: Transfer;
}

export const openPosition = (domain: string, validator: OwnerId | null, party: AccountId, at: Millis): Position => ({
  domain,
  validator,
  party,
  amount: 0n,
  unbonding: [],
  moves: 0,
  time: 0n,
  timeAt: at,
  heldSince: at,
});

const targetOf = ({ domain, validator }: Position): string => (validator ? `${domain}:${validator}` : domain);

export const stakeAccounts = (position: Position) => ({
  stake: accounts.stake(targetOf(position), position.party),
  unbonding: accounts.unbonding(targetOf(position), position.party),
});

/** `balance`: the party's DN. Stake that is added makes the whole position new to votes that are open. */
export function stake(position: Position, amount: Nano, balance: Nano, at: Millis): Result<Moved, TabgridError> {
  const from = accounts.dn(position.party);
  const covered = checkCovered(amount, balance, from, "amount");
  if (!covered.ok) return covered;
  const next = { ...withTime(position, at), amount: position.amount + amount, heldSince: at };
  return ok(moved(next, "stake", [from, stakeAccounts(position).stake], amount, at));
}

export function unstake(
  position: Position,
  amount: Nano,
  unbondingMs: bigint,
  at: Millis,
): Result<Moved, TabgridError> {
  const { stake: from, unbonding: to } = stakeAccounts(position);
  const covered = checkCovered(amount, position.amount, from, "amount");
  if (!covered.ok) return covered;
  const unbonding = [...position.unbonding, { amount, freeAt: at + Number(unbondingMs) }];
  unbonding.sort((a, b) => a.freeAt - b.freeAt);
  const next = { ...withTime(position, at), amount: position.amount - amount, unbonding };
  return ok(moved(next, "unstake", [from, to], amount, at));
}

/**
 * All whose delay has passed. Refused while nothing is free, and while a case against its validator is open: whoever waits for
 * the ruling is still slashed by it.
 */
export function releaseStake(position: Position, hasOpenCase: boolean, at: Millis): Result<Moved, TabgridError> {
  const free = position.unbonding.filter(({ freeAt }) => freeAt <= at);
  const amount = free.reduce((sum, one) => sum + one.amount, 0n);
  if (amount === 0n) {
    const first = position.unbonding[0];
    const expected = first ? `${first.freeAt}` : "unstaked DN";
    const detail = { field: "at", expected, got: String(at) };
    return err(failure(first ? "time-locked" : "wrong-state", "no stake is free", detail));
  }
  if (hasOpenCase) {
    const detail = { field: "at", expected: "the decision of the open case", got: String(at) };
    return err(failure("time-locked", "a case against the validator is open", detail));
  }
  const unbonding = position.unbonding.filter(({ freeAt }) => freeAt > at);
  const accountsOf = stakeAccounts(position);
  return ok(
    moved({ ...position, unbonding }, "unbond", [accountsOf.unbonding, accounts.dn(position.party)], amount, at),
  );
}

/** Stake × time of the epoch that ends, nano-DN × ms; the next one starts at zero. */
export function closeStakeTime(position: Position, at: Millis): { position: Position; time: bigint } {
  const { time, ...rest } = withTime(position, at);
  return { position: { ...rest, time: 0n }, time };
}

const withTime = (position: Position, at: Millis): Position => {
  assert(at >= position.timeAt, `stake of ${position.party} goes back in time`);
  return { ...position, time: position.time + position.amount * BigInt(at - position.timeAt), timeAt: at };
};

function moved(
  position: Position,
  kind: "stake" | "unstake" | "unbond",
  [from, to]: [AccountId, AccountId],
  amount: Nano,
  at: Millis,
): Moved {
  const moves = position.moves + 1;
  const gains = new Map([
    [from, -amount],
    [to, amount],
  ]);
  const id = `${kind}:${targetOf(position)}:${position.party}:${moves}`;
  return { position: { ...position, moves }, transfer: { id, kind, at, task: null, legs: legsOf(gains) } };
}
