import { describe, expect, it } from "vitest";
import type { ModelKey } from "../../shared/ids.ts";
import { commonsChecks } from "../core/check-policy.ts";
import { commonsSettings } from "../economy/domains.ts";
import { earlyChecks } from "../economy/verification-terms.ts";
import { checksUnder, DomainMap } from "./domain-map.ts";

const verification = { ...commonsSettings.verification, checkRate: 4_000, newcomerPasses: 150, referenceShare: 3_500 };
const strict = {
  ...commonsSettings,
  revenue: { ...commonsSettings.revenue, domain: "strict", pool: 3_000 },
  verification,
};

describe("the check policy of a domain", () => {
  it("is that of the core where it is that of the commons", () => {
    expect(checksUnder(commonsSettings)).toEqual(commonsChecks);
    expect(earlyChecks).toEqual({ passes: commonsChecks.trustedPasses, rate: commonsChecks.earlyRate * 10_000 });
  });

  it("raises what its owner raised, and what its shares leave is weighed by them", () => {
    expect(checksUnder(strict)).toEqual({
      ...commonsChecks,
      newcomerPasses: 150,
      earlyRate: 0.4,
      trustedRate: 0.4,
      cheapCheckRate: 0.4,
      referenceShare: 0.35,
      deductedBasisPoints: 3_500,
    });
  });

  it("holds from its epoch on and not before, for the models that are published there alone", () => {
    const domains = new DomainMap();
    const eye = "eye@1" as ModelKey;
    const first = { ...strict, verification: commonsSettings.verification };
    domains.change("strict", [
      { from: 0, settings: first },
      { from: 2, settings: strict },
    ]);
    domains.publish(eye, "strict");
    const rates = [0, 1, 2, 3].map((epoch) => {
      domains.epoch = epoch;
      return checksUnder(domains.settingsOf(eye)).trustedRate;
    });
    expect(rates).toEqual([0.05, 0.05, 0.4, 0.4]);
    expect(checksUnder(domains.settingsOf("other@1" as ModelKey)).trustedRate).toBe(0.05);
  });
});
