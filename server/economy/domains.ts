import { failure, type TabgridError } from "../../shared/errors.ts";
import type { Nano } from "../../shared/money.ts";
import type { Tariff } from "../../shared/pricing.ts";
import { commonsTariff } from "../../shared/pricing.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { AMOUNT_MAX } from "./amount.ts";
import type { EmissionShares } from "./emission-split.ts";
import { commonsRevenue, type DomainRevenue, revenueTable } from "./revenue.ts";
import { checkVerification, commonsVerification, type VerificationTerms } from "./verification-terms.ts";

/**
 * What a domain's owner decides, within global bounds. A change names the epoch in which it takes effect, and never reaches
 * back: what was earned under one setting is paid under it.
 */
export interface DomainSettings {
  revenue: DomainRevenue;
  emission: EmissionShares;
  tariff: Tariff;
  /** z lowers what is minted. */
  offset: boolean;
  /** By governance vote alone: without wash-trade guard. */
  listed: boolean;
  /** Paid once to mine here, nano-USDC. */
  registrationFee: Nano;
  /** nano-DN. */
  minimumCollateral: Nano;
  /** How much stake is paid for, nano-DN. */
  targetStake: Nano;
  /** e: slashed in a severe case, per cent; the rest, f, is returned. */
  severePercent: number;
  verification: VerificationTerms;
}

export const commonsSettings: DomainSettings = {
  revenue: commonsRevenue,
  emission: { owner: 0, miners: 7_000, stakers: 1_500, validators: 1_500, availability: 500 },
  tariff: commonsTariff,
  offset: false,
  listed: false,
  registrationFee: 0n,
  minimumCollateral: 0n,
  targetStake: 1_000_000_000_000_000n,
  severePercent: 60,
  verification: commonsVerification,
};

const WHOLE = 10_000;
/** v: what the policy's own checks cost; stricter ones may cost more (verification-terms.ts). */
const POOL_LEAST = 730;
const PROPORTION_MOST = 9_900;
const OWNER_MOST = 1_000;
const AVAILABILITY_MOST = 2_000;
const TIMES_PPM_MOST = 1_000_000_000n;

/** `royalties`: x of every version that is published in the domain, in hundredths of a per cent. */
export function checkDomain(
  settings: DomainSettings,
  royalties: readonly number[],
): Result<DomainSettings, TabgridError> {
  const { revenue, emission, severePercent } = settings;
  const { owner, miners, stakers, validators, availability } = emission;
  const shares: [string, number, number, number][] = [
    ["revenue.pool", revenue.pool, POOL_LEAST, WHOLE],
    ["emission.owner", owner, 0, OWNER_MOST],
    ["emission.miners", miners, 0, PROPORTION_MOST],
    ["emission.stakers", stakers, 0, PROPORTION_MOST],
    ["emission.validators", validators, 0, PROPORTION_MOST],
    ["emission.availability", availability, 0, AVAILABILITY_MOST],
    ["severePercent", severePercent, 0, 100],
  ];
  for (const [field, share, least, most] of shares) {
    if (Number.isInteger(share) && share >= least && share <= most) continue;
    const detail = { field, expected: `an integer, ${least} to ${most}`, got: String(share) };
    return err(failure("share-out-of-bounds", `${field} is out of its bounds`, detail));
  }
  if (miners + stakers + validators !== WHOLE) {
    const got = `${miners} + ${stakers} + ${validators}`;
    const detail = { field: "emission", expected: `a sum of ${WHOLE} hundredths of a per cent`, got };
    return err(failure("split-not-whole", "miners, stakers and validators must share the whole", detail));
  }
  const amounts: [string, bigint, bigint][] = [
    ["registrationFee", settings.registrationFee, AMOUNT_MAX],
    ["minimumCollateral", settings.minimumCollateral, AMOUNT_MAX],
    ["targetStake", settings.targetStake, AMOUNT_MAX],
    ["tariff.nanoPerGflop", settings.tariff.nanoPerGflop, AMOUNT_MAX],
    ["tariff.difficultyPpm", settings.tariff.difficultyPpm, TIMES_PPM_MOST],
  ];
  for (const [field, amount, most] of amounts) {
    if (amount >= 0n && amount <= most) continue;
    const detail = { field, expected: `0 to ${most}`, got: String(amount) };
    return err(failure(amount < 0n ? "value-out-of-range" : "amount-overflow", `${field} is no amount`, detail));
  }
  for (const royalty of [0, ...royalties]) {
    const table = revenueTable(revenue, royalty);
    if (!table.ok) return table;
  }
  const verification = checkVerification(settings.verification, revenue);
  return verification.ok ? ok(settings) : verification;
}

/** Settings by the epoch from which they hold, ascending. */
export type DomainTimeline = readonly { from: number; settings: DomainSettings }[];

export const entryAt = (timeline: DomainTimeline, epoch: number): DomainTimeline[number] | null =>
  timeline.findLast(({ from }) => from <= epoch) ?? null;

export const settingsAt = (timeline: DomainTimeline, epoch: number): DomainSettings | null =>
  entryAt(timeline, epoch)?.settings ?? null;

/** `from` must lie after the epoch that is running; changes already planned for it or later are replaced. */
export function changeDomain(
  timeline: DomainTimeline,
  settings: DomainSettings,
  from: number,
  running: number,
  royalties: readonly number[],
): Result<DomainTimeline, TabgridError> {
  if (!Number.isInteger(from) || (timeline.length > 0 && from <= running)) {
    const detail = { field: "from", expected: `an epoch after ${running}`, got: String(from) };
    return err(failure("reaches-back", "a change takes effect in a later epoch", detail));
  }
  const checked = checkDomain(settings, royalties);
  if (!checked.ok) return checked;
  return ok([...timeline.filter((one) => one.from < from), { from, settings }]);
}

/** May a version with this royalty be minted here? Under what holds in `epoch` and what is planned after it. */
export function checkMint(
  timeline: DomainTimeline,
  epoch: number,
  royaltyBasisPoints: number,
): Result<null, TabgridError> {
  const now = settingsAt(timeline, epoch);
  const later = timeline.filter(({ from }) => from > epoch).map(({ settings }) => settings);
  for (const settings of now ? [now, ...later] : later) {
    const table = revenueTable(settings.revenue, royaltyBasisPoints);
    if (!table.ok) return table;
  }
  return ok(null);
}
