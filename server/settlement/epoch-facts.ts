import type { AccountId, ModelKey } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { assert } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import { accounts } from "../economy/accounts.ts";
import { type DomainSettings, settingsAt } from "../economy/domains.ts";
import {
  type EpochInput,
  type EpochMemory,
  type EpochPeriod,
  type EpochPlan,
  planEpoch,
} from "../economy/epoch-plan.ts";
import type { Period } from "../economy/epoch-tally.ts";
import { noMarket } from "../economy/market.ts";
import { ledgerVenue, royaltyOf } from "../economy/rounds.ts";
import { ownRoyalty, type Royalty } from "../economy/royalty.ts";
import { parametersNow } from "../economy-desk/governance-desk.ts";
import type { Books } from "../store/party-store.ts";
import { sha256 } from "../store/sha256.ts";
import type { Store } from "../store/store.ts";
import type { StoredTally } from "../store/tally-rows.ts";

/** What a fence fixed: read outside the transaction that decides by it. */
export interface FencedEpoch extends StoredTally {
  epoch: number;
  openedAt: Millis;
  at: Millis;
  memory: EpochMemory;
}

export async function readFenced(store: Store, epoch: number, at: Millis): Promise<FencedEpoch> {
  const { settlement } = store;
  const [stored, memory, record] = await Promise.all([
    settlement.tally(epoch),
    settlement.memory(),
    settlement.epoch(epoch),
  ]);
  return { ...stored, epoch, openedAt: record?.openedAt ?? at, at, memory };
}

export type EpochBooks = Pick<Books, "one" | "balance">;

/** Books that nobody keeps still meanwhile: for showing a plan. */
export const openBooks = (store: Store): EpochBooks => ({
  one: (kind, id) => store.parties.one(kind, id),
  balance: async (account) => (await store.account(account))?.balance ?? 0n,
});

/** The plan of a fenced epoch, by the rules under which its tasks were settled and the books as they are now. */
export async function planOf(fenced: FencedEpoch, books: EpochBooks): Promise<EpochPlan> {
  return planEpoch(await inputOf(fenced, books), sha256);
}

async function inputOf(fenced: FencedEpoch, books: EpochBooks): Promise<EpochInput> {
  const { epoch, openedAt, at, tally, memory } = fenced;
  const parameters = await parametersNow(books, epoch);
  const tallies = [...tally.periods.values()];
  const periods = new Map<string, EpochPeriod>();
  for (const [key, period] of tally.periods) periods.set(key, await periodOf(period, fenced, books));
  const royalties = new Map<ModelKey, Royalty>();
  for (const model of new Set(tallies.flatMap(({ models }) => [...models.keys()])))
    royalties.set(model, await royaltyIn(model, books));
  const balances = new Map<AccountId, Nano>();
  for (const { creator } of royalties.values()) await note(accounts.creator(creator));
  for (const domain of new Set([...tallies.map((one) => one.domain), ...memory.burn.keys()])) {
    await note(accounts.burn(domain));
    await note(accounts.emission(domain));
  }
  async function note(account: AccountId): Promise<void> {
    if (!balances.has(account)) balances.set(account, await books.balance(account));
  }
  const epochMs = Number(parameters["epoch.lengthMs"]);
  return {
    epoch,
    at,
    epochMs,
    lastedMs: Math.max(epochMs, at - openedAt),
    tally,
    periods,
    royalties,
    market: (await books.one("market", "market"))?.body ?? noMarket,
    slippagePpm: parameters["buyback.slippagePpm"],
    rule: {
      kappaPpm: parameters["emission.kappaPpm"],
      floorPpm: parameters["emission.floorPpm"],
      ceilingPpm: parameters["emission.ceilingPpm"],
    },
    supply: -(await books.balance(accounts.dnIssuer)) - (await books.balance(accounts.dnBurned)),
    previous: memory,
    balances,
  };
}

async function periodOf({ domain, since }: Period, fenced: FencedEpoch, books: EpochBooks): Promise<EpochPeriod> {
  const book = (await books.one("domain", domain))?.body;
  const settings: DomainSettings | null = book ? settingsAt(book.timeline, since) : null;
  assert(settings, `${domain} has revenue under settings of epoch ${since}, and had none`);
  return {
    shares: settings.emission,
    listed: settings.listed,
    offset: settings.offset,
    stakes: fenced.stakes.get(domain) ?? new Map(),
    targetStake: settings.targetStake,
    availability: fenced.availability.get(domain) ?? new Map(),
  };
}

async function royaltyIn(model: ModelKey, books: EpochBooks): Promise<Royalty> {
  const version = (await books.one("version", model))?.body;
  assert(version, `${model} has revenue and was never published`);
  const round = version.round === null ? null : (await books.one("round", version.round))?.body.round;
  if (!round) return ownRoyalty(version.creator, version.royaltyBasisPoints);
  return royaltyOf(round, version.royaltyBasisPoints, ledgerVenue);
}
