import { err, ok, type Result } from "./result.ts";
import { type Tensor, tensorOf, toNumbers } from "./tensor.ts";

/** How a graph's hidden states become one vector a text; the manifest's `embedding` section. */
export interface Pooling {
  output: string;
  /** The mean of the tokens that the mask has, the first of them, the last of them, or pooled by the graph already. */
  pooling: "mean" | "cls" | "last" | "none";
  normalize: boolean;
  dimensions: number;
}

/** Name of the only output of an embedding model. */
export const EMBEDDING_OUTPUT = "embedding";
const MASK_INPUT = "attention_mask";

/**
 * The same in worker and reference node, in double precision.
 *
 * @param inputs of the run; `attention_mask` [rows, tokens] says which tokens count, all of them where it is absent
 * @param outputs of the run; `output` is [rows, tokens, dimensions], or [rows, dimensions] where it is pooled already
 * @returns `embedding` float32[rows, dimensions], or what does not fit
 */
export function poolEmbedding(
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
  { output, pooling, normalize, dimensions }: Pooling,
): Result<Tensor, string> {
  const hidden = outputs.find(({ name }) => name === output);
  if (!hidden) return err(`expected an output ${output}, got ${outputs.map(({ name }) => name).join(", ") || "none"}`);
  const expected = pooling === "none" ? 2 : 3;
  const width = hidden.shape.at(-1) as number;
  if (hidden.shape.length !== expected || width !== dimensions) {
    const shape = pooling === "none" ? `[rows,${dimensions}]` : `[rows,tokens,${dimensions}]`;
    return err(`${output}: expected ${shape}, got [${hidden.shape.join()}]`);
  }
  const [rows = 0] = hidden.shape;
  const tokens = pooling === "none" ? 1 : (hidden.shape[1] as number);
  const mask = inputs.find(({ name }) => name === MASK_INPUT);
  if (pooling !== "none" && mask && String(mask.shape) !== String([rows, tokens]))
    return err(`${MASK_INPUT}: expected [${rows},${tokens}], got [${mask.shape.join()}]`);

  const values = toNumbers(hidden);
  const counts = mask && pooling !== "none" ? toNumbers(mask) : null;
  const embedding = new Float32Array(rows * dimensions);
  for (let row = 0; row < rows; row++) {
    const used = Array.from({ length: tokens }, (_, token) => token).filter(
      (token) => counts?.[row * tokens + token] !== 0,
    );
    if (used.length === 0) return err(`${MASK_INPUT}: row ${row} has no token`);
    const chosen = pooling === "mean" ? used : [pooling === "last" ? used.at(-1) : used[0]];
    const sum = new Float64Array(dimensions);
    for (const token of chosen) {
      const start = (row * tokens + (token as number)) * dimensions;
      for (let at = 0; at < dimensions; at++) sum[at] = (sum[at] as number) + (values[start + at] as number);
    }
    let scale = 1 / chosen.length;
    if (normalize) {
      const norm = Math.sqrt(sum.reduce((total, value) => total + value * value, 0));
      // A vector of zeros has no direction: it stays what it is.
      scale = norm > 0 ? 1 / norm : 1;
    }
    for (let at = 0; at < dimensions; at++) embedding[row * dimensions + at] = (sum[at] as number) * scale;
  }
  return ok(tensorOf(EMBEDDING_OUTPUT, "float32", [rows, dimensions], embedding));
}
