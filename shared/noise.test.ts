import { describe, expect, it } from "vitest";
import { exp, GUMBEL_MAX, gumbelNoise, log, philox } from "./noise.ts";
import { seededRng } from "./random.ts";

const hex = (words: Uint32Array) => [...words].map((word) => word.toString(16).padStart(8, "0")).join(" ");
const philoxOf = (counter: number[], key: number[]) => {
  const out = new Uint32Array(4);
  philox(Uint32Array.from(counter), Uint32Array.from(key), out);
  return hex(out);
};
const f = 0xffffffff;

describe("philox", () => {
  // The known answers of Random123, kat_vectors, philox4x32 10.
  it.each([
    [[0, 0, 0, 0], [0, 0], "6627e8d5 e169c58d bc57ac4c 9b00dbd8"],
    [[f, f, f, f], [f, f], "408f276d 41c83b0e a20bc7c6 6d5451fd"],
    [[0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0], "d16cfe09 94fdcceb 5001e420 24126ea1"],
  ])("%j under %j", (counter, key, expected) => expect(philoxOf(counter, key)).toBe(expected));
});

const ulps = (got: number, expected: number) => Math.abs(got - expected) / Math.abs(expected) / 2 ** -52;

describe("log and exp", () => {
  const rng = seededRng(7);
  it("agree with the engine's own within 2 units in the last place", () => {
    let [worstLog, worstExp] = [0, 0];
    for (let i = 0; i < 100_000; i++) {
      const x = 2 ** (rng.next() * 2000 - 1000) * (1 + rng.next());
      worstLog = Math.max(worstLog, ulps(log(x), Math.log(x)));
      const near = 0.5 + rng.next() * 1.5;
      worstLog = Math.max(worstLog, ulps(log(near), Math.log(near)));
      const y = rng.next() * 1400 - 700;
      worstExp = Math.max(worstExp, ulps(exp(y), Math.exp(y)));
      const small = rng.next() * 2 - 1;
      worstExp = Math.max(worstExp, ulps(exp(small), Math.exp(small)));
    }
    console.log(`worst of 2 × 10⁵: log ${worstLog.toFixed(2)}, exp ${worstExp.toFixed(2)} units in the last place`);
    expect(worstLog).toBeLessThanOrEqual(2);
    expect(worstExp).toBeLessThanOrEqual(2);
  });

  it("at the ends of their ranges", () => {
    expect([log(1), exp(0), exp(-709), exp(Number.NEGATIVE_INFINITY)]).toEqual([0, 1, 0, 0]);
    expect(ulps(log(2 ** -1074), Math.log(2 ** -1074))).toBeLessThan(2);
    expect(ulps(log(1 - 2 ** -33), Math.log1p(-(2 ** -33)))).toBeLessThan(2);
    expect(ulps(exp(709), Math.exp(709))).toBeLessThan(2);
  });
});

describe("gumbelNoise", () => {
  it("is a function of seed, position and token, in any order of asking", () => {
    const [a, b] = [gumbelNoise(5n), gumbelNoise(5n)];
    const forwards = [0, 1, 2, 3, 4, 5].map((token) => a.at(9, token));
    const backwards = [5, 4, 3, 2, 1, 0].map((token) => b.at(9, token)).reverse();
    expect(forwards).toEqual(backwards);
    expect(gumbelNoise(6n).at(9, 0)).not.toBe(forwards[0]);
    expect(gumbelNoise(5n + (1n << 32n)).at(9, 0)).not.toBe(forwards[0]);
    expect(a.at(10, 0)).not.toBe(forwards[0]);
  });

  it("has the mean and the variance of the distribution, and never exceeds its bound", () => {
    const noise = gumbelNoise(11n);
    const count = 200_000;
    let [sum, squares, most, beyond] = [0, 0, 0, 0];
    for (let i = 0; i < count; i++) {
      const value = noise.at(i >> 10, i & 1023);
      beyond += value > noise.atMost(i >> 10, i & 1023) ? 1 : 0;
      sum += value;
      squares += value * value;
      most = Math.max(most, value);
    }
    const mean = sum / count;
    const deviation = Math.PI / Math.sqrt(6);
    expect(Math.abs(mean - 0.5772156649)).toBeLessThan((4 * deviation) / Math.sqrt(count));
    expect(Math.abs(squares / count - mean * mean - deviation ** 2)).toBeLessThan(0.03);
    expect(beyond).toBe(0);
    expect(most).toBeLessThan(GUMBEL_MAX);
    expect(33 * Math.LN2).toBeLessThan(GUMBEL_MAX);
  });
});
