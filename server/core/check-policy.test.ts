import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { tensorOf } from "../../shared/tensor.ts";
import {
  checkRate,
  commonsChecks,
  deterrentRate,
  looksBroken,
  MedianPrice,
  payOf,
  RecentAnswers,
} from "./check-policy.ts";

const rich = { pay: 1_000, atRisk: 1_000_000 };

describe("checkRate", () => {
  it("thins out as checks are passed, and never stops", () => {
    const rates = [0, 19, 20, 99, 100, 1_000_000].map((passes) => checkRate(commonsChecks, passes, rich));
    expect(rates).toEqual([1, 1, 0.2, 0.2, 0.05, 0.05]);
  });

  it("checks cheap checks more often", () => {
    expect(checkRate(commonsChecks, 100, rich, 0.3)).toBe(0.3);
    expect(checkRate(commonsChecks, 100, rich, 0.31)).toBe(0.05);
    expect(checkRate(commonsChecks, 0, rich, 0.01)).toBe(1);
  });

  it("is raised to what deters: 1.6 / (0.67 (L + 1))", () => {
    expect(deterrentRate({ pay: 100, atRisk: 0 })).toBe(1);
    expect(deterrentRate({ pay: 100, atRisk: 5_000 })).toBeCloseTo(1.6 / (0.67 * 51), 12);
    expect(deterrentRate({ pay: 0, atRisk: 0 })).toBe(0);
    expect(checkRate(commonsChecks, 1_000, { pay: 100, atRisk: 1_000 })).toBeCloseTo(1.6 / (0.67 * 11), 12);
  });

  it("makes a cheat's expected profit at most nothing wherever it is below one", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10 ** 9 }), fc.integer({ min: 0, max: 10 ** 12 }), (pay, atRisk) => {
        const rate = deterrentRate({ pay, atRisk });
        expect(rate).toBeGreaterThan(0);
        expect(rate).toBeLessThanOrEqual(1);
        if (rate < 1) expect(1.6 * pay - 0.67 * rate * (atRisk + pay)).toBeLessThan(1e-6 * pay);
        expect(deterrentRate({ pay, atRisk: atRisk + pay })).toBeLessThanOrEqual(rate);
      }),
    );
  });
});

describe("payOf", () => {
  it("is the miners' part of one execution", () => {
    expect(payOf(commonsChecks, 1_000_000n, 2_000)).toBe(670_000);
  });
});

describe("MedianPrice", () => {
  it("calls a price high from a hundred medians on", () => {
    const prices = new MedianPrice(100);
    expect(prices.isHigh(10n ** 9n)).toBe(false);
    for (let i = 0; i < 200; i++) prices.add(i % 10 === 0 ? 50_000n : 1_000n);
    expect(prices.isHigh(99_999n)).toBe(false);
    expect(prices.isHigh(100_000n)).toBe(true);
  });
});

describe("RecentAnswers", () => {
  it("notices one answer to two questions, and forgets what is long past", () => {
    const recent = new RecentAnswers();
    expect(recent.repeats("a", "1")).toBe(false);
    expect(recent.repeats("a", "1")).toBe(false);
    expect(recent.repeats("a", "2")).toBe(true);
    for (let i = 0; i < 128; i++) recent.repeats(`b${i}`, `${i}`);
    expect(recent.repeats("a", "3")).toBe(false);
  });
});

describe("looksBroken", () => {
  const float = (...values: number[]) => [tensorOf("y", "float32", [values.length], Float32Array.from(values))];
  it.each([
    ["different numbers", float(1, 2, 3), false],
    ["a single number", float(7), false],
    ["the same number everywhere", float(0, 0, 0), true],
    ["not a number somewhere", float(1, 2, Number.NaN), true],
    ["float16 not a number", [tensorOf("y", "float16", [2], Uint16Array.of(0x3c00, 0x7e00))], true],
    ["integers", [tensorOf("y", "int32", [3], Int32Array.of(1, 1, 2))], false],
    ["constant integers", [tensorOf("y", "int64", [2], BigInt64Array.of(4n, 4n))], true],
    ["nothing", [tensorOf("y", "float32", [0], new Float32Array(0))], false],
  ])("%s", (_, outputs, broken) => {
    expect(looksBroken(outputs)).toBe(broken);
  });
});
