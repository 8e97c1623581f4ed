import { describe, expect, it } from "vitest";
import { live } from "./life.ts";

describe("a life of the network", () => {
  it("breaks no invariant, whatever the seed", () => {
    for (let seed = 1; seed <= 15; seed++) {
      const report = live(seed);
      expect(report.faults, `seed ${seed}`).toEqual([]);
      expect(report.miners).toBeGreaterThanOrEqual(20);
      expect(report.tasks).toBeGreaterThanOrEqual(200);
    }
  }, 60_000);

  it("is the same life for the same seed", () => {
    expect(live(7)).toEqual(live(7));
    expect(live(7)).not.toEqual(live(8));
  }, 60_000);

  it("survives a crash before and after every single commit", () => {
    const size = { miners: 8, tasks: 25 };
    const { commits } = live(3, { ...size, crashAt: { commit: Number.POSITIVE_INFINITY, when: "before" } });
    expect(commits).toBeGreaterThan(20);
    for (let commit = 1; commit <= commits; commit++) {
      for (const when of ["before", "after"] as const) {
        const report = live(3, { ...size, crashAt: { commit, when } });
        expect(report.faults, `dying ${when} commit ${commit}`).toEqual([]);
        expect(report.crashes).toBe(1);
      }
    }
  }, 60_000);

  it("exercises what the policy is about", () => {
    const counts = Array.from({ length: 20 }, (_, index) => live(1_000 + index).counts);
    const sum = (of: keyof (typeof counts)[number]) => counts.reduce((total, one) => total + one[of], 0);
    for (const what of ["unchecked", "overturned", "suspended", "canaries", "quarantines", "wrong"] as const) {
      expect(sum(what), what).toBeGreaterThan(0);
    }
  }, 60_000);
});
