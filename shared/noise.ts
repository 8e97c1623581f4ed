/**
 * The randomness of verified sampling, the same bits on every engine: a counter-based generator (any draw of any position
 * can be repeated alone) and a logarithm and an exponential made of IEEE 754 additions, multiplications and divisions,
 * because ECMAScript leaves `Math.log` and `Math.exp` to the implementation.
 */

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;
const ROUNDS = 10;

/** Upper half of the product of two unsigned 32-bit integers. */
function high(a: number, b: number): number {
  const [aLow, aHigh, bLow, bHigh] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + (middle >>> 16) + (carry >>> 16)) >>> 0;
}

/**
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers, as easy as 1, 2, 3, SC 2011).
 *
 * @param counter 128 bits, four words
 * @param key 64 bits, two words
 * @param out gets four words
 */
export function philox(counter: Uint32Array, key: Uint32Array, out: Uint32Array): void {
  let [c0, c1, c2, c3] = counter as unknown as [number, number, number, number];
  let [k0, k1] = key as unknown as [number, number];
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = high(MULTIPLIER_0, c0);
    const low0 = Math.imul(MULTIPLIER_0, c0);
    const high1 = high(MULTIPLIER_1, c2);
    const low1 = Math.imul(MULTIPLIER_1, c2);
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1 >>> 0;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0 >>> 0;
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** Gumbel-distributed numbers by position in a text and token; equal for equal seeds, however they are asked for. */
export interface GumbelNoise {
  at(position: number, token: number): number;
  /** A number that `at` does not exceed, for a tenth of its cost. */
  atMost(position: number, token: number): number;
}

/** No Gumbel number of 32 bits is larger: −log(−log(1 − 2⁻³³)) < 33 ln 2 < 22.88. */
export const GUMBEL_MAX = 22.88;
const LN2_ROUNDED_UP = 0.69314719;

export function gumbelNoise(seed: bigint): GumbelNoise {
  const key = Uint32Array.of(Number(seed & 0xffffffffn), Number((seed >> 32n) & 0xffffffffn));
  const counter = new Uint32Array(4);
  const words = new Uint32Array(4);
  let held = false;
  const word = (position: number, token: number): number => {
    const block = token >>> 2;
    if (!held || counter[0] !== block || counter[1] !== position) {
      held = true;
      counter[0] = block;
      counter[1] = position;
      philox(counter, key, words);
    }
    return words[token & 3] as number;
  };
  return {
    at: (position, token) => -log(-log((word(position, token) + 0.5) / 0x1_0000_0000)),
    // −log u ≥ 1 − u, so the noise is at most −log(1 − u), and the leading ones of the word tell that to one bit.
    atMost: (position, token) => LN2_ROUNDED_UP * (Math.clz32(~word(position, token)) + 1),
  };
}

const bits = new DataView(new ArrayBuffer(8));
/** ln 2 in two parts; multiples of the first by exponents are exact. */
const LN2_HIGH = 0.6931471803691238;
const LN2_LOW = 1.9082149292705877e-10;
const SQRT2 = Math.SQRT2;
const SMALLEST_NORMAL = 2 ** -1022;

/**
 * Natural logarithm of a positive finite number: x = 2^e·m with m in [√½, √2), log m = 2 artanh((m − 1) / (m + 1)) by its
 * series to s²¹, whose rest is below 2⁻⁶⁰. Relative error ≤ 2⁻⁵¹ (test: 10⁵ points against `Math.log`).
 */
export function log(x: number): number {
  let exponent = 0;
  let mantissa = x;
  if (mantissa < SMALLEST_NORMAL) {
    mantissa *= 2 ** 54;
    exponent = -54;
  }
  bits.setFloat64(0, mantissa);
  const top = bits.getUint32(0);
  exponent += (top >>> 20) - 1023;
  bits.setUint32(0, (top & 0xfffff) | 0x3ff00000);
  mantissa = bits.getFloat64(0);
  if (mantissa > SQRT2) {
    mantissa /= 2;
    exponent += 1;
  }
  const f = mantissa - 1;
  const s = f / (2 + f);
  const z = s * s;
  const rest = z * (1 / 3 + z * (1 / 5 + z * (1 / 7 + z * (1 / 9 + z * seriesFrom11(z)))));
  return exponent * LN2_HIGH + (exponent * LN2_LOW + (2 * s * rest + 2 * s));
}

const seriesFrom11 = (z: number): number => 1 / 11 + z * (1 / 13 + z * (1 / 15 + z * (1 / 17 + z * (1 / 19 + z / 21))));

/**
 * eˣ for x ≤ 709, 0 below −708 (where a double has no more full precision): x = k·ln 2 + r with |r| ≤ ½ ln 2, eʳ by Taylor's
 * series to r¹³, whose rest is below 2⁻⁵⁷. Relative error ≤ 2⁻⁵¹ (test: 10⁵ points against `Math.exp`).
 */
export function exp(x: number): number {
  if (x < -708) return 0;
  const k = Math.floor(x * Math.LOG2E + 0.5);
  const r = x - k * LN2_HIGH - k * LN2_LOW;
  const tail = 1 / 5040 + r * (1 / 40320 + r * (1 / 362880 + r * (1 / 3628800 + r * seriesTo13(r))));
  const sum = 1 + r * (1 + r * (1 / 2 + r * (1 / 6 + r * (1 / 24 + r * (1 / 120 + r * (1 / 720 + r * tail))))));
  bits.setUint32(0, (k + 1023) << 20);
  bits.setUint32(4, 0);
  return sum * bits.getFloat64(0);
}

const seriesTo13 = (r: number): number => 1 / 39916800 + r * (1 / 479001600 + r / 6227020800);
