import { type Dtype, dtypes, elementCount, type Tensor, type TensorSpec, tensorOf } from "../shared/tensor.ts";

/**
 * A language model's graph with a key-value cache, as Optimum and transformers.js export it: `input_ids`, `attention_mask`,
 * `position_ids` and `past_key_values.N.key|value` in, `logits` and `present.N.key|value` out; older ones have `past_N` and
 * `present_N` with keys and values in one tensor.
 */
export interface Decoder {
  ids: TensorSpec;
  mask: TensorSpec | null;
  positions: TensorSpec | null;
  logits: string;
  cache: CacheSpec[];
  /** The graph's inputs in its order. */
  inputs: readonly TensorSpec[];
}

export interface CacheSpec {
  input: string;
  output: string;
  dtype: Dtype;
  /** Fixed sizes; 0 for rows and tokens. */
  shape: number[];
  rowAxis: number;
  tokenAxis: number;
}

/** @returns why the graph cannot generate text, where it cannot */
export function describeDecoder(inputs: readonly TensorSpec[], outputs: readonly { name: string }[]): Decoder | string {
  const names = outputs.map(({ name }) => name);
  const integer = (name: string): TensorSpec | null => {
    const found = inputs.find((input) => input.name === name);
    return found && (found.dtype === "int64" || found.dtype === "int32") ? found : null;
  };
  const ids = integer("input_ids");
  if (ids?.shape.length !== 2) return "it has no input input_ids of integers [rows, tokens]";
  const [mask, positions] = [integer("attention_mask"), integer("position_ids")];
  const logits = names.find((name) => name === "logits") ?? names[0];
  if (logits === undefined) return "it has no output logits";
  const cache: CacheSpec[] = [];
  for (const input of inputs) {
    if (input === ids || input === mask || input === positions) continue;
    const output = presentOf(input.name, names);
    if (!output) return `it asks for ${input.name}, which text generation does not know`;
    const spec = cacheSpec(input, output);
    if (!spec) {
      return `${input.name}: expected a shape with two free sizes, rows and tokens, got [${input.shape.join(", ")}]`;
    }
    cache.push(spec);
  }
  if (cache.length === 0) return "it has no key-value cache (past_key_values.*): export it with one";
  return { ids, mask, positions, logits, cache, inputs };
}

function presentOf(input: string, outputs: readonly string[]): string | undefined {
  if (!input.startsWith("past")) return undefined;
  const rest = input.replace(/^past(_key_values)?/, "");
  return outputs.find((name) => name === `present${rest}` || name === `present_key_values${rest}`);
}

function cacheSpec({ name, dtype, shape: declared }: TensorSpec, output: string): CacheSpec | null {
  const shape = declared.map((size) => (typeof size === "number" ? size : 0));
  const rowAxis = declared.findIndex((size) => typeof size === "string");
  const tokenAxis = declared.findIndex((size, axis) => axis > rowAxis && typeof size === "string");
  const third = declared.findIndex((size, axis) => axis > tokenAxis && typeof size === "string");
  return rowAxis < 0 || tokenAxis < 0 || third >= 0 ? null : { input: name, output, dtype, shape, rowAxis, tokenAxis };
}

/** Bytes of the cache of one row of so many tokens. */
export const cacheBytes = ({ cache }: Decoder, tokens: number): number =>
  cache.reduce((sum, spec) => sum + elementCount(cacheShape(spec, tokens)) * dtypes[spec.dtype], 0);

const cacheShape = ({ shape, rowAxis, tokenAxis }: CacheSpec, tokens: number): number[] =>
  shape.map((size, axis) => (axis === rowAxis ? 1 : axis === tokenAxis ? tokens : size));

/**
 * Inputs of one step of one row: tokens after a past.
 * @param past the outputs of the step before; null: none
 */
export function decoderStep(decoder: Decoder, tokens: readonly number[], past: readonly Tensor[] | null): Tensor[] {
  const length = past === null ? 0 : pastLength(decoder, past);
  const integers = ({ name, dtype }: TensorSpec, values: readonly number[]): Tensor => {
    const data = dtype === "int64" ? BigInt64Array.from(values, BigInt) : Int32Array.from(values);
    return tensorOf(name, dtype, [1, values.length], data);
  };
  const { ids, mask, positions, cache, inputs } = decoder;
  const tensors = [integers(ids, tokens)];
  if (mask) tensors.push(integers(mask, Array(length + tokens.length).fill(1)));
  if (positions)
    tensors.push(
      integers(
        positions,
        tokens.map((_, at) => length + at),
      ),
    );
  for (const spec of cache) {
    const before = past?.find(({ name }) => name === spec.output);
    const empty = { dtype: spec.dtype, shape: cacheShape(spec, 0), data: new Uint8Array(0) };
    tensors.push({ ...(before ?? empty), name: spec.input });
  }
  return inputs.map(({ name }) => tensors.find((tensor) => tensor.name === name) as Tensor);
}

function pastLength({ cache }: Decoder, past: readonly Tensor[]): number {
  const spec = cache[0] as CacheSpec;
  return past.find(({ name }) => name === spec.output)?.shape[spec.tokenAxis] ?? 0;
}
