import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ceilDiv, formatNano, split } from "./money.ts";

const byName = (id: string): string => id;
const shares = fc
  .uniqueArray(fc.record({ id: fc.string(), weight: fc.bigInt(0n, 10n ** 12n) }), {
    minLength: 1,
    selector: ({ id }) => id,
  })
  .filter((list) => list.some(({ weight }) => weight > 0n));
const totals = fc.bigInt(0n, 10n ** 20n);

describe("split", () => {
  it("gives parts that sum to the total, each within one unit of its exact share", () => {
    fc.assert(
      fc.property(totals, shares, (total, list) => {
        const parts = split(total, list, byName);
        const weights = list.reduce((sum, { weight }) => sum + weight, 0n);
        expect([...parts.values()].reduce((sum, part) => sum + part, 0n)).toBe(total);
        for (const { id, weight } of list) {
          const difference = (parts.get(id) as bigint) * weights - total * weight;
          expect(difference > -weights && difference < weights).toBe(true);
          if (weight === 0n) expect(parts.get(id)).toBe(0n);
        }
      }),
    );
  });

  it("does not depend on the order of the shares", () => {
    fc.assert(
      fc.property(totals, shares, fc.infiniteStream(fc.nat()), (total, list, order) => {
        const shuffled = list
          .map((share) => ({ share, place: order.next().value as number }))
          .sort((a, b) => a.place - b.place)
          .map(({ share }) => share);
        const sorted = (parts: Map<string, bigint>) => [...parts].sort(([a], [b]) => (a < b ? -1 : 1));
        expect(sorted(split(total, shuffled, byName))).toEqual(sorted(split(total, list, byName)));
      }),
    );
  });

  it("gives the odd unit to the largest remainder, and between equal ones to the lower tie", () => {
    const parts = (total: bigint, weights: Record<string, bigint>, tie = byName) =>
      Object.fromEntries(
        split(
          total,
          Object.entries(weights).map(([id, weight]) => ({ id, weight })),
          tie,
        ),
      );
    expect(parts(10n, { a: 1n, b: 1n, c: 1n })).toEqual({ a: 4n, b: 3n, c: 3n });
    expect(parts(10n, { a: 1n, b: 1n, c: 1n }, (id) => (id === "c" ? "0" : "1"))).toMatchObject({ c: 4n });
    expect(parts(10n, { a: 55n, b: 45n })).toEqual({ a: 6n, b: 4n });
    expect(parts(3n, { a: 10n, b: 85n, c: 5n })).toEqual({ a: 0n, b: 3n, c: 0n });
  });

  it("refuses a negative total, a negative weight and weights without a sum", () => {
    expect(() => split(-1n, [{ id: "a", weight: 1n }], byName)).toThrow(/negative amount: -1/);
    expect(() =>
      split(
        1n,
        [
          { id: "a", weight: 2n },
          { id: "b", weight: -1n },
        ],
        byName,
      ),
    ).toThrow(/negative weight of b/);
    expect(() => split(1n, [{ id: "a", weight: 0n }], byName)).toThrow(/positive sum/);
  });
});

describe("formatNano", () => {
  it("writes nine places, whatever the size and sign", () => {
    expect(formatNano(0n)).toBe("0.000000000");
    expect(formatNano(1n)).toBe("0.000000001");
    expect(formatNano(-1n)).toBe("-0.000000001");
    expect(formatNano(1_500_000_000n)).toBe("1.500000000");
    expect(formatNano(-12_345_678_901_234_567_890n)).toBe("-12345678901.234567890");
  });

  it("is exact", () => {
    fc.assert(
      fc.property(fc.bigInt(-(10n ** 30n), 10n ** 30n), (amount) => {
        expect(BigInt(formatNano(amount).replace(".", ""))).toBe(amount);
      }),
    );
  });
});

describe("ceilDiv", () => {
  it("is the least integer that is not below the quotient", () => {
    fc.assert(
      fc.property(totals, fc.bigInt(1n, 10n ** 12n), (dividend, divisor) => {
        const quotient = ceilDiv(dividend, divisor);
        expect(quotient * divisor >= dividend && (quotient - 1n) * divisor < dividend).toBe(true);
      }),
    );
  });
});
