/**
 * Trading with oneself in an open domain, epoch after epoch: no other domain mints a unit more for it, in any epoch during
 * it or after it, and the domain itself mints no more than 95 % of the foundation and y that it cost.
 */

import fc from "fast-check";
import { expect, it } from "vitest";
import { sha256 } from "../../shared/test-sha256.ts";
import { defaultEmissionRule } from "./emission.ts";
import { type EpochInput, type EpochMemory, firstMemory, planEpoch } from "./epoch-plan.ts";
import { emptyTally, periodOf } from "./epoch-tally.ts";
import { priceOf, seedMarket, toUsdc, WINDOW_MS } from "./market.ts";

const UNIT = 1_000_000_000n;
const WEEK = 7 * 86_400_000;
const SUPPLY = 100_000_000n * UNIT;
const market = seedMarket(50_000n * UNIT, 1_000_000n * UNIT, 0);
const shares = { owner: 0, miners: 7_000, stakers: 1_500, validators: 1_500, availability: 0 };

const names = ["listed", "listed-too", "other", "washed"] as const;
type Name = (typeof names)[number];
/** Matured revenue of each domain in an epoch, USDC; of it what the dealer adds to `washed`. */
type Week = Record<Name | "dealt", number>;
type Terms = { kappaPpm: bigint; level: number; processor: Record<Name, number>; offset: boolean; z: number };

function mintedBy(weeks: readonly Week[], terms: Terms): Map<string, bigint>[] {
  let previous: EpochMemory = { ...firstMemory, level: BigInt(terms.level) * UNIT };
  const domain = { shares, stakes: new Map(), targetStake: 0n, availability: new Map() };
  return weeks.map((week, n) => {
    const tally = emptyTally();
    for (const name of names) {
      const revenue = BigInt(week[name] + (name === "washed" ? week.dealt : 0)) * UNIT;
      if (revenue === 0n) continue;
      const processor = (revenue * BigInt(terms.processor[name])) / 10_000n;
      const emission = name === "other" ? (revenue * BigInt(terms.z)) / 10_000n : 0n;
      const amounts = { revenue, foundation: revenue / 100n, processor, emission };
      Object.assign(periodOf(tally, { domain: name, since: 0 }), amounts);
    }
    const input: EpochInput = {
      epoch: n + 1,
      at: WINDOW_MS + n * WEEK,
      epochMs: WEEK,
      tally,
      periods: new Map(
        names.map((name) => [
          `${name}@0`,
          { ...domain, listed: name.startsWith("listed"), offset: name === "other" && terms.offset },
        ]),
      ),
      royalties: new Map(),
      market,
      slippagePpm: 10_000n,
      rule: { ...defaultEmissionRule, kappaPpm: terms.kappaPpm },
      supply: SUPPLY,
      previous,
    };
    const plan = planEpoch(input, sha256);
    previous = plan.memory;
    return new Map([...plan.domains].map(([name, { minted }]) => [name, minted]));
  });
}

const revenue = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 3_000_000 }));
const weeks = fc.array(
  fc.record({ listed: revenue, "listed-too": revenue, other: revenue, washed: revenue, dealt: revenue }),
  { minLength: 1, maxLength: 16 },
);
const y = fc.integer({ min: 0, max: 1_000 });
const terms = fc.record({
  kappaPpm: fc.bigInt(0n, 400_000n),
  level: fc.integer({ min: 3_900, max: 38_000 }),
  processor: fc.record({ listed: y, "listed-too": y, other: y, washed: y }),
  offset: fc.boolean(),
  z: fc.integer({ min: 0, max: 1_000 }),
});

it("dealing in an open domain raises no other domain's part, ever, and its own by less than it costs", () => {
  fc.assert(
    fc.property(weeks, terms, (list, by) => {
      const dealt = mintedBy(list, by);
      const honest = mintedBy(
        list.map((week) => ({ ...week, dealt: 0 })),
        by,
      );
      list.forEach((week, n) => {
        const of = (minted: Map<string, bigint>[], name: Name) => minted[n]?.get(name) ?? 0n;
        for (const name of ["listed", "listed-too", "other"] as const)
          expect(of(dealt, name) <= of(honest, name), `${name} in epoch ${n + 1}`).toBe(true);
        const gained = toUsdc(of(dealt, "washed") - of(honest, "washed"), priceOf(market));
        const lost = (BigInt(week.dealt) * UNIT * BigInt(100 + by.processor.washed)) / 10_000n;
        expect(gained <= (lost * 95n) / 100n + 1n, `washed in epoch ${n + 1}`).toBe(true);
      });
    }),
    { numRuns: 300 },
  );
});
