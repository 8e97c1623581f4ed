import { expect, test } from "vitest";
import { liveTexts } from "./text-life.ts";

test("a life of texts breaks no invariant, and does all that it is about", () => {
  const counts = { settled: 0, unchecked: 0, refuted: 0, continued: 0, suspended: 0 };
  for (let seed = 1; seed <= 6; seed++) {
    const report = liveTexts(seed);
    expect(report.faults, `seed ${seed}`).toEqual([]);
    for (const what of Object.keys(counts) as (keyof typeof counts)[]) counts[what] += report.counts[what];
  }
  for (const what of ["settled", "refuted", "continued", "suspended"] as const)
    expect(counts[what], what).toBeGreaterThan(0);
}, 120_000);
