import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkDomain, commonsSettings } from "./domains.ts";
import { commonsRevenue } from "./revenue.ts";
import {
  commonsVerification,
  expectedCheckCost,
  levelIn,
  pooledChecks,
  type VerificationTerms,
} from "./verification-terms.ts";

const terms = (more: Partial<VerificationTerms>): VerificationTerms => ({ ...commonsVerification, ...more });
const domain = (more: Partial<VerificationTerms>, pool: number, shares = {}) =>
  checkDomain(
    { ...commonsSettings, revenue: { ...commonsRevenue, pool, ...shares }, verification: terms(more) },
    [2_000],
  );

describe("the expected cost of checks", () => {
  it("is 7.3 % by the policy: 80 checks of 400 tasks and 29 of 580, each paid 67 %", () => {
    expect(pooledChecks(commonsVerification)).toBeCloseTo(80 + 29, 9);
    expect(expectedCheckCost(commonsVerification, commonsRevenue)).toBe(730);
  });

  it.each([
    ["half of all", { checkRate: 5_000 }, 490],
    ["all of all, but for the first 20", { checkRate: 10_000 }, 980],
    ["200 passes first: 180, then one in twenty of 800", { newcomerPasses: 200 }, 180 + 40],
    ["50 passes first: 30, then 50 of 250, then one in twenty of 700", { newcomerPasses: 50 }, 30 + 50 + 35],
    ["the whole thousand", { newcomerPasses: 1_000 }, 980],
    ["none where the customer pays for each", { checkRate: 10_000, leastLevel: "verified" as const }, 0],
  ])("counts %s", (_, more, checks) => {
    expect(pooledChecks(terms(more))).toBeCloseTo(checks, 9);
  });

  it("is what the same rates come to task by task", () => {
    fc.assert(
      fc.property(fc.integer({ min: 500, max: 10_000 }), fc.integer({ min: 20, max: 1_000 }), (checkRate, most) => {
        let passes = 20;
        for (let task = 20; task < 1_000; task++) {
          const rate = passes < 100 ? Math.max(0.2, checkRate / 10_000) : checkRate / 10_000;
          passes += passes < most ? 1 : rate;
        }
        expect(Math.abs(pooledChecks(terms({ checkRate, newcomerPasses: most })) - (passes - 20))).toBeLessThan(2);
      }),
    );
  });

  it("falls with what the pool leaves to the miners", () => {
    const all = terms({ checkRate: 10_000 });
    const cost = (pool: number) => expectedCheckCost(all, { ...commonsRevenue, pool });
    expect([800, 3_860, 3_861, 4_000].map(cost)).toEqual([6_566, 3_861, 3_860, 3_724]);
  });
});

describe("a domain's terms", () => {
  it("are refused by the numbers where the pool cannot pay them, and taken where it can", () => {
    expect(domain({ checkRate: 10_000 }, 3_800)).toMatchObject({
      ok: false,
      error: {
        code: "share-out-of-bounds",
        message: expect.stringContaining("980.0 checks of a miner's first 1000 tasks"),
        field: "revenue.pool",
        expected: "at least 3920",
        got: "3800",
      },
    });
    expect(domain({ checkRate: 10_000 }, 4_000).ok).toBe(true);
    expect(domain({ checkRate: 10_000, leastLevel: "verified" }, 730).ok).toBe(true);
  });

  it("that stand, no vote on y or d makes too dear", () => {
    const share = fc.integer({ min: 0, max: 1_000 });
    fc.assert(
      fc.property(fc.integer({ min: 500, max: 10_000 }), share, share, (checkRate, processor, variableBurn) => {
        let pool = 730;
        while (!domain({ checkRate }, pool).ok) pool++;
        const after = domain({ checkRate }, pool, { processor, variableBurn });
        if (!after.ok) expect(after.error.field).toBe("revenue.miners");
      }),
    );
  });
});

describe("levelIn", () => {
  const strict = terms({ leastLevel: "verified" });
  it.each([
    ["what is asked for", strict, "quorum-3", "fast", "quorum-3"],
    ["the default", commonsVerification, null, "fast", "fast"],
    ["the least level where the default is less", strict, null, "fast", "verified"],
    ["the default where it is more", strict, null, "quorum-3", "quorum-3"],
  ] as const)("gives %s", (_, of, asked, byDefault, level) => {
    expect(levelIn(of, asked, byDefault)).toEqual({ ok: true, value: level });
  });

  it("refuses less than the least", () => {
    const error = { code: "value-out-of-range", field: "service_level", expected: "verified or more", got: "fast" };
    expect(levelIn(strict, "fast", "fast")).toMatchObject({ ok: false, error });
  });
});
