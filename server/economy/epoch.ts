import { failure, type TabgridError } from "../../shared/errors.ts";
import type { AccountId, ModelKey } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { assert, err, ok, type Result } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import { accounts } from "./accounts.ts";
import { apportion, epochTies, least, sum } from "./apportion.ts";
import { type DomainEmission, domainEmissions, type EmissionRule, emissionLevel, ofSupply } from "./emission.ts";
import { divideModel, type EmissionShares, type ModelClaims } from "./emission-split.ts";
import type { EpochTally, ModelTally } from "./epoch-tally.ts";
import { hex, inputHash, legsOf, type Sha256, type Transfer } from "./ledger.ts";
import { buyback, type Market, priceOf, toDn, twap } from "./market.ts";
import { payRoyalty, type Royalty } from "./royalty.ts";

/**
 * Closing an epoch. Everything that the closing reads is fixed when the epoch's chains are fenced, so the plan made of it
 * is the same whenever it is made; its digest is what a person approves.
 *
 *   open → previewed    `preview` shows the plan; again after a new fence
 *        → approved     `approve` names the digest that was seen
 *        → closed       every transfer of the plan is posted
 *
 * Transfers carry ids of their own: a closing that was interrupted is run again and posts what is missing.
 */
export interface EpochInput {
  epoch: number;
  /** Of the fence. */
  at: Millis;
  epochMs: Millis;
  tally: EpochTally;
  domains: ReadonlyMap<string, EpochDomain>;
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

/** A domain as it stood for this epoch. */
export interface EpochDomain {
  shares: EmissionShares;
  listed: boolean;
  offset: boolean;
  /** DN × ms that each party had staked. */
  stakes: ReadonlyMap<AccountId, bigint>;
  targetStake: Nano;
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
  domains: ReadonlyMap<string, DomainEmission>;
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
  const models = [...tally.models].sort(([a], [b]) => (a < b ? -1 : 1));
  const draw = drawer(input.balances);
  for (const [model, { royalties }] of models) {
    if (royalties === 0n) continue;
    const royalty = royaltyOf(input, model);
    const transfer = payRoyalty(model, draw(accounts.creator(royalty.creator), royalties), royalty, context);
    if (transfer) transfers.push(transfer);
  }

  const average = twap(market, at);
  const budgets = burnBudgets(input, draw);
  const bought = buyback(market, budgets, input.slippagePpm, context);
  if (bought.transfer) transfers.push(bought.transfer);

  const demands = demandsOf(input);
  const revenueOf = (list: typeof demands): Nano => sum(list.map((one) => one.revenue));
  const revenue = [...previous.revenue, revenueOf(demands.filter(({ listed }) => listed))];
  const { rule, supply, epochMs } = input;
  const level = emissionLevel({ rule, supply, epochMs, revenue, twap: average, previous: previous.level });
  const domains =
    average === null || level === null
      ? new Map<string, DomainEmission>()
      : domainEmissions(
          { level, ceiling: ofSupply(rule.ceilingPpm, supply, epochMs), kappaPpm: rule.kappaPpm },
          demands,
          { twap: average, close: priceOf(bought.market) },
          tieBreak,
        );

  let minted = 0n;
  for (const [domain, { emission, revenue: earned }] of tally.domains) {
    const inDomain = models.filter(([, one]) => one.domain === domain && one.revenue > 0n);
    const weights = new Map(inDomain.map(([model, one]) => [model, one.revenue]));
    const dn = apportion(domains.get(domain)?.minted ?? 0n, weights, tieBreak);
    const usdc = apportion(draw(accounts.emission(domain), emission), weights, tieBreak);
    for (const [model, one] of inDomain) {
      const claims = claimsOf(input, model, one, average === null ? null : toDn(earned, average));
      const shares = domainOf(input, domain).shares;
      const gains = new Map<AccountId, Nano>();
      const minting = divideModel(dn?.get(model) ?? 0n, shares, claims, tieBreak).parts;
      for (const [party, amount] of minting) gains.set(accounts.dn(party), amount);
      const fromPool = usdc?.get(model) ?? 0n;
      const paying = divideModel(fromPool, shares, claims, tieBreak);
      for (const [party, amount] of paying.parts) gains.set(party, amount);
      // Not carried over: it would be a prize for whoever claims next.
      gains.set(accounts.pool(domain), paying.unclaimed);
      gains.set(accounts.emission(domain), -fromPool);
      const mintedHere = sum(minting.values());
      gains.set(accounts.dnIssuer, -mintedHere);
      minted += mintedHere;
      const legs = legsOf(gains);
      if (legs.length > 0)
        transfers.push({ id: `epoch:${epoch}:emission:${model}`, kind: "emission", at, task: null, legs });
    }
  }

  const left = new Map([...budgets].map(([account, amount]) => [account, amount]));
  for (const leg of bought.transfer?.legs ?? [])
    if (left.has(leg.account)) left.set(leg.account, (left.get(leg.account) ?? 0n) + leg.amount);
  const memory: EpochMemory = {
    level,
    revenue: revenue.slice(-REVENUE_KEPT),
    burn: new Map(burnDomains(input).map((domain) => [domain, left.get(accounts.burn(domain)) ?? 0n])),
  };
  const digest = hex(sha256(...transfers.map((one) => `${one.id} ${inputHash(one, sha256)}\n`)));
  const { burned } = bought;
  return {
    epoch,
    transfers,
    market: bought.market,
    revenue: revenueOf(demands),
    domains,
    minted,
    burned,
    memory,
    digest,
  };
}

const burnDomains = ({ tally, previous }: EpochInput): string[] =>
  [...new Set([...previous.burn.keys(), ...tally.domains.keys()])].sort();

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
      const matured = (input.previous.burn.get(domain) ?? 0n) + (input.tally.domains.get(domain)?.burn ?? 0n);
      return [accounts.burn(domain), draw(accounts.burn(domain), matured)];
    }),
  );

function domainOf({ domains }: EpochInput, domain: string): EpochDomain {
  const known = domains.get(domain);
  assert(known, `revenue of ${domain}, which is no domain`);
  return known;
}

function royaltyOf({ royalties }: EpochInput, model: ModelKey): Royalty {
  const known = royalties.get(model);
  assert(known, `revenue of ${model}, whose royalty is unknown`);
  return known;
}

const demandsOf = (input: EpochInput) =>
  [...input.tally.domains].map(([domain, { revenue, foundation, processor, emission }]) => {
    const { listed, offset } = domainOf(input, domain);
    return { domain, revenue, foundation, processor, emission, listed, offset };
  });

/** `atRisk`: matured revenue of the domain at TWAP; without a price nothing is minted and stake covers nothing. */
function claimsOf(input: EpochInput, model: ModelKey, tally: ModelTally, atRisk: Nano | null): ModelClaims {
  const { stakes, targetStake, availability } = domainOf(input, tally.domain);
  const staked = least(sum(stakes.values()) / BigInt(input.epochMs), targetStake);
  return {
    domain: tally.domain,
    royalty: royaltyOf(input, model),
    vwu: tally.vwu,
    work: tally.work,
    checks: tally.checks,
    availability: availability.get(model) ?? new Map(),
    stakes,
    cover: atRisk === null ? { staked: 0n, atRisk: 1n } : { staked, atRisk },
  };
}

export type EpochState =
  | { phase: "open"; epoch: number }
  | { phase: "previewed"; epoch: number; digest: string }
  | { phase: "approved"; epoch: number; digest: string; by: string; at: Millis }
  | { phase: "closed"; epoch: number; digest: string; by: string; at: Millis };

/** May it be fenced, again or for the first time? */
export function checkPreview(state: EpochState): Result<null, TabgridError> {
  if (state.phase === "closed") return err(alreadyClosed(state.epoch));
  if (state.phase !== "approved") return ok(null);
  const detail = { field: "epoch", expected: "an open or previewed epoch", got: state.phase };
  return err(failure("wrong-state", `epoch ${state.epoch} is approved; close it`, detail));
}

export function preview(state: EpochState, plan: EpochPlan): Result<EpochState, TabgridError> {
  assert(plan.epoch === state.epoch, `plan of epoch ${plan.epoch} for epoch ${state.epoch}`);
  const checked = checkPreview(state);
  return checked.ok ? ok({ phase: "previewed", epoch: state.epoch, digest: plan.digest }) : checked;
}

/** `digest`: of the plan that the approver saw. */
export function approve(state: EpochState, digest: string, by: string, at: Millis): Result<EpochState, TabgridError> {
  if (state.phase === "closed") return err(alreadyClosed(state.epoch));
  if (state.phase !== "previewed" || state.digest !== digest) {
    const expected = state.phase === "previewed" ? state.digest : "a previewed epoch";
    return err(
      failure("wrong-state", "this is not the plan that was shown", { field: "digest", expected, got: digest }),
    );
  }
  return ok({ ...state, phase: "approved", by, at });
}

/** What is still to be posted; once that is done the epoch is closed. `posted`: is there a transfer of this id? */
export function close(
  state: EpochState,
  plan: EpochPlan,
  posted: (id: string) => boolean,
): Result<{ closed: EpochState; transfers: Transfer[] }, TabgridError> {
  const checked = checkClose(state);
  if (!checked.ok) return checked;
  assert(state.phase === "approved", "only an approved epoch is closed");
  assert(plan.epoch === state.epoch && plan.digest === state.digest, `not the plan that was approved: ${plan.digest}`);
  const transfers = plan.transfers.filter(({ id }) => !posted(id));
  return ok({ closed: { ...state, phase: "closed" }, transfers });
}

/** A closed epoch is closed once, and what nobody approved is not closed. */
export function checkClose(state: EpochState): Result<null, TabgridError> {
  if (state.phase === "closed") return err(alreadyClosed(state.epoch));
  if (state.phase === "approved") return ok(null);
  const detail = { field: "epoch", expected: "approved", got: state.phase };
  return err(failure("epoch-not-approved", `epoch ${state.epoch} was approved by nobody`, detail));
}

const alreadyClosed = (epoch: number): TabgridError =>
  failure("epoch-closed", `epoch ${epoch} is closed; later entries belong to the next`, {
    field: "epoch",
    expected: String(epoch + 1),
    got: String(epoch),
  });
