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

/**
 * For seeds that are counted: 1, 2, 3. What `seededRng` draws first follows from the seed's bits almost unmixed, and its very
 * first draw is the same for all seeds; published figures were drawn so, which is why it stays as it is. Here the seed goes
 * through a hash (the finalizer of MurmurHash3, over steps of 2³² ÷ φ as in splitmix), and the first draws are left out.
 */
export function countedRng(seed: number): Rng {
  let mixed = Math.imul(seed | 0, 0x9e37_79b1) ^ 0x6a09_e667;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  const rng = seededRng(mixed ^ (mixed >>> 16));
  for (let i = 0; i < 8; i++) rng.next();
  return rng;
}

/** Integer in [0, bound). */
export const nextInt = (rng: Rng, bound: number): number => Math.floor(rng.next() * bound);
