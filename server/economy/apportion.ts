import { type Nano, split } from "../../shared/money.ts";
import { hex, type Sha256 } from "./ledger.ts";

/** Ties of an epoch's splits go by H(epoch ‖ id). */
export const epochTies =
  (epoch: number, sha256: Sha256) =>
  (id: string): string =>
    hex(sha256(`${epoch}:${id}`));

/** `split` over a map; null where there is nobody to give to. */
export function apportion<Id extends string>(
  total: Nano,
  weights: ReadonlyMap<Id, bigint>,
  tieBreak: (id: string) => string,
): Map<Id, Nano> | null {
  const shares = [...weights].filter(([, weight]) => weight > 0n).map(([id, weight]) => ({ id, weight }));
  return shares.length > 0 ? (split(total, shares, tieBreak) as Map<Id, Nano>) : null;
}

export const sum = (amounts: Iterable<Nano>): Nano => {
  let total = 0n;
  for (const amount of amounts) total += amount;
  return total;
};

export const least = (a: Nano, b: Nano): Nano => (a < b ? a : b);
export const greatest = (a: Nano, b: Nano): Nano => (a > b ? a : b);
