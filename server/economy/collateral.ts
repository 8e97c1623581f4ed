import { failure, type TabgridError } from "../../shared/errors.ts";
import type { AccountId, OwnerId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { assert, err, ok, type Result } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import { accounts } from "./accounts.ts";
import { legsOf, type Transfer } from "./ledger.ts";
import type { Registration } from "./registration.ts";
import { type Position, stakeAccounts } from "./staking.ts";

/**
 * Slashing and returning of DN, in this place only and only from a decided case (held USDC: case-postings.ts, with the same
 * shares). Minor: 20 % is slashed, the owner stays. Severe: e is slashed, f = 100 − e returned, the owner is expelled. Stake
 * that is delegated to the owner is slashed by the same share and otherwise stays. Slashed DN is burned by half; the other
 * half goes to the domain's verification pool.
 */
export interface CaseRuling {
  case: string;
  owner: OwnerId;
  at: Millis;
  /** Who looked at the evidence. */
  reviewer: string;
  ruling: "dismissed" | "minor" | "severe";
}

const MINOR_PERCENT = 20n;

export interface Slashing {
  registration: Registration;
  positions: Position[];
  slashed: Nano;
  /** Null where there was nothing to take or give back. */
  transfer: Transfer | null;
}

/** `delegated`: the positions whose target is the owner as validator. */
export function slash(
  decision: CaseRuling | null,
  registration: Registration,
  delegated: readonly Position[],
  severePercent: number,
): Result<Slashing, TabgridError> {
  const { domain, owner, deposit } = registration;
  const isUpheld = decision?.ruling === "minor" || decision?.ruling === "severe";
  if (!isUpheld || decision.reviewer.length === 0 || decision.owner !== owner) {
    const got = decision ? `${decision.case}: ${decision.ruling}` : "none";
    const detail = { field: "case", expected: `an upheld case of ${owner}`, got };
    return err(failure("no-upheld-case", "nothing is slashed without an upheld case", detail));
  }
  const percent = decision.ruling === "minor" ? MINOR_PERCENT : BigInt(severePercent);
  const gains = new Map<AccountId, Nano>();
  const move = (account: AccountId, amount: Nano) => gains.set(account, (gains.get(account) ?? 0n) + amount);

  let slashed = (deposit * percent) / 100n;
  const returned = decision.ruling === "severe" ? deposit - slashed : 0n;
  move(accounts.collateral(domain, owner), -(slashed + returned));
  move(accounts.dn(accounts.miner(owner)), returned);
  const positions = delegated.map((position) => {
    const staked = (position.amount * percent) / 100n;
    const leaving = position.unbonding
      .map((one) => ({ ...one, amount: one.amount - (one.amount * percent) / 100n }))
      .filter(({ amount }) => amount > 0n);
    const unbonding = sumOf(position.unbonding) - sumOf(leaving);
    const from = stakeAccounts(position);
    move(from.stake, -staked);
    move(from.unbonding, -unbonding);
    slashed += staked + unbonding;
    return { ...position, amount: position.amount - staked, unbonding: leaving };
  });
  const burned = slashed / 2n;
  move(accounts.dnBurned, burned);
  move(accounts.dn(accounts.pool(domain)), slashed - burned);

  const held = deposit + delegated.reduce((sum, one) => sum + one.amount + sumOf(one.unbonding), 0n);
  assert(slashed <= held, `case ${decision.case} slashes ${slashed} of ${held}`);
  const left = deposit - (deposit * percent) / 100n - returned;
  const state = decision.ruling === "severe" ? "expelled" : registration.state;
  const legs = legsOf(gains);
  const id = `case:${decision.case}:collateral:${domain}`;
  return ok({
    registration: { ...registration, state, deposit: left },
    positions,
    slashed,
    transfer: legs.length > 0 ? { id, kind: "slash", at: decision.at, task: null, legs } : null,
  });
}

const sumOf = (parts: readonly { amount: Nano }[]): Nano => parts.reduce((sum, { amount }) => sum + amount, 0n);
