import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { epochTies, sum } from "./apportion.ts";
import { emissionLevel, emissionsOf, type PeriodDemand, defaultEmissionRule as rule } from "./emission.ts";
import { PRICE_ONE } from "./market.ts";

const UNIT = 1_000_000_000n;
const WEEK = 7 * 86_400_000;
const SUPPLY = 100_000_000n * UNIT;
/** 0.2 % and 2 % of 100,000,000 DN a year, of which 7/365. */
const FLOOR = 3_835_616_438_356n;
const CEILING = 38_356_164_383_561n;
const price = PRICE_ONE / 20n;
const ties = epochTies(1, (...parts) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
});
const level = (revenue: bigint[], previous: bigint | null, twap: bigint | null = price, supply = SUPPLY) =>
  emissionLevel({ rule, supply, epochMs: WEEK, revenue, twap, previous });

describe("emissionLevel", () => {
  it("is off until the pool has a price, and starts at the floor", () => {
    expect(level([UNIT], null, null)).toBeNull();
    expect(level([10n ** 15n], null)).toBe(FLOOR);
    expect(level([UNIT], 5n, null)).toBe(5n);
  });

  it("is κ times what the 28-day average of revenue would buy", () => {
    // 4,000 USDC a week on average at 0.05 USDC a DN is 80,000 DN; 0.4 of it is 32,000 DN.
    const weekly = [16_000n * UNIT, 0n, 0n, 0n];
    expect(level(weekly, 32_000n * UNIT)).toBe(32_000n * UNIT);
    expect(level([9_999n * UNIT, ...weekly], 32_000n * UNIT)).toBe(32_000n * UNIT);
  });

  it("counts the weeks before the first as weeks without revenue", () => {
    expect(level([4_000n * UNIT], 8_000n * UNIT)).toBe(8_000n * UNIT);
  });

  it("moves by at most e^±0.05 and ends at floor and ceiling", () => {
    expect(level([10n ** 18n], FLOOR)).toBe((FLOOR * 1_051_271_096n) / UNIT);
    let up = FLOOR;
    for (let i = 0; i < 60; i++) up = level([10n ** 18n], up) as bigint;
    expect(up).toBe(CEILING);
    let down = CEILING;
    for (let i = 0; i < 60; i++) down = level([0n], down) as bigint;
    expect(down).toBe(FLOOR);
  });

  it("|ln| ≤ 0.05 exactly, within its bounds, and monotone in revenue", () => {
    fc.assert(
      fc.property(
        fc.array(fc.bigInt(0n, 10n ** 16n), { minLength: 1, maxLength: 6 }),
        fc.bigInt(FLOOR, CEILING),
        fc.bigInt(PRICE_ONE / 10_000n, PRICE_ONE * 100n),
        fc.bigInt(0n, 10n ** 15n),
        (revenue, previous, twap, more) => {
          const next = level(revenue, previous, twap) as bigint;
          expect(Math.abs(Math.log(Number(next) / Number(previous)))).toBeLessThanOrEqual(0.05 + 1e-12);
          expect(next >= FLOOR && next <= CEILING).toBe(true);
          const richer = [...revenue.slice(0, -1), (revenue.at(-1) as bigint) + more];
          expect((level(richer, previous, twap) as bigint) >= next).toBe(true);
        },
      ),
    );
  });
});

const demand = (period: string, revenue: bigint, change: Partial<PeriodDemand> = {}): PeriodDemand => ({
  period,
  revenue,
  foundation: revenue / 100n,
  processor: (revenue * 3n) / 100n,
  emission: 0n,
  listed: false,
  offset: false,
  ...change,
});

describe("emissionsOf", () => {
  const prices = { twap: price, close: price };
  const limits = { level: FLOOR, ceiling: CEILING, kappaPpm: rule.kappaPpm };

  it("an open domain mints no more than 3.8 % of its revenue; the level is the listed one's", () => {
    const [open, listed] = [demand("open", 100n * UNIT), demand("listed", 100n * UNIT, { listed: true })];
    const emissions = emissionsOf(limits, [open, listed], prices, ties);
    // κ × 100 and 0.95 × 4 USDC at 0.05 USDC a DN.
    expect(emissions.get("open")).toMatchObject({ share: 800n * UNIT, guard: 76n * UNIT, minted: 76n * UNIT });
    expect(emissions.get("listed")).toMatchObject({ share: FLOOR, guard: null, minted: FLOOR });
  });

  it("κ bounds an open domain too", () => {
    const one = [demand("open", 100n * UNIT)];
    const minted = (kappaPpm: bigint) => emissionsOf({ ...limits, kappaPpm }, one, prices, ties).get("open")?.minted;
    expect(minted(38_000n)).toBe(76n * UNIT);
    expect(minted(10_000n)).toBe(20n * UNIT);
    expect(minted(0n)).toBe(0n);
  });

  it("open domains share what the ceiling leaves where that is less", () => {
    const both = [demand("a", 100n * UNIT), demand("b", 300n * UNIT), demand("listed", UNIT, { listed: true })];
    const minted = (ceiling: bigint) =>
      [...emissionsOf({ ...limits, ceiling }, both, prices, ties).values()].map((one) => one.minted);
    expect(minted(FLOOR + 304n * UNIT)).toEqual([76n * UNIT, 228n * UNIT, FLOOR]);
    expect(minted(FLOOR + 100n * UNIT)).toEqual([25n * UNIT, 75n * UNIT, FLOOR]);
    expect(minted(FLOOR - 1n)).toEqual([0n, 0n, FLOOR]);
  });

  it("the guard takes the higher of TWAP and closing price", () => {
    const one = [demand("open", 100n * UNIT)];
    const guard = (twap: bigint, close: bigint) => emissionsOf(limits, one, { twap, close }, ties).get("open")?.guard;
    expect(guard(price, price * 2n)).toBe(38n * UNIT);
    expect(guard(price * 2n, price)).toBe(38n * UNIT);
  });

  it("offset takes z / TWAP off what is minted, not below zero", () => {
    const offset = (z: bigint) =>
      emissionsOf(limits, [demand("a", 100n * UNIT, { emission: z, offset: true })], prices, ties).get("a")?.minted;
    expect(offset(0n)).toBe(76n * UNIT);
    expect(offset(UNIT)).toBe(56n * UNIT);
    expect(offset(50n * UNIT)).toBe(0n);
  });

  it("mints nothing without matured paid work", () => {
    expect(emissionsOf(limits, [demand("idle", 0n, { listed: true })], prices, ties).size).toBe(0);
    expect(emissionsOf(limits, [], prices, ties).size).toBe(0);
  });

  it("listed shares sum to the level exactly; nothing exceeds share, guard or ceiling; more revenue is never less", () => {
    const domains = fc.uniqueArray(
      fc.record({
        name: fc.constantFrom("a", "b", "c", "d"),
        revenue: fc.bigInt(0n, 10n ** 14n),
        listed: fc.boolean(),
        offset: fc.boolean(),
        z: fc.bigInt(0n, 10n ** 12n),
      }),
      { selector: ({ name }) => name, minLength: 1 },
    );
    const anyPrice = fc.bigInt(PRICE_ONE / 1_000n, PRICE_ONE * 10n);
    fc.assert(
      fc.property(domains, anyPrice, anyPrice, fc.bigInt(0n, CEILING), (list, twap, close, level) => {
        const demands = list.map(({ name, revenue, listed, offset, z }) =>
          demand(name, revenue, { listed, offset, emission: z }),
        );
        const of = (of: PeriodDemand[]) => emissionsOf({ ...limits, level }, of, { twap, close }, ties);
        const emissions = [...of(demands).values()];
        const listed = emissions.filter(({ guard }) => guard === null);
        expect(sum(listed.map(({ share }) => share))).toBe(listed.length > 0 ? level : 0n);
        expect(sum(emissions.map(({ minted }) => minted)) <= CEILING).toBe(true);
        for (const { share, guard, minted } of emissions) {
          expect(minted >= 0n && minted <= share && (guard === null || minted <= guard)).toBe(true);
        }
        const [first, ...rest] = demands as [PeriodDemand];
        const change = { listed: first.listed, offset: first.offset, emission: first.emission };
        const richer = of([demand(first.period, first.revenue * 2n, change), ...rest]);
        const minted = of(demands).get(first.period)?.minted ?? 0n;
        expect((richer.get(first.period)?.minted ?? 0n) >= minted).toBe(true);
      }),
    );
  });
});
