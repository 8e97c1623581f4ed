import type { Nano } from "../../shared/money.ts";

/** What a ruling moves of an owner's held pay (../shared/money.md, "Collateral"); case-postings.ts makes the transfer. */
export interface Stakes {
  slashed: Nano;
  returned: Nano;
  /** Out of the verification pool. */
  interest: Nano;
}

const slashPercent = { dismissed: 0n, minor: 20n, severe: 60n } as const;
const INTEREST_PERCENT_A_YEAR = 5n;
const YEAR_MS = 365n * 86_400_000n;

/** `held` is the owner's held pay, `pool` the verification pool, `frozenMs` how long the pay was frozen. */
export function stakesOf(ruling: keyof typeof slashPercent, held: Nano, pool: Nano, frozenMs: number): Stakes {
  const slashed = (held * slashPercent[ruling]) / 100n;
  if (ruling !== "dismissed") return { slashed, returned: ruling === "severe" ? held - slashed : 0n, interest: 0n };
  const due = (held * INTEREST_PERCENT_A_YEAR * BigInt(Math.max(0, Math.floor(frozenMs)))) / (100n * YEAR_MS);
  return { slashed, returned: 0n, interest: due < pool ? due : pool };
}
