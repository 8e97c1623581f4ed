import { logSumExp } from "./sampling.ts";
import { type Tensor, tensorOf } from "./tensor.ts";
import { textTensors } from "./text-generation.ts";

/** The most probable tokens at each position, as `top_logprobs` shows them; of equal ones the lower number first. */
export interface TopTokens {
  push(logits: Float32Array, sum?: number): void;
  /** `top_tokens` and `top_log_probabilities`, [positions, count]; nothing where none are asked for. */
  outputs(): Tensor[];
}

export function topTokens(count: number): TopTokens {
  const tokens: number[] = [];
  const logProbabilities: number[] = [];
  let positions = 0;
  return {
    push(logits, sum = count > 0 ? logSumExp(logits) : 0) {
      if (count === 0) return;
      positions += 1;
      for (const token of highest(logits, count)) {
        tokens.push(token);
        logProbabilities.push((logits[token] as number) - sum);
      }
    },
    outputs: () =>
      count === 0
        ? []
        : [
            tensorOf(textTensors.topTokens, "int32", [positions, count], Int32Array.from(tokens)),
            tensorOf(
              textTensors.topLogProbabilities,
              "float32",
              [positions, count],
              Float32Array.from(logProbabilities),
            ),
          ],
  };
}

/** Places of the `count` highest, in falling order: one pass with a short list that is kept in order. */
function highest(logits: Float32Array, count: number): number[] {
  const best: number[] = [];
  const most = Math.min(count, logits.length);
  for (let token = 0; token < logits.length; token++) {
    const value = logits[token] as number;
    if (best.length === most && !(value > (logits[best[most - 1] as number] as number))) continue;
    let at = best.length === most ? most - 1 : best.length;
    for (; at > 0 && (logits[best[at - 1] as number] as number) < value; at--) best[at] = best[at - 1] as number;
    best[at] = token;
  }
  return best;
}
