import type { AccountId } from "../../shared/ids.ts";
import { type Nano, split } from "../../shared/money.ts";
import { accounts } from "./accounts.ts";
import { apportion, greatest, least, sum } from "./apportion.ts";
import { type Royalty, splitRoyalty } from "./royalty.ts";

/** A domain's split of emission, in hundredths of a per cent; bounds are in domains.ts. */
export interface EmissionShares {
  /** Domain owner. */
  owner: number;
  /** How the rest after foundation, owner and creator is shared: sum to the whole. */
  miners: number;
  stakers: number;
  validators: number;
  /** Of the miners' part, by attested availability instead of work. */
  availability: number;
}

/** Fixed. */
const FOUNDATION = 100n;
const WHOLE = 10_000n;
const NOBODY = "nobody" as AccountId;

/** Who has a claim to a model's part, and how much. A party is named by the account of its spendable USDC. */
export interface ModelClaims {
  domain: string;
  royalty: Royalty;
  /** Revenue of the tasks that matured in the epoch, nano-USDC. */
  revenue: Nano;
  /** Of it what each miner was paid for; the rest, the reference node's, earns nothing. */
  work: ReadonlyMap<AccountId, Nano>;
  /** Of it what each validator checked; the rest was not checked, and its part has no claimant. */
  checks: ReadonlyMap<AccountId, Nano>;
  /** Attested availability, ms. */
  availability: ReadonlyMap<AccountId, bigint>;
  /** Stake × time in the domain. */
  stakes: ReadonlyMap<AccountId, bigint>;
  cover: StakeCover;
}

/** Security is paid for what it secures: the stakers' part is paid for the share of the value at risk that stake covers. */
export interface StakeCover {
  /** Average stake over the epoch, at most the domain's target stake, DN. */
  staked: Nano;
  /** Matured revenue at TWAP, DN. */
  atRisk: Nano;
}

/** Sums to `amount` less what had nobody to claim it: that is `unclaimed`. */
export interface Division {
  parts: Map<AccountId, Nano>;
  unclaimed: Nano;
}

/**
 * Splits a model's part of an epoch's emission, or of its emission pool (z), by largest remainder at every level. Work and
 * checks are weighed by what was paid for them, against all that was: so no one gains another's part by asking for cheaper,
 * smaller or more often checked tasks (docs/decisions/claims-by-price.md).
 */
export function divideModel(
  amount: Nano,
  shares: EmissionShares,
  claims: ModelClaims,
  tieBreak: (id: string) => string,
): Division {
  const parts = new Map<AccountId, Nano>();
  let unclaimed = 0n;
  const give = (account: AccountId, part: Nano) => {
    if (part > 0n) parts.set(account, (parts.get(account) ?? 0n) + part);
  };
  const giveAll = (part: Nano, weights: ReadonlyMap<AccountId, bigint>, whole = 0n) => {
    const nobody = greatest(whole - sum(weights.values()), 0n);
    const given = apportion(part, new Map([...weights, [NOBODY, nobody] as const]), tieBreak);
    unclaimed += given ? (given.get(NOBODY) ?? 0n) : part;
    for (const [account, one] of given ?? []) if (account !== NOBODY) give(account, one);
  };
  const cut = <Id extends string>(part: Nano, weights: Record<Id, bigint>) => {
    const listed = (Object.keys(weights) as Id[]).map((id) => ({ id, weight: weights[id] }));
    const cuts = split(part, listed, tieBreak);
    return (id: Id): Nano => cuts.get(id) ?? 0n;
  };

  const owner = BigInt(shares.owner);
  const creator = BigInt(claims.royalty.basisPoints);
  const first = cut(amount, { foundation: FOUNDATION, owner, creator, rest: WHOLE - FOUNDATION - owner - creator });
  give(accounts.foundation, first("foundation"));
  give(accounts.domain(claims.domain), first("owner"));
  for (const [account, part] of splitRoyalty(first("creator"), claims.royalty, tieBreak)) give(account, part);

  const { miners, stakers, validators } = shares;
  const rest = cut(first("rest"), {
    miners: BigInt(miners),
    stakers: BigInt(stakers),
    validators: BigInt(validators),
  });
  const availability = BigInt(shares.availability);
  const mined = cut(rest("miners"), { work: WHOLE - availability, availability });
  giveAll(mined("work"), claims.work, claims.revenue);
  giveAll(mined("availability"), claims.availability);
  giveAll(rest("validators"), claims.checks, claims.revenue);
  const earned = coveredPart(rest("stakers"), claims.cover);
  giveAll(earned, claims.stakes);
  unclaimed += rest("stakers") - earned;
  return { parts, unclaimed };
}

const coveredPart = (part: Nano, { staked, atRisk }: StakeCover): Nano =>
  atRisk > 0n ? (part * least(staked, atRisk)) / atRisk : part;
