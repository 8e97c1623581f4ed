import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";

/** Randomness is always passed in: the hub gets a securely seeded one, tests and the simulator a fixed seed. */
export interface Rng {
  /** Uniform in [0, 1), 32 bits. */
  next(): number;
}

/** xoroshiro128+ (Blackman and Vigna) from pure-rand; the same seed gives the same run on every machine. */
export function seededRng(seed: number): Rng {
  const generator = xoroshiro128plus(seed | 0);
  return { next: () => (generator.next() >>> 0) / 0x1_0000_0000 };
}

/** Integer in [0, bound). */
export const nextInt = (rng: Rng, bound: number): number => Math.floor(rng.next() * bound);
