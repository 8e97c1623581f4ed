import { failure, type TabgridError } from "../../shared/errors.ts";
import type { AccountId, ModelKey } from "../../shared/ids.ts";
import { type Nano, split } from "../../shared/money.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import { accounts } from "./accounts.ts";
import { apportion } from "./apportion.ts";
import { legsOf, type Transfer } from "./ledger.ts";

/**
 * x of a model version, fixed when the version is minted: `basisPoints` of revenue and of its part of emission. Inside it
 * a goes to backers by their holdings, b to the creator, c to the yield venue of a round that enabled it; a + b + c is the
 * whole. Without a round b is the whole.
 */
export interface Royalty {
  creator: string;
  /** x, in hundredths of a per cent. */
  basisPoints: number;
  /** a. */
  backers: number;
  /** b. */
  own: number;
  /** c. */
  yieldVenue: number;
  /** Transferable shares of the backers, by party. */
  holdings: ReadonlyMap<AccountId, bigint>;
  /** Where c goes. */
  venue: AccountId | null;
}

const WHOLE = 10_000;

export const ownRoyalty = (creator: string, basisPoints: number): Royalty => ({
  creator,
  basisPoints,
  backers: 0,
  own: WHOLE,
  yieldVenue: 0,
  holdings: new Map(),
  venue: null,
});

/** Refuses parts that do not sum to the whole, a venue's part without a venue, and backers' without backers. */
export function checkRoyalty(royalty: Royalty): Result<Royalty, TabgridError> {
  const { backers, own, yieldVenue } = royalty;
  const integers = [backers, own, yieldVenue].every((part) => Number.isInteger(part) && part >= 0);
  if (!integers || backers + own + yieldVenue !== WHOLE) {
    const expected = `integers ≥ 0 that sum to ${WHOLE} hundredths of a per cent`;
    const got = `${backers} + ${own} + ${yieldVenue}`;
    return err(failure("split-not-whole", "a + b + c must be the whole royalty", { field: "royalty", expected, got }));
  }
  if (yieldVenue > 0 && royalty.venue === null)
    return err(failure("share-out-of-bounds", "no round enabled a yield venue", shareField("yieldVenue", yieldVenue)));
  if (backers > 0 && ![...royalty.holdings.values()].some((shares) => shares > 0n))
    return err(failure("share-out-of-bounds", "nobody holds a share of this model", shareField("backers", backers)));
  return ok(royalty);
}

const shareField = (name: string, got: number) => ({ field: `royalty.${name}`, expected: "0", got: String(got) });

/** x is fixed at mint: any later version of the terms must name the same. */
export function changeRoyalty(minted: Royalty, wanted: Royalty): Result<Royalty, TabgridError> {
  if (wanted.basisPoints === minted.basisPoints && wanted.creator === minted.creator) return checkRoyalty(wanted);
  const text = (of: Royalty) => `${of.basisPoints} to ${of.creator}`;
  return err(
    failure("royalty-fixed", "the royalty of a model version is fixed when it is minted; publish a new version", {
      field: "royaltyBasisPoints",
      expected: text(minted),
      got: text(wanted),
    }),
  );
}

/** Sums to `amount`. */
export function splitRoyalty(amount: Nano, royalty: Royalty, tieBreak: (id: string) => string): Map<AccountId, Nano> {
  const shares = [
    { id: "backers", weight: BigInt(royalty.backers) },
    { id: "own", weight: BigInt(royalty.own) },
    { id: "yieldVenue", weight: BigInt(royalty.yieldVenue) },
  ];
  const cuts = split(amount, shares, tieBreak);
  const parts = new Map<AccountId, Nano>();
  const give = (account: AccountId, part: Nano) => {
    if (part > 0n) parts.set(account, (parts.get(account) ?? 0n) + part);
  };
  const creator = accounts.creatorMatured(royalty.creator);
  give(creator, cuts.get("own") ?? 0n);
  give(royalty.venue ?? creator, cuts.get("yieldVenue") ?? 0n);
  const backers = apportion(cuts.get("backers") ?? 0n, royalty.holdings, tieBreak);
  if (backers) for (const [account, part] of backers) give(account, part);
  else give(creator, cuts.get("backers") ?? 0n);
  return parts;
}

/** Pays out what matured of a model's royalties in an epoch; null where nothing did. */
export function payRoyalty(
  model: ModelKey,
  matured: Nano,
  royalty: Royalty,
  { epoch, at, tieBreak }: { epoch: number; at: Millis; tieBreak: (id: string) => string },
): Transfer | null {
  if (matured === 0n) return null;
  const gains = splitRoyalty(matured, royalty, tieBreak);
  gains.set(accounts.creator(royalty.creator), -matured);
  return { id: `epoch:${epoch}:royalty:${model}`, kind: "royalty", at, task: null, legs: legsOf(gains) };
}
