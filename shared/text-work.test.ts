import fc from "fast-check";
import { expect, test } from "vitest";
import { checkWork, decodeWork, generationWork, prefillWork } from "./text-work.ts";

const work = { token: 1000, pair: 10, alpha: 0.1 };

test("token by token: each its own cost and one for every token that it sees", () => {
  expect(decodeWork(work, 0, 1)).toBe(1010n);
  expect(decodeWork(work, 4, 2)).toBe(1050n + 1060n);
  expect(prefillWork(work, 3)).toBe(306n);
  expect(generationWork(work, 3, 1)).toBe(306n + 1040n);
});

test("parts add up to the whole, and a check is cheaper than what it checks", () => {
  const size = fc.integer({ min: 0, max: 100_000 });
  fc.assert(
    fc.property(size, size, size, (from, a, b) => {
      expect(decodeWork(work, from, a) + decodeWork(work, from + a, b)).toBe(decodeWork(work, from, a + b));
      const apart = prefillWork(work, a, from) + prefillWork(work, b, from + a) - prefillWork(work, a + b, from);
      expect(apart >= 0n && apart <= 1n).toBe(true);
      if (b > 0) expect(checkWork(work, a, b) <= generationWork(work, a, b)).toBe(true);
    }),
  );
});
