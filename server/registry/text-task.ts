import { cacheBytes, type Decoder, decoderStep, describeDecoder } from "../../models/decoder.ts";
import type { Comparator, Manifest } from "../../models/manifest.ts";
import type { OnnxGraph } from "../../models/onnx.ts";
import { failure, TabgridFailure } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { Tensor } from "../../shared/tensor.ts";
import type { TextTokenizer } from "../text/tokenizer.ts";
import type { ModelConfig } from "./model-config.ts";
import { probeTexts } from "./probe-texts.ts";
import type { CountWork } from "./work-formula.ts";

/**
 * Registration of language models: known answers are beginnings of texts and one further token after each, so that the
 * cache is checked too; the work of a token and of a pair is counted from two traced steps.
 */
type TextSection = NonNullable<Manifest["text"]>;

/** α of ../shared/money.md until a model's own is measured. */
const ALPHA = 0.1;
const PASTS = [16, 64] as const;
/** Tokens of a known answer; fewer where the vocabulary is large, whose logits are what a known answer mostly is. */
const PROBE_TOKENS = 6;
const PROBE_LOGITS = 131_072;
const CONTEXT_MIN = 32;

/** @throws TabgridFailure where the graph cannot generate text */
export function decoderOf(graph: OnnxGraph): Decoder {
  const decoder = describeDecoder(graph.inputs, graph.outputs);
  if (typeof decoder === "string") throw new TabgridFailure(refusal(decoder));
  return decoder;
}

/** Half of them without a past, half after the other half's. */
export async function textExamples(
  decoder: Decoder,
  tokenizer: TextTokenizer,
  run: (inputs: Tensor[]) => Promise<Tensor[]>,
): Promise<Tensor[][]> {
  const texts = probeTexts
    .slice(0, limits.goldenVectors / 2)
    .map((text) => tokenizer.encode(text, { special: false, addSpecial: false }));
  const first = decoderStep(decoder, [texts[0]?.[0] ?? 0], null);
  const vocabulary = vocabularyOf(decoder, await run(first));
  const highest = Math.max(...texts.flat());
  if (highest >= vocabulary) {
    const detail = { expected: `tokens below ${vocabulary}, the graph's logits`, got: `${highest}` };
    throw new TabgridFailure(failure("invalid-model", "tokenizer.json: it belongs to another model", detail));
  }
  const length = Math.max(1, Math.min(PROBE_TOKENS, Math.floor(PROBE_LOGITS / vocabulary)));
  const begins = texts.map((tokens) => decoderStep(decoder, tokens.slice(0, length), null));
  const further: Tensor[][] = [];
  for (const [at, begin] of begins.entries()) {
    const past = await run(begin);
    further.push(decoderStep(decoder, (texts[at] as number[]).slice(length, length + 1), past));
  }
  return [...begins, ...further];
}

/** What a run's logits have in their last axis. */
export function vocabularyOf({ logits }: Decoder, outputs: readonly Tensor[]): number {
  const shape = outputs.find(({ name }) => name === logits)?.shape ?? [];
  const size = shape.at(-1);
  if (shape.length !== 3 || !size) {
    throw new TabgridFailure(refusal(`${logits}: expected [rows, tokens, vocabulary], got [${shape}]`));
  }
  return size;
}

/** @param memoryBytes without a cache */
export async function textSection(
  decoder: Decoder,
  config: ModelConfig,
  { vocabulary, bos }: { vocabulary: number; bos: number | null },
  work: CountWork,
  memoryBytes: number,
): Promise<TextSection> {
  const [near, far] = [await work(stepAfter(decoder, PASTS[0])), await work(stepAfter(decoder, PASTS[1]))];
  const pair = Math.max(0, Math.round(Number(far - near) / (PASTS[1] - PASTS[0])));
  return {
    contextLength: contextLength(decoder, config, memoryBytes),
    vocabulary,
    bos,
    eos: config.eos.filter((id) => id < vocabulary).slice(0, 16),
    work: { token: Math.max(1, Number(near) - pair * (PASTS[0] + 1)), pair, alpha: ALPHA },
  };
}

/** One token after a past of zeros. */
function stepAfter(decoder: Decoder, tokens: number): Tensor[] {
  const past = decoder.cache.map((spec): Tensor => {
    const shape = spec.shape.map((size, axis) => (axis === spec.rowAxis ? 1 : axis === spec.tokenAxis ? tokens : size));
    const bytes = cacheBytes({ ...decoder, cache: [spec] }, tokens);
    return { name: spec.output, dtype: spec.dtype, shape, data: new Uint8Array(bytes) };
  });
  return decoderStep(decoder, [0], past);
}

/** What the model was made for, as far as its cache fits beside it. */
function contextLength(decoder: Decoder, config: ModelConfig, memoryBytes: number): number {
  if (config.contextLength === null) {
    const expected = "max_position_embeddings in config.json or model_max_length in tokenizer_config.json";
    throw new TabgridFailure(
      failure("invalid-model", `files: nothing says how long a text may be; expected ${expected}`, {
        field: "files",
        expected,
      }),
    );
  }
  const room = Math.min(limits.cacheBytes, limits.tabMemoryBytes - memoryBytes);
  const fits = Math.floor(room / (2 * Math.max(1, cacheBytes(decoder, 1))));
  if (fits < CONTEXT_MIN) {
    const expected = `a cache of ${CONTEXT_MIN} tokens within ${Math.max(0, room)} bytes`;
    const got = `${2 * cacheBytes(decoder, CONTEXT_MIN)} bytes`;
    throw new TabgridFailure(
      failure("model-too-large", `graph: expected ${expected}, got ${got}`, { field: "graph", expected, got }),
    );
  }
  return Math.min(config.contextLength, limits.contextTokens, fits);
}

/** Known ranges of a decoder's integers. */
export function textRanges(
  decoder: Decoder,
  vocabulary: number,
  context: number | null,
): Record<string, [number, number]> {
  const { ids, mask, positions } = decoder;
  return {
    [ids.name]: [0, vocabulary - 1],
    ...(mask && { [mask.name]: [0, 1] as [number, number] }),
    ...(positions && context !== null && { [positions.name]: [0, context - 1] as [number, number] }),
  };
}

/**
 * Starting values of ../shared/reference/verification.md section 5, which calibration replaces; for fp32 those that tell
 * the int8 copy of `shakespeare` from honest runs.
 */
export function textComparator(dense: Comparator, dtype: Manifest["dtype"], output: string): Comparator {
  if (dense.kind !== "dense") return dense;
  const { relL2Pass, relL2Fail, abs, rel } = dense;
  const agreement =
    dtype === "fp32"
      ? { meanPass: 4e-4, meanFail: 2e-3, tokenPass: 1e-3, tokenFail: 5e-3 }
      : { meanPass: 3e-3, meanFail: 1.5e-2, tokenPass: 1e-2, tokenFail: 5e-2 };
  return {
    kind: "sampled-text",
    output,
    relL2Pass,
    relL2Fail,
    abs,
    rel,
    tokens: 512,
    ...agreement,
    greyShare: 1 / 128,
  };
}

const refusal = (message: string) => failure("invalid-model", `graph: ${message}`, { field: "graph" });
