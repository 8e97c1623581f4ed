import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { commonsTariff, executionsPriced, priceOf, serviceLevels } from "./pricing.ts";

const work = fc.bigInt(1_000n, 10n ** 18n);
const tariff = fc.record({ nanoPerGflop: fc.bigInt(1n, 10n ** 9n), difficultyPpm: fc.bigInt(1n, 10n ** 9n) });

describe("priceOf", () => {
  it("asks 0.02 µUSDC per GFLOP in commons, rounded up to whole µUSDC once, at least one", () => {
    expect(priceOf(1_000n, "fast", commonsTariff)).toBe(1_000n);
    expect(priceOf(50_000_000_000n, "fast", commonsTariff)).toBe(1_000n);
    expect(priceOf(50_000_000_001n, "fast", commonsTariff)).toBe(2_000n);
    expect(priceOf(50_000_000_000n, "verified", commonsTariff)).toBe(2_000n);
    expect(priceOf(25_000_000_000n, "verified", commonsTariff)).toBe(1_000n);
    expect(priceOf(5_000_000_000_000n, "quorum-3", commonsTariff)).toBe(300_000n);
  });

  it("prices the executions of each level", () => {
    expect(serviceLevels.map(executionsPriced)).toEqual([1, 2, 3, 4, 5]);
  });

  it("is half for batch work, but not below the least price", () => {
    expect(priceOf(10_000_000_000_000n, "verified", commonsTariff, true)).toBe(200_000n);
    expect(priceOf(150_000_000_000n, "fast", commonsTariff, true)).toBe(2_000n);
    expect(priceOf(1_000n, "fast", commonsTariff, true)).toBe(1_000n);
  });

  it("is whole µUSDC, covers the exact price by less than one µUSDC, and never falls as work grows", () => {
    fc.assert(
      fc.property(work, work, tariff, fc.constantFrom(...serviceLevels), (one, more, rate, level) => {
        const price = priceOf(one, level, rate);
        const exact = one * rate.nanoPerGflop * rate.difficultyPpm * BigInt(executionsPriced(level));
        const scale = 10n ** 15n;
        expect(price % 1_000n).toBe(0n);
        expect(price * scale >= exact).toBe(true);
        expect(price === 1_000n || (price - 1_000n) * scale < exact).toBe(true);
        expect(priceOf(one + more, level, rate) >= price).toBe(true);
      }),
    );
  });
});
