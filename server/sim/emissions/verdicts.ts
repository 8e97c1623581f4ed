/** Shares of runs with their intervals, and the pre-registered decisions of docs/emissions-study.md, "Hypotheses". */
export interface Estimate {
  value: number;
  low: number;
  high: number;
}

const Z = 1.959964;

/** Wilson's interval of a share. */
export function share(hits: readonly boolean[]): Estimate {
  const n = hits.length;
  const value = hits.filter(Boolean).length / n;
  const centre = (value + Z ** 2 / (2 * n)) / (1 + Z ** 2 / n);
  const half = (Z / (1 + Z ** 2 / n)) * Math.sqrt((value * (1 - value)) / n + Z ** 2 / (4 * n ** 2));
  return { value, low: Math.max(0, centre - half), high: Math.min(1, centre + half) };
}

/** Mean of `a − b` over the same draws, with its normal interval. */
export function pairedDifference(a: readonly number[], b: readonly number[]): Estimate {
  const differences = a.map((one, i) => one - (b[i] as number));
  const n = differences.length;
  const value = differences.reduce((sum, one) => sum + one, 0) / n;
  const variance = differences.reduce((sum, one) => sum + (one - value) ** 2, 0) / (n - 1);
  const half = Z * Math.sqrt(variance / n);
  return { value, low: value - half, high: value + half };
}

export function quantile(values: readonly number[], at: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(at * sorted.length))] ?? Number.NaN;
}

/** Median, with the order statistics that enclose it in 95 % of samples. */
export function median(values: readonly number[]): Estimate {
  const sorted = [...values].sort((a, b) => a - b);
  const n = sorted.length;
  const half = (Z * Math.sqrt(n)) / 2;
  const at = (i: number): number => sorted[Math.min(n - 1, Math.max(0, i))] ?? Number.NaN;
  return { value: at(n >> 1), low: at(Math.floor(n / 2 - half)), high: at(Math.ceil(n / 2 + half)) };
}

export type Verdict = "confirmed" | "refuted" | "conditional";

export function fixedCollapses(fixed: Estimate, difference: Estimate): Verdict {
  if (fixed.value < 0.1 || (difference.low <= 0 && difference.high >= 0)) return "refuted";
  return fixed.value >= 0.5 && difference.low > 0 ? "confirmed" : "conditional";
}

/** `gains`: by how much fewer runs collapse than under the fixed rule, one number a cell of the grid. */
export function alignedDoesNot(aligned: Estimate, gains: readonly number[]): Verdict {
  const poor = gains.filter((gain) => gain < 0.1).length / gains.length;
  return aligned.value > 0.05 || poor > 0.2 ? "refuted" : "confirmed";
}

export function hundredForEightyTwo(buying: Estimate): Verdict {
  if (buying.value >= 100) return "confirmed";
  return buying.high < 100 ? "refuted" : "conditional";
}

/** Variance of the outcome that a parameter explains alone: of the means of ten equal bins of it. First order only. */
export function firstOrder(parameter: readonly number[], outcome: readonly number[]): number {
  const bins = 10;
  const order = parameter.map((_, i) => i).sort((a, b) => (parameter[a] as number) - (parameter[b] as number));
  const mean = (of: readonly number[]): number => of.reduce((sum, one) => sum + one, 0) / of.length;
  const all = mean(outcome);
  const variance = mean(outcome.map((one) => (one - all) ** 2));
  if (variance === 0) return 0;
  const means = Array.from({ length: bins }, (_, bin) => {
    const from = Math.floor((bin * order.length) / bins);
    const to = Math.floor(((bin + 1) * order.length) / bins);
    return mean(order.slice(from, to).map((i) => outcome[i] as number));
  });
  return mean(means.map((one) => (one - all) ** 2)) / variance;
}
