import type { Agreement, Comparison } from "./tolerance.ts";

/**
 * When a sampled text agrees with its check. The miner states tokens and their raw log-probabilities; the checker runs one
 * prefill over prompt and output, and repeats each draw. Two things are compared, because each alone lets a cheat through:
 *
 *   log-probabilities  a copy of lower precision draws nearly the same tokens, but states other probabilities
 *   draws              who makes the text with a cheap copy and runs the full model once for the probabilities (the
 *                      prefill attack) states the right ones, but for draws that the seed does not give
 *
 * Single tokens say little; evidence is pooled over the answers of one owner. A pool is plain sums, so it can be stored
 * and merged.
 */
export interface TextTolerance {
  kind: "sampled-text";
  /** Tokens that a pool needs before it can pass. */
  tokens: number;
  /** Mean |Δ log p| of a pool, in nats. */
  meanPass: number;
  meanFail: number;
  /** One token: |Δ log p| and the margin of its draw within this are agreement, beyond `tokenFail` no honest device's. */
  tokenPass: number;
  tokenFail: number;
  /** Share of a pool's tokens between the two that honest pools exceed once in a thousand; above it a pool fails. */
  greyShare: number;
}

/** One token as miner and checker see it. */
export interface TokenEvidence {
  claimedLogProbability: number;
  logProbability: number;
  /** By how much the claimed token lost in the checker's draw, `DrawCheck.margin`. */
  margin: number;
}

export interface TextPool {
  tokens: number;
  /** Σ|Δ log p|, each at most `DELTA_MAX`. */
  deltaSum: number;
  /** Tokens between `tokenPass` and `tokenFail`, and beyond. */
  grey: number;
  failed: number;
}

export const emptyTextPool: TextPool = { tokens: 0, deltaSum: 0, grey: 0, failed: 0 };

/** A token of another text may be off by any number of nats; one such must not drown the mean. */
const DELTA_MAX = 0.5;
/** Share of tokens beyond `tokenFail` that a pool may have: a cosmic ray, not a habit. */
const FAILED_SHARE = 0.002;

export const deltaOf = ({ claimedLogProbability, logProbability }: TokenEvidence): number => {
  const delta = Math.abs(claimedLogProbability - logProbability);
  return delta < DELTA_MAX ? delta : DELTA_MAX; // also for what is not a number
};

export function addTokens(
  pool: TextPool,
  evidence: readonly TokenEvidence[],
  { tokenPass, tokenFail }: Pick<TextTolerance, "tokenPass" | "tokenFail">,
): TextPool {
  const next = { ...pool, tokens: pool.tokens + evidence.length };
  for (const token of evidence) {
    const delta = deltaOf(token);
    next.deltaSum += delta;
    const worst = Math.max(delta, token.margin);
    if (!(worst <= tokenFail)) next.failed += 1;
    else if (worst > tokenPass) next.grey += 1;
  }
  return next;
}

export const mergeTextPools = (a: TextPool, b: TextPool): TextPool => ({
  tokens: a.tokens + b.tokens,
  deltaSum: a.deltaSum + b.deltaSum,
  grey: a.grey + b.grey,
  failed: a.failed + b.failed,
});

/**
 * Grades a pool. Short of the tokens it needs, it can fail (when even the missing ones could not save it) or be GREY, which
 * then means: not enough evidence yet.
 */
export function compareText(tolerance: TextTolerance, pool: TextPool): Comparison {
  const { meanPass, meanFail, greyShare } = tolerance;
  const needed = Math.max(pool.tokens, tolerance.tokens);
  const enough = pool.tokens >= tolerance.tokens;
  const graded = (agreement: Agreement, distance: number, what: string): Comparison => ({ agreement, distance, what });
  const measures = [
    { what: "draws and log-probabilities beyond any honest device's", value: pool.failed / needed / FAILED_SHARE },
    { what: "share of grey tokens", value: pool.grey / needed / greyShare },
    { what: "mean difference of log-probabilities", value: pool.deltaSum / needed / meanFail },
  ];
  const broken = measures.find(({ value }) => !(value <= 1));
  const mean = pool.deltaSum / Math.max(1, pool.tokens) / meanPass;
  if (broken) return graded("FAIL", Math.max(mean, broken.value), broken.what);
  if (!enough) return graded("GREY", mean, `${pool.tokens} of ${tolerance.tokens} tokens needed`);
  return graded(mean <= 1 ? "PASS" : "GREY", mean, "mean difference of log-probabilities");
}
