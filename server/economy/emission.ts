import { ceilDiv, type Nano } from "../../shared/money.ts";
import { assert } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import { apportion, greatest, least, sum } from "./apportion.ts";
import { PRICE_ONE, type Price, toDn, WINDOW_MS } from "./market.ts";

/**
 * How much DN an epoch may mint (../shared/money.md, "Emission of an epoch"). The level follows the matured revenue of listed
 * domains within bounds, and they share it. An open domain mints beside it what follows from its own revenue of this epoch
 * alone, and less than its self-dealers must lose: no domain gains by what is traded in an open one
 * (docs/decisions/emission-of-open-domains.md). What was settled under different settings of a domain counts as if it were of
 * different domains.
 */
export interface EmissionRule {
  /** κ: DN minted per DN that revenue would buy. */
  kappaPpm: bigint;
  /** Of supply, a year. */
  floorPpm: bigint;
  ceilingPpm: bigint;
}

export const defaultEmissionRule: EmissionRule = { kappaPpm: 400_000n, floorPpm: 2_000n, ceilingPpm: 20_000n };

const YEAR_MS = 365 * 86_400_000;
const PPB = 1_000_000_000n;
/** e^0.05 rounded down and e^−0.05 rounded up: |ln(level / previous)| ≤ 0.05 holds exactly. */
const STEP_UP = 1_051_271_096n;
const STEP_DOWN = 951_229_425n;
/** Of what self-dealing must lose. */
const GUARD_PERCENT = 95n;

export interface LevelInput {
  rule: EmissionRule;
  /** DN minted less DN burned. */
  supply: Nano;
  epochMs: Millis;
  /** Matured revenue of listed domains, of each epoch, nano-USDC, the closing one last. */
  revenue: readonly Nano[];
  /** Null while the pool has less than 28 days of prices. */
  twap: Price | null;
  /** Level of the epoch before, minted or not; null before the first. */
  previous: Nano | null;
}

/** `ppm` a year of supply, in one epoch. */
export const ofSupply = (ppm: bigint, supply: Nano, epochMs: Millis): Nano =>
  (supply * ppm * BigInt(epochMs)) / (1_000_000n * BigInt(YEAR_MS));

/** Epochs before the first count as epochs without revenue. Null while emission is off. */
export function emissionLevel({ rule, supply, epochMs, revenue, twap, previous }: LevelInput): Nano | null {
  if (twap === null) return previous;
  assert(twap > 0n && supply >= 0n && epochMs > 0, "emission needs a price, a supply and an epoch");
  const floor = ofSupply(rule.floorPpm, supply, epochMs);
  if (previous === null) return floor;
  const epochs = Math.max(1, Math.ceil(WINDOW_MS / epochMs));
  const demand = sum(revenue.slice(-epochs));
  const wanted = (rule.kappaPpm * demand * PRICE_ONE) / (1_000_000n * BigInt(epochs) * twap);
  const target = least(greatest(wanted, floor), ofSupply(rule.ceilingPpm, supply, epochMs));
  return least(greatest(target, ceilDiv(previous * STEP_DOWN, PPB)), (previous * STEP_UP) / PPB);
}

/** What matured in the epoch of tasks that were settled under one setting of a domain, nano-USDC. */
export interface PeriodDemand {
  period: string;
  /** Gross price of the tasks. */
  revenue: Nano;
  foundation: Nano;
  /** y. */
  processor: Nano;
  /** z. */
  emission: Nano;
  /** By governance vote: without guard. */
  listed: boolean;
  /** z is taken off what is minted. */
  offset: boolean;
}

export interface Emission {
  /** Of the level; of an open domain κ × its own revenue. */
  share: Nano;
  /** Null where the domain was listed. */
  guard: Nano | null;
  offset: Nano;
  /** Upper bound of what is minted: parts that nobody can claim are not. */
  minted: Nano;
}

export interface EmissionLimits {
  /** Of listed domains together. */
  level: Nano;
  /** Of all domains together: what the level's claimants leave of it is the open domains'. */
  ceiling: Nano;
  kappaPpm: bigint;
}

/** By period. Those without matured revenue are left out: nothing is minted for them. `close` is the pool's price at the closing. */
export function emissionsOf(
  { level, ceiling, kappaPpm }: EmissionLimits,
  demands: readonly PeriodDemand[],
  prices: { twap: Price; close: Price },
  tieBreak: (id: string) => string,
): Map<string, Emission> {
  const paid = demands.filter(({ revenue }) => revenue > 0n);
  const listed = new Map(paid.filter((one) => one.listed).map(({ period, revenue }) => [period, revenue]));
  const shares = apportion(level, listed, tieBreak) ?? new Map<string, Nano>();
  const highest = greatest(prices.twap, prices.close);
  const open = new Map(
    paid
      .filter((one) => !one.listed)
      .map(({ period, revenue, foundation, processor }) => {
        const share = toDn((revenue * kappaPpm) / 1_000_000n, highest);
        const guard = toDn(((foundation + processor) * GUARD_PERCENT) / 100n, highest);
        return [period, { share, guard, allowed: least(share, guard) }];
      }),
  );
  const wanted = sum([...open.values()].map(({ allowed }) => allowed));
  const left = greatest(ceiling - sum(shares.values()), 0n);
  // Rounded down and not by largest remainder: more of one domain must never be a unit more for another.
  const cut = (allowed: Nano): Nano => (wanted > left ? (allowed * left) / wanted : allowed);
  return new Map(
    paid.map(({ period, emission, offset: isOffset }) => {
      const own = open.get(period);
      const share = own?.share ?? shares.get(period) ?? 0n;
      const offset = isOffset ? ceilDiv(emission * PRICE_ONE, prices.twap) : 0n;
      const allowed = own ? cut(own.allowed) : share;
      return [period, { share, guard: own?.guard ?? null, offset, minted: greatest(allowed - offset, 0n) }];
    }),
  );
}
