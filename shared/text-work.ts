/**
 * Work of text in FLOP (../shared/money.md, "Work"): a token costs `token`, and `pair` for each token that it attends to,
 * itself included. A prompt is computed in one pass, which wastes less of a device than token after token: it counts
 * `alpha` of what its tokens would cost one by one, so that a prefill check does not earn a full generation.
 */
export interface TextWork {
  token: number;
  pair: number;
  /** In millionths when counted: at most six decimals. */
  alpha: number;
}

/** One by one: `count` tokens after `from` others. */
export function decodeWork(work: TextWork, from: number, count: number): bigint {
  const [first, tokens] = [BigInt(from), BigInt(count)];
  const pairs = tokens * first + (tokens * (tokens + 1n)) / 2n;
  return tokens * BigInt(work.token) + pairs * BigInt(work.pair);
}

/** In one pass: `count` tokens after `from` others, whose cache is there. Rounded up. */
export function prefillWork(work: TextWork, count: number, from = 0): bigint {
  const ppm = BigInt(Math.round(work.alpha * 1_000_000));
  return (decodeWork(work, from, count) * ppm + 999_999n) / 1_000_000n;
}

/** A prompt and all that was generated after it; of a continuation, its prefix is part of the prompt. */
export const generationWork = (work: TextWork, promptTokens: number, outputTokens: number): bigint =>
  prefillWork(work, promptTokens) + decodeWork(work, promptTokens, outputTokens);

/** One pass over prompt and output, which judges what was generated. */
export const checkWork = (work: TextWork, promptTokens: number, outputTokens: number): bigint =>
  prefillWork(work, promptTokens + outputTokens);
