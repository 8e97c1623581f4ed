import type { AccountId, ModelKey } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { assert } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import { accounts } from "./accounts.ts";
import { apportion, epochTies, least, sum } from "./apportion.ts";
import { type Emission, type EmissionRule, emissionLevel, emissionsOf, ofSupply } from "./emission.ts";
import { divideModel, type EmissionShares, type ModelClaims } from "./emission-split.ts";
import type { EpochTally, ModelTally, PeriodTally } from "./epoch-tally.ts";
import { hex, inputHash, legsOf, type Sha256, type Transfer } from "./ledger.ts";
import { buyback, type Market, type Price, priceOf, toDn, twap } from "./market.ts";
import { payRoyalty, type Royalty } from "./royalty.ts";

/**
 * What closing an epoch posts: royalties, the buyback, and the emission of every model. Everything it reads is fixed when the
 * epoch's chains are fenced, so the plan is the same whenever it is made.
 */
export interface EpochInput {
  epoch: number;
  /** Of the fence. */
  at: Millis;
  epochMs: Millis;
  /** From its opening to the fence, where that is more than `epochMs`: what stake × time is averaged over. */
  lastedMs?: Millis;
  tally: EpochTally;
  /** By `periodKey`, for all that is in the tally. */
  periods: ReadonlyMap<string, EpochPeriod>;
  royalties: ReadonlyMap<ModelKey, Royalty>;
  market: Market;
  slippagePpm: bigint;
  rule: EmissionRule;
  /** DN minted less DN burned. */
  supply: Nano;
  previous: EpochMemory;
  /**
   * Of the accounts that the closing pays out of, where they may hold less than has matured: an overturn may have taken a
   * part back after it matured. No more is paid than is there.
   */
  balances?: ReadonlyMap<AccountId, Nano>;
}

/** What one setting of a domain says of the tasks that were settled under it, and who was there for the domain in this epoch. */
export interface EpochPeriod {
  shares: EmissionShares;
  listed: boolean;
  offset: boolean;
  targetStake: Nano;
  /** DN × ms that each party had staked. */
  stakes: ReadonlyMap<AccountId, bigint>;
  /** Attested, ms, by model. */
  availability: ReadonlyMap<ModelKey, ReadonlyMap<AccountId, bigint>>;
}

/** What one epoch leaves to the next. */
export interface EpochMemory {
  level: Nano | null;
  /** Matured revenue of listed domains, by epoch; at least as many as an average needs. */
  revenue: readonly Nano[];
  /** Burn revenue that the slippage bound left, by domain. */
  burn: ReadonlyMap<string, Nano>;
}

export const firstMemory: EpochMemory = { level: null, revenue: [], burn: new Map() };
const REVENUE_KEPT = 64;

export interface EpochPlan {
  epoch: number;
  transfers: readonly Transfer[];
  market: Market;
  /** Matured revenue of all domains, nano-USDC. */
  revenue: Nano;
  domains: ReadonlyMap<string, Emission>;
  minted: Nano;
  burned: Nano;
  memory: EpochMemory;
  /** SHA-256 over all transfers, hex. */
  digest: string;
}

export function planEpoch(input: EpochInput, sha256: Sha256): EpochPlan {
  const { epoch, at, tally, market, previous } = input;
  const tieBreak = epochTies(epoch, sha256);
  const context = { epoch, at, tieBreak };
  const transfers: Transfer[] = [];
  const periods = [...tally.periods].sort(inOrder);
  const draw = drawer(input.balances);
  for (const [model, royalties] of royaltiesOf(periods)) {
    const royalty = royaltyOf(input, model);
    const transfer = payRoyalty(model, draw(accounts.creator(royalty.creator), royalties), royalty, context);
    if (transfer) transfers.push(transfer);
  }

  const average = twap(market, at);
  const budgets = burnBudgets(input, draw);
  const bought = buyback(market, budgets, input.slippagePpm, context);
  if (bought.transfer) transfers.push(bought.transfer);

  const demands = periods.map(([period, { revenue, foundation, processor, emission }]) => {
    const { listed, offset } = settingOf(input, period);
    return { period, revenue, foundation, processor, emission, listed, offset };
  });
  const revenueOf = (list: typeof demands): Nano => sum(list.map((one) => one.revenue));
  const revenue = [...previous.revenue, revenueOf(demands.filter(({ listed }) => listed))];
  const { rule, supply, epochMs } = input;
  const level = emissionLevel({ rule, supply, epochMs, revenue, twap: average, previous: previous.level });
  const emissions =
    average === null || level === null
      ? new Map<string, Emission>()
      : emissionsOf(
          { level, ceiling: ofSupply(rule.ceilingPpm, supply, epochMs), kappaPpm: rule.kappaPpm },
          demands,
          { twap: average, close: priceOf(bought.market) },
          tieBreak,
        );

  const emitted = emissionTransfers(input, emissions, average, draw, tieBreak);
  transfers.push(...emitted.transfers);

  const left = new Map([...budgets].map(([account, amount]) => [account, amount]));
  for (const leg of bought.transfer?.legs ?? [])
    if (left.has(leg.account)) left.set(leg.account, (left.get(leg.account) ?? 0n) + leg.amount);
  const memory: EpochMemory = {
    level,
    revenue: revenue.slice(-REVENUE_KEPT),
    burn: new Map(burnDomains(input).map((domain) => [domain, left.get(accounts.burn(domain)) ?? 0n])),
  };
  return {
    epoch,
    transfers,
    market: bought.market,
    revenue: revenueOf(demands),
    domains: byDomain(tally, emissions),
    minted: emitted.minted,
    burned: bought.burned,
    memory,
    digest: hex(sha256(...transfers.map((one) => `${one.id} ${inputHash(one, sha256)}\n`))),
  };
}

/** One of each model that emits: a setting's DN and emission pool go to those who have claims under that setting. */
function emissionTransfers(
  input: EpochInput,
  emissions: ReadonlyMap<string, Emission>,
  twapPrice: Price | null,
  draw: Draw,
  tieBreak: (id: string) => string,
): { transfers: Transfer[]; minted: Nano } {
  const { epoch, at, tally } = input;
  let minted = 0n;
  const gainsByModel = new Map<ModelKey, Map<AccountId, Nano>>();
  for (const [key, period] of [...tally.periods].sort(inOrder)) {
    const { domain, emission } = period;
    const models = [...period.models].filter(([, one]) => one.revenue > 0n).sort(inOrder);
    const weights = new Map(models.map(([model, one]) => [model, one.revenue]));
    const dn = apportion(emissions.get(key)?.minted ?? 0n, weights, tieBreak);
    const usdc = apportion(draw(accounts.emission(domain), emission), weights, tieBreak);
    const atRisk = twapPrice === null ? null : toDn(period.revenue, twapPrice);
    for (const [model, one] of models) {
      const setting = settingOf(input, key);
      const claims = claimsOf(input, setting, domain, model, one, atRisk);
      const gains = gainsByModel.get(model) ?? new Map<AccountId, Nano>();
      gainsByModel.set(model, gains);
      const gain = (account: AccountId, amount: Nano) => gains.set(account, (gains.get(account) ?? 0n) + amount);
      const minting = divideModel(dn?.get(model) ?? 0n, setting.shares, claims, tieBreak).parts;
      for (const [party, amount] of minting) gain(accounts.dn(party), amount);
      const fromPool = usdc?.get(model) ?? 0n;
      const paying = divideModel(fromPool, setting.shares, claims, tieBreak);
      for (const [party, amount] of paying.parts) gain(party, amount);
      // Not carried over: it would be a prize for whoever claims next.
      gain(accounts.pool(domain), paying.unclaimed);
      gain(accounts.emission(domain), -fromPool);
      const mintedHere = sum(minting.values());
      gain(accounts.dnIssuer, -mintedHere);
      minted += mintedHere;
    }
  }
  const transfers: Transfer[] = [];
  for (const [model, gains] of [...gainsByModel].sort(inOrder)) {
    const legs = legsOf(gains);
    if (legs.length === 0) continue;
    transfers.push({ id: `epoch:${epoch}:emission:${model}`, kind: "emission", at, task: null, legs });
  }
  return { transfers, minted };
}

const inOrder = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1);

/** Of each version, under whatever setting its tasks were settled. */
function royaltiesOf(periods: readonly [string, PeriodTally][]): [ModelKey, Nano][] {
  const due = new Map<ModelKey, Nano>();
  for (const [model, { royalties }] of periods.flatMap(([, { models }]) => [...models]))
    due.set(model, (due.get(model) ?? 0n) + royalties);
  return [...due].filter(([, amount]) => amount > 0n).sort(inOrder);
}

/** As people look at it: a domain's settings together. The guard is null where all was listed. */
function byDomain({ periods }: EpochTally, emissions: ReadonlyMap<string, Emission>): Map<string, Emission> {
  const domains = new Map<string, Emission>();
  for (const [period, one] of emissions) {
    const domain = periods.get(period)?.domain as string;
    const known = domains.get(domain);
    const guard = known?.guard == null ? one.guard : known.guard + (one.guard ?? 0n);
    const add = (of: "share" | "offset" | "minted") => (known?.[of] ?? 0n) + one[of];
    domains.set(domain, { share: add("share"), guard, offset: add("offset"), minted: add("minted") });
  }
  return domains;
}

const burnDomains = ({ tally, previous }: EpochInput): string[] =>
  [...new Set([...previous.burn.keys(), ...[...tally.periods.values()].map(({ domain }) => domain)])].sort();

type Draw = (account: AccountId, wanted: Nano) => Nano;

/** Gives at most what is left of each account. */
function drawer(balances: ReadonlyMap<AccountId, Nano> | undefined): Draw {
  if (!balances) return (_, wanted) => wanted;
  const left = new Map(balances);
  return (account, wanted) => {
    const drawn = least(wanted, left.get(account) ?? 0n);
    left.set(account, (left.get(account) ?? 0n) - drawn);
    return drawn;
  };
}

const burnBudgets = (input: EpochInput, draw: Draw): Map<AccountId, Nano> =>
  new Map(
    burnDomains(input).map((domain) => {
      const here = [...input.tally.periods.values()].filter((one) => one.domain === domain);
      const matured = (input.previous.burn.get(domain) ?? 0n) + sum(here.map(({ burn }) => burn));
      return [accounts.burn(domain), draw(accounts.burn(domain), matured)];
    }),
  );

function settingOf({ periods }: EpochInput, period: string): EpochPeriod {
  const known = periods.get(period);
  assert(known, `revenue of ${period}, which has no settings`);
  return known;
}

function royaltyOf({ royalties }: EpochInput, model: ModelKey): Royalty {
  const known = royalties.get(model);
  assert(known, `revenue of ${model}, whose royalty is unknown`);
  return known;
}

/**
 * `atRisk`: matured revenue of the period at TWAP, its own alone: another's would thin out what stakers earn here. Without a
 * price nothing is minted and stake covers nothing.
 */
function claimsOf(
  input: EpochInput,
  { stakes, targetStake, availability }: EpochPeriod,
  domain: string,
  model: ModelKey,
  { revenue, work, checks }: ModelTally,
  atRisk: Nano | null,
): ModelClaims {
  const staked = least(sum(stakes.values()) / BigInt(input.lastedMs ?? input.epochMs), targetStake);
  return {
    domain,
    royalty: royaltyOf(input, model),
    revenue,
    work,
    checks,
    availability: availability.get(model) ?? new Map(),
    stakes,
    cover: atRisk === null ? { staked: 0n, atRisk: 1n } : { staked, atRisk },
  };
}
