import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { AccountId, ModelKey } from "../../shared/ids.ts";
import { sum } from "./apportion.ts";
import { divideModel, type EmissionShares, type ModelClaims } from "./emission-split.ts";
import { assertBalanced } from "./ledger.ts";
import { changeRoyalty, checkRoyalty, ownRoyalty, payRoyalty, type Royalty, splitRoyalty } from "./royalty.ts";

const ties = (id: string) => id;
const party = (name: string) => name as AccountId;
const shares: EmissionShares = { owner: 1_000, miners: 5_000, stakers: 2_000, validators: 3_000, availability: 1_000 };
const one = (name: string, weight = 1n) => new Map([[party(name), weight]]);
const none = new Map<AccountId, bigint>();
const claims: ModelClaims = {
  domain: "commons",
  royalty: ownRoyalty("ann", 2_000),
  revenue: 1n,
  work: one("miner:own_a"),
  availability: one("miner:own_b"),
  checks: one("miner:own_c"),
  stakes: one("customer:c_d"),
  cover: { staked: 100n, atRisk: 100n },
};

describe("divideModel", () => {
  it("follows the table", () => {
    const { parts, unclaimed } = divideModel(10_000n, shares, claims, ties);
    expect(Object.fromEntries(parts)).toEqual({
      foundation: 100n,
      "domain:commons": 1_000n,
      "creator:ann:matured": 2_000n,
      // Of the remaining 6,900: half to miners, a tenth of it by availability; 20 % stakers; 30 % validators.
      "miner:own_a": 3_105n,
      "miner:own_b": 345n,
      "customer:c_d": 1_380n,
      "miner:own_c": 2_070n,
    });
    expect(unclaimed).toBe(0n);
  });

  it("leaves unclaimed what nobody can claim", () => {
    const { parts, unclaimed } = divideModel(10_000n, shares, { ...claims, checks: none, availability: none }, ties);
    expect(unclaimed).toBe(2_070n + 345n);
    expect(sum(parts.values())).toBe(10_000n - unclaimed);
  });

  it("mints nothing for the reference node's work and for unchecked tasks", () => {
    const { parts, unclaimed } = divideModel(10_000n, shares, { ...claims, revenue: 3n }, ties);
    expect(parts.get(party("miner:own_a"))).toBe(1_035n);
    expect(parts.get(party("miner:own_c"))).toBe(690n);
    expect(unclaimed).toBe(2_070n + 1_380n);
  });

  it("pays stakers for the share of the value at risk that stake covers", () => {
    const stakers = (staked: bigint, atRisk: bigint) =>
      divideModel(10_000n, shares, { ...claims, cover: { staked, atRisk } }, ties).parts.get(party("customer:c_d")) ??
      0n;
    expect(stakers(50n, 100n)).toBe(690n);
    expect(stakers(200n, 100n)).toBe(1_380n);
    expect(stakers(0n, 100n)).toBe(0n);
  });

  it("sums to the amount exactly, whatever the shares and claims", () => {
    const weights = fc
      .dictionary(fc.constantFrom("miner:own_a", "miner:own_b", "customer:c_c"), fc.bigInt(0n, 10n ** 15n))
      .map((of) => new Map(Object.entries(of) as [AccountId, bigint][]));
    const proportions = fc
      .tuple(fc.integer({ min: 0, max: 9_900 }), fc.integer({ min: 0, max: 9_900 }))
      .filter(([a, b]) => a + b >= 100 && a + b <= 10_000)
      .map(([miners, stakers]) => ({ miners, stakers, validators: 10_000 - miners - stakers }));
    const backing = fc.tuple(fc.integer({ min: 0, max: 10_000 }), weights).map(([backers, holdings]) => ({
      backers,
      own: 10_000 - backers,
      holdings,
    }));
    fc.assert(
      fc.property(
        fc.bigInt(0n, 10n ** 17n),
        proportions,
        fc.record({ owner: fc.integer({ min: 0, max: 1_000 }), availability: fc.integer({ min: 0, max: 2_000 }) }),
        fc.record({ work: weights, availability: weights, checks: weights, stakes: weights }),
        fc.integer({ min: 0, max: 5_700 }),
        backing,
        fc.tuple(fc.bigInt(0n, 1_000n), fc.bigInt(0n, 1_000n)),
        (amount, split, bounds, given, x, backed, [staked, atRisk]) => {
          const royalty = { ...ownRoyalty("ann", x), ...backed };
          const all = { domain: "d", royalty, revenue: 10n ** 15n, ...given, cover: { staked, atRisk } };
          const { parts, unclaimed } = divideModel(amount, { ...bounds, ...split }, all, ties);
          expect(sum(parts.values()) + unclaimed).toBe(amount);
          expect([...parts.values()].every((part) => part > 0n) && unclaimed >= 0n).toBe(true);
          const foundation = parts.get(party("foundation")) ?? 0n;
          expect(foundation * 100n - amount <= 100n && amount - foundation * 100n <= 100n).toBe(true);
        },
      ),
    );
  });
});

describe("royalty", () => {
  const holdings = new Map([
    [party("customer:c_x"), 3n],
    [party("customer:c_y"), 1n],
  ]);
  const backed: Royalty = {
    ...ownRoyalty("ann", 2_000),
    backers: 4_000,
    own: 5_000,
    yieldVenue: 1_000,
    holdings,
    venue: party("escrow:r"),
  };

  it("splits x into a, b and c", () => {
    expect(Object.fromEntries(splitRoyalty(1_000n, backed, ties))).toEqual({
      "creator:ann:matured": 500n,
      "escrow:r": 100n,
      "customer:c_x": 300n,
      "customer:c_y": 100n,
    });
  });

  it("pays out what matured", () => {
    const transfer = payRoyalty("m@1" as ModelKey, 7n, backed, { epoch: 3, at: 1, tieBreak: ties });
    if (!transfer) throw new Error("no transfer");
    assertBalanced(transfer);
    expect(payRoyalty("m@1" as ModelKey, 0n, backed, { epoch: 3, at: 1, tieBreak: ties })).toBeNull();
  });

  it.each([
    ["parts that miss the whole", { ...backed, own: 4_999 }, "split-not-whole", "royalty"],
    ["a negative part", { ...backed, own: 11_000, backers: -2_000 }, "split-not-whole", "royalty"],
    ["a venue's part without a venue", { ...backed, venue: null }, "share-out-of-bounds", "royalty.yieldVenue"],
    ["backers without shares", { ...backed, holdings: none }, "share-out-of-bounds", "royalty.backers"],
  ])("refuses %s", (_, royalty, code, field) => {
    expect(checkRoyalty(royalty)).toMatchObject({ ok: false, error: { code, field } });
    expect(checkRoyalty(backed).ok).toBe(true);
  });

  it("refuses a royalty that changes after mint", () => {
    expect(changeRoyalty(backed, { ...backed, basisPoints: 2_001 })).toMatchObject({
      ok: false,
      error: { code: "royalty-fixed", field: "royaltyBasisPoints" },
    });
    expect(changeRoyalty(backed, { ...backed, creator: "bob" }).ok).toBe(false);
    expect(changeRoyalty(backed, { ...backed, backers: 3_000, own: 6_000 }).ok).toBe(true);
  });
});
