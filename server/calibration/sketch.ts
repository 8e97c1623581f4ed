import { z } from "zod";

/**
 * A distribution of non-negative numbers in bins of a twelfth of a power of two or so (2^⅛, 9 %): small enough to commit, and
 * two of them add up, so that operators can measure on their own devices and send what they found.
 */
export const sketchSchema = z.strictObject({
  count: z.int().nonnegative(),
  zeros: z.int().nonnegative(),
  max: z.number().nonnegative(),
  /** Numbers in [2^(i/8), 2^((i+1)/8)) by i. */
  bins: z.record(z.string().regex(/^-?\d+$/), z.int().positive()),
});
export type Sketch = z.infer<typeof sketchSchema>;

const BINS_PER_OCTAVE = 8;
/** Infinite distances (another shape, a token that could not be drawn) count as this. */
const CEILING = 1e30;

export const emptySketch = (): Sketch => ({ count: 0, zeros: 0, max: 0, bins: {} });

/** Adds a number to a sketch; what is not a number counts as the largest. */
export function addTo(sketch: Sketch, value: number): void {
  const bounded = value < CEILING ? value : CEILING;
  sketch.count += 1;
  if (bounded > sketch.max) sketch.max = bounded;
  if (bounded === 0) sketch.zeros += 1;
  else {
    const bin = Math.floor(Math.log2(bounded) * BINS_PER_OCTAVE);
    sketch.bins[bin] = (sketch.bins[bin] ?? 0) + 1;
  }
}

export function mergeSketches(sketches: readonly Sketch[]): Sketch {
  const merged = emptySketch();
  for (const { count, zeros, max, bins } of sketches) {
    merged.count += count;
    merged.zeros += zeros;
    merged.max = Math.max(merged.max, max);
    for (const [bin, n] of Object.entries(bins)) merged.bins[bin] = (merged.bins[bin] ?? 0) + n;
  }
  return merged;
}

const ascending = ({ bins }: Sketch): [bin: number, count: number][] =>
  Object.entries(bins)
    .map(([bin, count]): [number, number] => [Number(bin), count])
    .sort(([a], [b]) => a - b);

/** No less than the share `q` of the numbers lies at or below the result, which is at most one bin too high. */
export function quantile(sketch: Sketch, q: number): number {
  let seen = sketch.zeros;
  if (seen >= q * sketch.count) return 0;
  for (const [bin, count] of ascending(sketch)) {
    seen += count;
    if (seen >= q * sketch.count) return Math.min(sketch.max, 2 ** ((bin + 1) / BINS_PER_OCTAVE));
  }
  return sketch.max;
}

/** Share of the numbers that surely lie above `limit`: those of its own bin are not counted. */
export function shareAbove(sketch: Sketch, limit: number): number {
  const above = ascending(sketch)
    .filter(([bin]) => 2 ** (bin / BINS_PER_OCTAVE) >= limit)
    .reduce((sum, [, count]) => sum + count, 0);
  return above / Math.max(1, sketch.count);
}
