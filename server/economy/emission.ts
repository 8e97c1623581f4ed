import { ceilDiv, type Nano } from "../../shared/money.ts";
import { assert } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import { apportion, greatest, least, sum } from "./apportion.ts";
import { PRICE_ONE, type Price, toDn, WINDOW_MS } from "./market.ts";

/**
 * How much DN an epoch may mint (../shared/money.md, "Emission of an epoch"): the network's level follows matured revenue
 * within bounds, domains share it by matured revenue, and no open domain can mint more than its self-dealers must lose.
 */
export interface EmissionRule {
  /** κ: DN minted per DN that the network's revenue would buy. */
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
  /** Matured revenue of each epoch of the network, nano-USDC, the closing one last. */
  revenue: readonly Nano[];
  /** Null while the pool has less than 28 days of prices. */
  twap: Price | null;
  /** Level of the epoch before, minted or not; null before the first. */
  previous: Nano | null;
}

/** Epochs before the first count as epochs without revenue. Null while emission is off. */
export function emissionLevel({ rule, supply, epochMs, revenue, twap, previous }: LevelInput): Nano | null {
  if (twap === null) return previous;
  assert(twap > 0n && supply >= 0n && epochMs > 0, "emission needs a price, a supply and an epoch");
  const ofSupply = (ppm: bigint): Nano => (supply * ppm * BigInt(epochMs)) / (1_000_000n * BigInt(YEAR_MS));
  const floor = ofSupply(rule.floorPpm);
  if (previous === null) return floor;
  const epochs = Math.max(1, Math.ceil(WINDOW_MS / epochMs));
  const demand = sum(revenue.slice(-epochs));
  const wanted = (rule.kappaPpm * demand * PRICE_ONE) / (1_000_000n * BigInt(epochs) * twap);
  const target = least(greatest(wanted, floor), ofSupply(rule.ceilingPpm));
  return least(greatest(target, ceilDiv(previous * STEP_DOWN, PPB)), (previous * STEP_UP) / PPB);
}

/** What matured of one domain in the epoch, nano-USDC. */
export interface DomainDemand {
  domain: string;
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

export interface DomainEmission {
  share: Nano;
  /** Null for a listed domain. */
  guard: Nano | null;
  offset: Nano;
  /** Upper bound of what is minted: parts that nobody can claim are not. */
  minted: Nano;
}

/** Domains without matured revenue are left out: nothing is minted for them. `close` is the pool's price at the closing. */
export function domainEmissions(
  level: Nano,
  demands: readonly DomainDemand[],
  prices: { twap: Price; close: Price },
  tieBreak: (id: string) => string,
): Map<string, DomainEmission> {
  const weights = new Map(demands.map(({ domain, revenue }) => [domain, revenue]));
  const shares = apportion(level, weights, tieBreak) ?? new Map<string, Nano>();
  const highest = greatest(prices.twap, prices.close);
  const emissions = new Map<string, DomainEmission>();
  for (const demand of demands) {
    const share = shares.get(demand.domain);
    if (share === undefined) continue;
    const lost = ((demand.foundation + demand.processor) * GUARD_PERCENT) / 100n;
    const guard = demand.listed ? null : toDn(lost, highest);
    const offset = demand.offset ? ceilDiv(demand.emission * PRICE_ONE, prices.twap) : 0n;
    const allowed = guard === null ? share : least(share, guard);
    emissions.set(demand.domain, { share, guard, offset, minted: greatest(allowed - offset, 0n) });
  }
  return emissions;
}
