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

const shares = {
  dismissed: { slashPercent: 0, returnPercent: 0 },
  minor: { slashPercent: 20, returnPercent: 0 },
  severe: { slashPercent: 60, returnPercent: 40 },
} as const;
const INTEREST_PERCENT_A_YEAR = 5n;
const YEAR_MS = 365n * 86_400_000n;

/** `held` is the owner's held pay, `pool` the verification pool, `frozenMs` how long the pay was frozen. */
export function stakesOf(ruling: keyof typeof shares, held: Nano, pool: Nano, frozenMs: number): Stakes {
  const share = shares[ruling];
  const slashed = (held * BigInt(share.slashPercent)) / 100n;
  if (ruling !== "dismissed")
    return { slashed, returned: share.returnPercent > 0 ? held - slashed : 0n, interest: 0n, ...share };
  const due = (held * INTEREST_PERCENT_A_YEAR * BigInt(Math.max(0, Math.floor(frozenMs)))) / (100n * YEAR_MS);
  return { slashed: 0n, returned: 0n, interest: due < pool ? due : pool, ...share };
}
