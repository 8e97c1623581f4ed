import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { AccountId } from "../../../shared/ids.ts";
import { commonsSettings } from "../../economy/domains.ts";
import { divideModel } from "../../economy/emission-split.ts";
import { ownRoyalty } from "../../economy/royalty.ts";
import { latinHypercube } from "./draws.ts";
import { simulate } from "./network.ts";
import { report } from "./report.ts";
import { cells, splits } from "./rules.ts";
import { play } from "./runs.ts";
import {
  alignedDoesNot,
  firstOrder,
  fixedCollapses,
  hundredForEightyTwo,
  median,
  pairedDifference,
  share,
} from "./verdicts.ts";

const exactly = (value: number) => ({ value, low: value, high: value });

describe("the study", () => {
  const draws = latinHypercube(6, 1);

  it("meets every part of every range once", () => {
    const parts = draws.map(({ sold }) => Math.floor(((sold - 0.2) / 0.8) * 6)).sort();
    expect(parts).toEqual([0, 1, 2, 3, 4, 5]);
    expect(draws.every(({ unitCost }) => unitCost >= 0.3 && unitCost <= 1)).toBe(true);
  });

  it("comes to the same report from the same seed, and to another from another", () => {
    const of = (seed: number) => {
      const { text, figures } = report(play(3, seed, () => {}));
      return createHash("sha256")
        .update([text, ...figures.map(({ svg }) => svg)].join())
        .digest("hex");
    };
    expect(of(1)).toBe(of(1));
    expect(of(1)).not.toBe(of(2));
  }, 60_000);

  it("keeps every outcome finite and within what it can be", () => {
    for (const cell of cells) {
      for (const draw of draws.slice(0, 2)) {
        const { served, wash, price, margin, subsidy } = simulate(draw, cell);
        expect(served >= 0 && served <= 1.000001 && wash >= 0 && wash < 1, cell.level).toBe(true);
        expect(
          [...price, margin, subsidy].every((one) => Number.isFinite(one) && one >= 0),
          cell.level,
        ).toBe(true);
      }
    }
  });

  it("splits as the production code does where it says `commons`", () => {
    const claims = {
      domain: "commons",
      royalty: ownRoyalty("ann", 2_000),
      revenue: 1n,
      work: new Map([["miner:own_a" as AccountId, 1n]]),
      checks: new Map([["staker" as AccountId, 1n]]),
      availability: new Map([["miner:own_a" as AccountId, 1n]]),
      stakes: new Map([["staker" as AccountId, 1n]]),
      cover: { staked: 1n, atRisk: 1n },
    };
    const { parts } = divideModel(10_000n, commonsSettings.emission, claims, (id) => id);
    const commons = splits[1];
    expect(Number(parts.get("miner:own_a" as AccountId)) / 10_000).toBeCloseTo(commons?.miners ?? 0, 3);
    expect(Number(parts.get("staker" as AccountId)) / 10_000).toBeCloseTo(commons?.stakers ?? 0, 3);
  });
});

describe("the decisions", () => {
  it("H1", () => {
    expect(fixedCollapses(exactly(0.09), exactly(0.05))).toBe("refuted");
    expect(fixedCollapses(exactly(0.6), { value: 0.01, low: -0.01, high: 0.03 })).toBe("refuted");
    expect(fixedCollapses(exactly(0.6), { value: 0.1, low: 0.05, high: 0.15 })).toBe("confirmed");
    expect(fixedCollapses(exactly(0.3), { value: 0.1, low: 0.05, high: 0.15 })).toBe("conditional");
    expect(fixedCollapses(exactly(0.6), { value: -0.1, low: -0.15, high: -0.05 })).toBe("conditional");
  });

  it("H2", () => {
    expect(alignedDoesNot(exactly(0.06), [0.5])).toBe("refuted");
    expect(alignedDoesNot(exactly(0.01), [0.5, 0.5, 0.5, 0.09])).toBe("refuted");
    expect(alignedDoesNot(exactly(0.01), [0.5, 0.5, 0.5, 0.5, 0.09])).toBe("confirmed");
  });

  it("H3", () => {
    expect(hundredForEightyTwo(exactly(100))).toBe("confirmed");
    expect(hundredForEightyTwo({ value: 90, low: 80, high: 99 })).toBe("refuted");
    expect(hundredForEightyTwo({ value: 90, low: 80, high: 101 })).toBe("conditional");
  });

  it("estimates", () => {
    const half = share([true, false, true, false]);
    expect(half.value).toBe(0.5);
    expect(half.low).toBeCloseTo(0.15, 2);
    expect(pairedDifference([1, 2, 3], [0, 1, 2])).toEqual(exactly(1));
    expect(median([3, 1, 2]).value).toBe(2);
    const line = Array.from({ length: 100 }, (_, i) => i);
    expect(firstOrder(line, line)).toBeGreaterThan(0.98);
    expect(
      firstOrder(
        line,
        line.map((i) => i % 2),
      ),
    ).toBeLessThan(0.01);
  });
});
