import type { Nano } from "../../shared/money.ts";

/** What a ruling moves of an owner's held pay (../shared/money.md, "Collateral"); case-postings.ts makes the transfer. */
export interface Stakes {
  slashed: Nano;
  returned: Nano;
  /** Out of the verification pool. */
  interest: Nano;
  /** Of the held pay. */
  slashPercent: number;
  returnPercent: number;
}

export const SEVERE_PERCENT = 60;
const shares = (severePercent: number) => ({
  dismissed: { slashPercent: 0, returnPercent: 0 },
  minor: { slashPercent: 20, returnPercent: 0 },
  severe: { slashPercent: severePercent, returnPercent: 100 - severePercent },
});
const INTEREST_PERCENT_A_YEAR = 5n;
const YEAR_MS = 365n * 86_400_000n;

/**
 * `held` is the owner's held pay, `pool` the verification pool, `frozenMs` how long the pay was frozen; `severePercent` is the
 * domain's e, of which f = 100 − e is returned.
 */
export function stakesOf(
  ruling: keyof ReturnType<typeof shares>,
  held: Nano,
  pool: Nano,
  frozenMs: number,
  severePercent = SEVERE_PERCENT,
): Stakes {
  const share = shares(severePercent)[ruling];
  const slashed = (held * BigInt(share.slashPercent)) / 100n;
  if (ruling !== "dismissed")
    return { slashed, returned: ruling === "severe" ? held - slashed : 0n, interest: 0n, ...share };
  const due = (held * INTEREST_PERCENT_A_YEAR * BigInt(Math.max(0, Math.floor(frozenMs)))) / (100n * YEAR_MS);
  return { slashed: 0n, returned: 0n, interest: due < pool ? due : pool, ...share };
}
