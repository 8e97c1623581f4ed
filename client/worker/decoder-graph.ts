import type { InferenceSession } from "onnxruntime-web/webgpu";
import type { Dtype } from "../../shared/tensor.ts";
import type { EditableNode } from "./onnx-edit.ts";

/**
 * What a text engine must know of a decoder graph: which inputs carry the text, which carry the key-value cache, and which
 * outputs bring the cache back. Known are the exports of Optimum and transformers.js (`past_key_values.N.key`,
 * `present.N.key`) and older ones with one tensor for keys and values (`past_N`, `present_N`).
 */
export interface DecoderGraph {
  ids: IntegerInput;
  mask: IntegerInput | null;
  positions: IntegerInput | null;
  /** Of how many last positions to give logits, where the graph lets it be chosen. */
  keep: IntegerInput | null;
  logits: string;
  /** log Σ exp of each row of logits, where the graph gives it. */
  sums: string | null;
  cache: CacheTensor[];
  /** Where a row that is shorter than its batch stands: attention that counts the mask's ones has it at the start. */
  aligned: "start" | "end";
}

export interface IntegerInput {
  name: string;
  dtype: "int32" | "int64";
}

/** One cache tensor; its shape is [outer…, rows, middle…, tokens, inner…]. */
export interface CacheTensor {
  input: string;
  output: string;
  dtype: Dtype;
  /** Sizes of the fixed axes; 0 for rows and tokens. */
  shape: number[];
  rowAxis: number;
  tokenAxis: number;
}

export const KEEP_INPUT = "tabgrid_keep";
export const SUMS_OUTPUT = "tabgrid_sums";
const keepNames = [KEEP_INPUT, "num_logits_to_keep", "logits_to_keep"];

/** @returns why this graph cannot generate text, where it cannot */
export function describeDecoder(session: InferenceSession, nodes: readonly EditableNode[]): DecoderGraph | string {
  const inputs = new Map(session.inputMetadata.map((input) => [input.name, input]));
  const integer = (...names: string[]): IntegerInput | null => {
    for (const name of names) {
      const input = inputs.get(name);
      if (input?.isTensor && (input.type === "int64" || input.type === "int32")) {
        inputs.delete(name);
        return { name, dtype: input.type };
      }
    }
    return null;
  };
  const ids = integer("input_ids");
  if (!ids) return "the graph has no input input_ids of integers";
  const mask = integer("attention_mask");
  const positions = integer("position_ids");
  const keep = integer(...keepNames);
  const logits = session.outputNames.find((name) => name === "logits") ?? session.outputNames[0];
  if (logits === undefined) return "the graph has no output";
  const cache: CacheTensor[] = [];
  for (const input of inputs.values()) {
    const output = presentOf(input.name, session.outputNames);
    if (!output || !input.isTensor) return `the graph asks for ${input.name}, which a text engine does not know`;
    const described = cacheTensor(input.name, output, input.type as Dtype, input.shape);
    if (typeof described === "string") return described;
    cache.push(described);
  }
  if (cache.length === 0) return "the graph has no key-value cache (past_key_values.*)";
  return {
    ids,
    mask,
    positions,
    keep,
    logits,
    sums: session.outputNames.includes(SUMS_OUTPUT) ? SUMS_OUTPUT : null,
    cache,
    aligned: nodes.some(({ opType }) => opType === "GroupQueryAttention") ? "start" : "end",
  };
}

function presentOf(input: string, outputs: readonly string[]): string | undefined {
  if (!input.startsWith("past")) return undefined;
  const rest = input.replace(/^past(_key_values)?/, "");
  return outputs.find((name) => name === `present${rest}` || name === `present_key_values${rest}`);
}

/** Rows are the first free axis and tokens the second; an unnamed free axis comes as a number beyond any size. */
function cacheTensor(
  input: string,
  output: string,
  dtype: Dtype,
  declared: readonly (number | string)[],
): CacheTensor | string {
  const shape = declared.map((size) => (typeof size === "number" && size > 0 && size < 2 ** 31 ? size : 0));
  const rowAxis = shape.indexOf(0);
  const tokenAxis = shape.indexOf(0, rowAxis + 1);
  if (rowAxis < 0 || tokenAxis < 0 || shape.indexOf(0, tokenAxis + 1) >= 0)
    return `${input}: expected a shape with two free axes, rows and tokens, got [${declared.join()}]`;
  return { input, output, dtype, shape, rowAxis, tokenAxis };
}
