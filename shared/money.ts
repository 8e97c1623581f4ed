/**
 * Money is an integer count of 10⁻⁹ units of its asset, in bigint; JSON carries it as a decimal string.
 * Every division in the project is `split` or `ceilDiv`: nothing is ever rounded silently.
 */
export type Nano = bigint;

export type Asset = "USDC" | "DN";

export const NANO_PER_UNIT = 1_000_000_000n;
/** Prices are whole µUSDC. */
export const NANO_PER_MICRO = 1_000n;

/** Exact decimal of an amount, nine places: 1500000000n -> "1.500000000". */
export function formatNano(amount: Nano): string {
  const sign = amount < 0n ? "-" : "";
  const digits = (amount < 0n ? -amount : amount).toString().padStart(10, "0");
  return `${sign}${digits.slice(0, -9)}.${digits.slice(-9)}`;
}

export const ceilDiv = (dividend: bigint, divisor: bigint): bigint => (dividend + divisor - 1n) / divisor;

export interface Share {
  /** Breaks ties between equal remainders after `tieBreak`; unique within one split. */
  id: string;
  weight: bigint;
}

/**
 * Splits `total` (>= 0) in proportion to the weights by largest remainder: parts sum to the total exactly and each is
 * within one unit of its exact share. Ties go by `tieBreak(id)`, ascending, so that no party is favoured by its place.
 */
export function split(total: Nano, shares: readonly Share[], tieBreak: (id: string) => string): Map<string, Nano> {
  if (total < 0n) throw new RangeError(`split of a negative amount: ${total}`);
  const sum = shares.reduce((acc, share) => acc + share.weight, 0n);
  if (sum <= 0n) throw new RangeError("split needs a positive sum of weights");
  const parts = shares.map((share) => {
    if (share.weight < 0n) throw new RangeError(`negative weight of ${share.id}`);
    const scaled = total * share.weight;
    return { id: share.id, amount: scaled / sum, remainder: scaled % sum };
  });
  let left = total - parts.reduce((acc, part) => acc + part.amount, 0n);
  if (left > 0n) {
    const ranked = parts
      .map((part) => ({ part, tie: tieBreak(part.id) }))
      .sort((a, b) =>
        a.part.remainder === b.part.remainder ? (a.tie < b.tie ? -1 : 1) : a.part.remainder > b.part.remainder ? -1 : 1,
      );
    for (const { part } of ranked) {
      if (left === 0n) break;
      part.amount += 1n;
      left -= 1n;
    }
  }
  return new Map(parts.map((part) => [part.id, part.amount]));
}
