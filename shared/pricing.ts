import { ceilDiv, NANO_PER_MICRO, type Nano } from "./money.ts";

/**
 * Service levels and what each costs (../shared/money.md, "Units and prices"): `fast` prices one execution, `verified`
 * two, `quorum-N` N.
 */
export const serviceLevels = ["fast", "verified", "quorum-3", "quorum-4", "quorum-5"] as const;
export type ServiceLevel = (typeof serviceLevels)[number];

export function executionsPriced(level: ServiceLevel): number {
  if (level === "fast") return 1;
  if (level === "verified") return 2;
  return Number(level.slice("quorum-".length));
}

export interface Tariff {
  /** nano-USDC per GFLOP; `commons` asks 0.02 µUSDC. */
  nanoPerGflop: bigint;
  /** The domain's difficulty for the model, in millionths. */
  difficultyPpm: bigint;
}

export const commonsTariff: Tariff = { nanoPerGflop: 20n, difficultyPpm: 1_000_000n };

const FLOP_PER_GFLOP = 1_000_000_000n;

/** `work` in FLOP, an integer ≥ 1,000 (10⁻⁶ GFLOP). Whole µUSDC, at least one. Used to quote and to charge. */
export const priceOf = (work: bigint, level: ServiceLevel, tariff: Tariff, preemptible = false): Nano =>
  priceOfWork(work * BigInt(executionsPriced(level)), tariff, preemptible);

/** All priced executions together. Batch work waits for whoever pays the whole price, and pays half; the least price is the same. */
export function priceOfWork(work: bigint, tariff: Tariff, preemptible = false): Nano {
  const scaled = work * tariff.nanoPerGflop * tariff.difficultyPpm;
  const micro = ceilDiv(scaled, FLOP_PER_GFLOP * 1_000_000n * NANO_PER_MICRO * (preemptible ? 2n : 1n));
  return (micro > 1n ? micro : 1n) * NANO_PER_MICRO;
}
