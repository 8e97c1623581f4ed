import type { OwnerId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import type { Millis } from "../../shared/time.ts";
import { accounts } from "./accounts.ts";
import { legsOf, type Transfer } from "./ledger.ts";

/** For one attested word, 0.000001 USDC: 288 a day keep a miner looked after. */
export const WORD_PAY: Nano = 1_000n;
/** Of the pool, for all the words of one payment. */
const POOL_PART = 100n;

/**
 * What a validator has for its words on availability, out of the verification pool: small, and never more than a hundredth
 * of what is there. Not held: a word is verified before it counts, so that no later finding could take it back.
 */
export function payWords(
  fact: { owner: OwnerId /** All that it ever gave. */; words: number; at: Millis },
  perPayment: number,
  domain: string,
  pool: Nano,
): { transfer: Transfer; amount: Nano } | null {
  const wanted = WORD_PAY * BigInt(perPayment);
  const amount = wanted < pool / POOL_PART ? wanted : pool / POOL_PART;
  if (amount <= 0n) return null;
  const legs = legsOf(
    new Map([
      [accounts.pool(domain), -amount],
      [accounts.miner(fact.owner), amount],
    ]),
  );
  const transfer: Transfer = {
    id: `words:${fact.owner}:${fact.words}`,
    kind: "pool-work",
    at: fact.at,
    task: null,
    legs,
  };
  return { transfer, amount };
}
