import type { AccountId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { assert } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import { accounts } from "./accounts.ts";
import type { CaseRuling } from "./collateral.ts";
import { legsOf, type Transfer } from "./ledger.ts";

/**
 * What a decided case moves (../shared/money.md, "Collateral"). The only place where anything is slashed, and it cannot be
 * asked to without the ruling of a named reviewer.
 *
 *   dismissed  held pay goes on maturing, with interest for the time that it was frozen, from the verification pool
 *   minor      20 % of the held pay is forfeited, the owner stays
 *   severe     60 % is forfeited, 40 % returned, the owner is out
 *
 * Customers were refunded by the overturns, as far as need be from the pool: what is forfeited goes there.
 */
const MINOR_PERCENT = 20n;
const SEVERE_PERCENT = 60n;
const INTEREST_PERCENT_A_YEAR = 5n;
const YEAR_MS = 365n * 86_400_000n;

/** With the time for which held pay was frozen. */
export interface CaseDecided extends CaseRuling {
  openedAt: Millis;
}

/** Null where there is nothing to move. `held` is the owner's held pay, `pool` the verification pool before. */
export function postCase(decision: CaseDecided, held: Nano, pool: Nano, domain: string): Transfer | null {
  assert(decision.reviewer.length > 0, `case ${decision.case} was decided by nobody`);
  const heldAccount = accounts.minerHeld(decision.owner);
  const poolAccount = accounts.pool(domain);
  const post = (kind: Transfer["kind"], gains: [AccountId, Nano][]): Transfer | null => {
    const legs = legsOf(new Map(gains));
    return legs.length > 0 ? { id: `case:${decision.case}`, kind, at: decision.at, task: null, legs } : null;
  };
  if (decision.ruling === "dismissed") {
    const frozenMs = BigInt(Math.max(0, Math.floor(decision.at - decision.openedAt)));
    const due = (held * INTEREST_PERCENT_A_YEAR * frozenMs) / (100n * YEAR_MS);
    const interest = due < pool ? due : pool;
    return post("interest", [
      [heldAccount, interest],
      [poolAccount, -interest],
    ]);
  }
  const forfeited = (held * (decision.ruling === "minor" ? MINOR_PERCENT : SEVERE_PERCENT)) / 100n;
  const returned = decision.ruling === "severe" ? held - forfeited : 0n;
  return post("slash", [
    [heldAccount, -(forfeited + returned)],
    [accounts.miner(decision.owner), returned],
    [poolAccount, forfeited],
  ]);
}
