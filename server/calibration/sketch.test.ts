import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addTo, emptySketch, mergeSketches, quantile, type Sketch, shareAbove, sketchSchema } from "./sketch.ts";

const sketchOf = (values: readonly number[]): Sketch => {
  const sketch = emptySketch();
  for (const value of values) addTo(sketch, value);
  return sketch;
};
const numbers = fc.array(
  fc.oneof(
    fc.constant(0),
    fc.double({ min: -12, max: 2, noNaN: true }).map((power) => 10 ** power),
  ),
  { minLength: 1, maxLength: 200 },
);
const BIN = 2 ** (1 / 8);

describe("sketch", () => {
  it("adds up: merged parts are the whole, also through JSON", () => {
    fc.assert(
      fc.property(numbers, numbers, (a, b) => {
        const parts = [a, b].map((values) => sketchSchema.parse(JSON.parse(JSON.stringify(sketchOf(values)))));
        expect(mergeSketches(parts)).toEqual(sketchOf([...a, ...b]));
      }),
    );
  });

  it("gives quantiles that are never too low, and too high by a bin at most", () => {
    fc.assert(
      fc.property(numbers, fc.double({ min: 0.001, max: 1, noNaN: true }), (values, q) => {
        const sorted = values.toSorted((a, b) => a - b);
        const exact = sorted[Math.ceil(q * values.length - 1e-9) - 1] as number;
        const found = quantile(sketchOf(values), q);
        expect(found).toBeGreaterThanOrEqual(exact * (1 - 1e-9));
        expect(found).toBeLessThanOrEqual(exact * BIN * (1 + 1e-9));
      }),
    );
  });

  it("counts what surely lies above a limit", () => {
    const sketch = sketchOf([0, 1, 2, 4, Number.POSITIVE_INFINITY, Number.NaN]);
    expect(shareAbove(sketch, 1.5)).toBe(4 / 6);
    expect(shareAbove(sketch, 1e20)).toBe(2 / 6);
  });
});
