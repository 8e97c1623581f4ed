import { expect, it } from "vitest";
import { countedRng, nextInt, seededRng } from "./random.ts";

it("draws otherwise for every counted seed, from the first draw on", () => {
  for (const place of [0, 1, 2, 3]) {
    const seen = new Set<number>();
    for (let seed = 0; seed < 1_000; seed++) {
      const rng = countedRng(seed);
      for (let i = 0; i < place; i++) rng.next();
      seen.add(nextInt(rng, 100));
    }
    // All hundred but for chance; the first draw of `seededRng` is the same for all.
    expect(seen.size, `draw ${place}`).toBeGreaterThan(95);
  }
});

it("draws the same for the same seed, and leaves published draws as they were", () => {
  const first = (rng: { next(): number }) => Array.from({ length: 4 }, () => nextInt(rng, 1_000_000));
  expect(first(countedRng(7))).toEqual(first(countedRng(7)));
  expect(first(seededRng(1))).toEqual([999999, 996063, 997070, 719245]);
});
