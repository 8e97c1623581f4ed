import type { AccountId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { assert } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import { accounts } from "./accounts.ts";
import { SEVERE_PERCENT, stakesOf } from "./case-stakes.ts";
import type { CaseRuling } from "./collateral.ts";
import { legsOf, type Transfer } from "./ledger.ts";

/**
 * What a decided case moves (../shared/money.md, "Collateral"). The only place where held pay is slashed (collateral: collateral.ts), and it cannot be
 * asked to without the ruling of a named reviewer.
 *
 *   dismissed  held pay goes on maturing, with interest for the time that it was frozen, from the verification pool
 *   minor      20 % of the held pay is forfeited, the owner stays
 *   severe     e of the domain (60 % by default) is forfeited, the rest returned, the owner is out
 *
 * Customers were refunded by the overturns, as far as need be from the pool: what is forfeited goes there.
 */

/** With the time for which held pay was frozen. */
export interface CaseDecided extends CaseRuling {
  openedAt: Millis;
}

/** Null where there is nothing to move. `held` is the owner's held pay, `pool` the verification pool before. */
export function postCase(
  decision: CaseDecided,
  held: Nano,
  pool: Nano,
  domain: string,
  severePercent = SEVERE_PERCENT,
): Transfer | null {
  assert(decision.reviewer.length > 0, `case ${decision.case} was decided by nobody`);
  const frozenMs = decision.at - decision.openedAt;
  const { slashed, returned, interest } = stakesOf(decision.ruling, held, pool, frozenMs, severePercent);
  const gains: [AccountId, Nano][] = [
    [accounts.minerHeld(decision.owner), interest - slashed - returned],
    [accounts.miner(decision.owner), returned],
    [accounts.pool(domain), slashed - interest],
  ];
  const legs = legsOf(new Map(gains));
  const kind = decision.ruling === "dismissed" ? "interest" : "slash";
  return legs.length > 0 ? { id: `case:${decision.case}`, kind, at: decision.at, task: null, legs } : null;
}
