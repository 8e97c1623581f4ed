import { nextInt, type Rng } from "../../shared/random.ts";

/** 95 % intervals. */
export interface Interval {
  value: number;
  low: number;
  high: number;
  method: string;
}

/** Clopper and Pearson's exact interval of a share, by bisection of the binomial's tails. */
export function clopperPearson(hits: number, of: number): Interval {
  const low = hits === 0 ? 0 : bisect((p) => tailAbove(hits, of, p) - 0.025);
  const high = hits === of ? 1 : bisect((p) => 0.025 - tailBelow(hits, of, p));
  return { value: hits / of, low, high, method: "Clopper–Pearson" };
}

/** P(X ≥ hits). */
const tailAbove = (hits: number, of: number, p: number): number => 1 - tailBelow(hits - 1, of, p);

/** P(X ≤ hits), summed from the far end so that small terms are not lost. */
function tailBelow(hits: number, of: number, p: number): number {
  if (hits < 0) return 0;
  let sum = 0;
  let log = of * Math.log1p(-p);
  for (let k = 0; k <= hits; k++) {
    sum += Math.exp(log);
    log += Math.log((of - k) / (k + 1)) + Math.log(p) - Math.log1p(-p);
  }
  return Math.min(1, sum);
}

/** Zero of a rising function on (0, 1). */
function bisect(rising: (p: number) => number): number {
  let low = 0;
  let high = 1;
  for (let i = 0; i < 200; i++) {
    const middle = (low + high) / 2;
    if (rising(middle) < 0) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

const RESAMPLES = 2_000;

/** Percentile bootstrap of a statistic over independent units. */
export function bootstrap<T>(units: readonly T[], statistic: (units: readonly T[]) => number, rng: Rng): Interval {
  const values = Array.from({ length: RESAMPLES }, () =>
    statistic(units.map(() => units[nextInt(rng, units.length)] as T)),
  ).sort((a, b) => a - b);
  const at = (share: number): number => values[Math.min(RESAMPLES - 1, Math.floor(share * RESAMPLES))] as number;
  return { value: statistic(units), low: at(0.025), high: at(0.975), method: `bootstrap over ${units.length}` };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1
    ? (sorted[half] as number)
    : ((sorted[half - 1] as number) + (sorted[half] as number)) / 2;
}

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
