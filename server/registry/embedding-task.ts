import type { Comparator, Manifest } from "../../models/manifest.ts";
import type { OnnxGraph } from "../../models/onnx.ts";
import { failure, TabgridFailure } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { EMBEDDING_OUTPUT, type Pooling } from "../../shared/pooling.ts";
import { type Tensor, type TensorSpec, tensorOf } from "../../shared/tensor.ts";
import type { TextTokenizer } from "../text/tokenizer.ts";
import type { ModelConfig } from "./model-config.ts";
import { probeTexts } from "./probe-texts.ts";

/**
 * Registration of embedding models: which output of the graph is pooled and how, and known answers from tokens of real
 * sentences, half of them with padding.
 */
type EmbeddingSection = NonNullable<Manifest["embedding"]>;

const known = ["input_ids", "attention_mask", "token_type_ids"];
const PROBE_TOKENS = 8;
const PADDED = 3;

/** What to do with the graph's outputs; sentence-transformers' files decide, else the mean, brought to length 1. */
export function poolingOf(graph: OnnxGraph, { pooling, normalize }: ModelConfig): Omit<Pooling, "dimensions"> {
  const [ids] = graph.inputs.filter(({ name }) => name === "input_ids");
  if (ids?.shape.length !== 2) refuse("it has no input input_ids [rows, tokens]");
  const stranger = graph.inputs.find(({ name, dtype }) => !known.includes(name) || !/^int(32|64)$/.test(dtype));
  if (stranger)
    refuse(`it asks for ${stranger.name}, which embedding models have not`, known.join(", "), stranger.name);
  const outputs = graph.outputs.map(({ name }) => name);
  const states = ["last_hidden_state", "token_embeddings"].find((name) => outputs.includes(name));
  if (outputs.includes("sentence_embedding") && (pooling === null || !states)) {
    return { output: "sentence_embedding", pooling: "none", normalize: normalize ?? true };
  }
  const output = states ?? (outputs[0] as string);
  const rank = graph.outputs.find(({ name }) => name === output)?.shape?.length;
  return { output, pooling: rank === 2 ? "none" : (pooling ?? "mean"), normalize: normalize ?? true };
}

/** The graph as it looks with the pooling behind it. */
export function pooledGraph(graph: OnnxGraph, dimensions: number): OnnxGraph {
  const rows = graph.inputs[0]?.shape[0] ?? "rows";
  return { ...graph, outputs: [{ name: EMBEDDING_OUTPUT, dtype: "float32", shape: [rows, dimensions] }] };
}

export function embeddingExamples(graph: OnnxGraph, tokenizer: TextTokenizer, pad: number): Tensor[][] {
  return probeTexts.slice(0, limits.goldenVectors).map((text, at) => {
    const fixed = graph.inputs[0]?.shape[1];
    const length = typeof fixed === "number" ? fixed : PROBE_TOKENS;
    const filled = at % 2 === 0 ? length : Math.max(1, length - PADDED);
    const tokens = tokenizer.encode(text, { special: false, addSpecial: true }).slice(0, filled);
    return embeddingInputs(graph.inputs, [tokens], length, pad);
  });
}

/** Right-padded rows as the graph's inputs want them. */
export function embeddingInputs(
  specs: readonly TensorSpec[],
  rows: readonly (readonly number[])[],
  length: number,
  pad: number,
): Tensor[] {
  const values: Record<string, (row: readonly number[], at: number) => number> = {
    input_ids: (row, at) => row[at] ?? pad,
    attention_mask: (row, at) => (at < row.length ? 1 : 0),
    token_type_ids: () => 0,
  };
  return specs.map(({ name, dtype }) => {
    const value = values[name] as (row: readonly number[], at: number) => number;
    const all = rows.flatMap((row) => Array.from({ length }, (_, at) => value(row, at)));
    const data = dtype === "int64" ? BigInt64Array.from(all, BigInt) : Int32Array.from(all);
    return tensorOf(name, dtype, [rows.length, length], data);
  });
}

/** @param outputs of one run of the graph without the pooling */
export function dimensionsOf(output: string, outputs: readonly Tensor[]): number {
  const shape = outputs.find(({ name }) => name === output)?.shape ?? [];
  return shape.at(-1) || refuse(`${output}: expected [rows, tokens, dimensions] or [rows, dimensions], got [${shape}]`);
}

export function embeddingSection(pooling: Pooling, config: ModelConfig): EmbeddingSection {
  if (config.contextLength === null) {
    const expected = "max_position_embeddings in config.json or model_max_length in tokenizer_config.json";
    throw new TabgridFailure(
      failure("invalid-model", `files: nothing says how long a text may be; expected ${expected}`, {
        field: "files",
        expected,
      }),
    );
  }
  return { ...pooling, contextLength: Math.min(config.contextLength, limits.contextTokens) };
}

/** Starting values of ../shared/reference/verification.md section 5; calibration replaces them. */
export const embeddingComparator = (dtype: Manifest["dtype"]): Comparator => ({
  kind: "embedding",
  output: EMBEDDING_OUTPUT,
  cosinePass: dtype === "fp32" ? 0.9995 : 0.995,
  cosineFail: 0.99,
  normRelative: 0.01,
});

function refuse(message: string, expected?: string, got?: string): never {
  throw new TabgridFailure(failure("invalid-model", `graph: ${message}`, { field: "graph", expected, got }));
}
