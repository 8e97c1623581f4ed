import { failure, type TabgridError } from "../../shared/errors.ts";
import { err, ok, type Result } from "../../shared/result.ts";

/**
 * What governance may change, and how far: no vote leads outside these bounds. Money, times and shares alike are integers
 * in the unit that the name ends with.
 */
export interface Bound {
  least: bigint;
  most: bigint;
  default: bigint;
  /** Who reads it. */
  about: string;
}

const DAY_MS = 86_400_000n;

export const networkBounds = {
  "emission.kappaPpm": {
    least: 0n,
    most: 400_000n,
    default: 400_000n,
    about: "DN minted per DN that revenue would buy",
  },
  "emission.floorPpm": { least: 0n, most: 5_000n, default: 2_000n, about: "least emission, of supply a year" },
  "emission.ceilingPpm": { least: 5_000n, most: 50_000n, default: 20_000n, about: "most emission, of supply a year" },
  "epoch.lengthMs": { least: DAY_MS, most: 28n * DAY_MS, default: 7n * DAY_MS, about: "length of an epoch" },
  "buyback.slippagePpm": { least: 100n, most: 10_000n, default: 10_000n, about: "price paid above the pool's" },
  "staking.unbondingMs": { least: DAY_MS, most: 28n * DAY_MS, default: 7n * DAY_MS, about: "until stake is back" },
  "governance.votingMs": { least: DAY_MS, most: 14n * DAY_MS, default: 3n * DAY_MS, about: "how long a vote is open" },
  "governance.timeLockMs": { least: DAY_MS, most: 14n * DAY_MS, default: 2n * DAY_MS, about: "from vote to effect" },
  "governance.quorumPpm": { least: 50_000n, most: 500_000n, default: 200_000n, about: "share of stake that must vote" },
} as const satisfies Record<string, Bound>;

/** Of a domain, hundredths of a per cent; `listed` is 0 or 1: without wash-trade guard, with the floor. */
export const domainBounds = {
  processor: { least: 0n, most: 1_000n, default: 300n, about: "fees and payment processors, y" },
  variableBurn: { least: 0n, most: 1_000n, default: 0n, about: "burned on top of the fixed part, d" },
  listed: { least: 0n, most: 1n, default: 0n, about: "escapes the wash-trade guard" },
} as const satisfies Record<string, Bound>;

export type NetworkParameter = keyof typeof networkBounds;
export type DomainParameter = keyof typeof domainBounds;
export type NetworkParameters = Record<NetworkParameter, bigint>;

export const networkParameters = Object.keys(networkBounds) as NetworkParameter[];

export const defaultParameters = (): NetworkParameters =>
  Object.fromEntries(networkParameters.map((name) => [name, networkBounds[name].default])) as NetworkParameters;

export function checkBound(value: bigint, { least, most }: Bound, field: string): Result<bigint, TabgridError> {
  if (value >= least && value <= most) return ok(value);
  const detail = { field, expected: `${least} to ${most}`, got: String(value) };
  return err(failure("share-out-of-bounds", `${field} is outside what governance may set`, detail));
}
