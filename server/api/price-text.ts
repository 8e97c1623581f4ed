import type { Manifest } from "../../models/manifest.ts";
import { NANO_PER_MICRO, type Nano } from "../../shared/money.ts";
import { commonsTariff, priceOf } from "../../shared/pricing.ts";

/** µUSDC, exact: 1500n -> "1.5", 2000n -> "2". */
export function microText(amount: Nano): string {
  const whole = amount / NANO_PER_MICRO;
  const rest = (amount % NANO_PER_MICRO).toString().padStart(3, "0").replace(/0+$/, "");
  return rest === "" ? String(whole) : `${whole}.${rest}`;
}

/** The way back. */
export function nanoOf(micro: string): Nano {
  const [whole = "0", rest = ""] = micro.split(".");
  return BigInt(whole) * NANO_PER_MICRO + BigInt(rest.padEnd(3, "0"));
}

/** What one row costs in µUSDC; null where the work depends on shapes, so that only a dry run can tell. */
export function priceHint({ work }: Manifest): { fast: string; verified: string } | null {
  if (work.kind !== "affine") return null;
  const flop = BigInt(Math.max(1_000, work.base + work.perRow));
  return {
    fast: microText(priceOf(flop, "fast", commonsTariff)),
    verified: microText(priceOf(flop, "verified", commonsTariff)),
  };
}
