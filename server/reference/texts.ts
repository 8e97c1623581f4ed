import { readFileSync } from "node:fs";
import type * as ort from "onnxruntime-web/wasm";
import { startGeneration } from "../../shared/generation.ts";
import { type TokenBytes, tokenBytes } from "../../shared/grammar/token-bytes.ts";
import type { Result } from "../../shared/result.ts";
import { startScoring } from "../../shared/scoring.ts";
import { fromFloat16, type Tensor } from "../../shared/tensor.ts";
import type { TextBounds, TextJob } from "../../shared/text-job.ts";
import type { TextFacts } from "./messages.ts";

/**
 * Texts on the reference node: the loop of shared/text-job.ts over a decoder graph whose key-value cache goes from one run
 * into the next. A long text is asked for in pieces, so the caches of the last few texts are kept: a piece whose beginning
 * is one of them runs only what is new.
 */
const TEXTS_KEPT = 4;
/** Tokens of a prompt in one run: bounds the memory of its logits. */
const CHUNK = 256;

interface Cached {
  model: string;
  tokens: Int32Array;
  /** By the name of the input that takes it. */
  tensors: Record<string, ort.Tensor>;
}

export interface Runtime {
  tensor(type: ort.Tensor.Type, data: ort.Tensor.DataType, dims: number[]): ort.Tensor;
}

export class Texts {
  readonly #runtime: Runtime;
  /** In order of last use. */
  #cached: Cached[] = [];
  #tokenBytes = new Map<string, TokenBytes>();

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** Outputs of a `generate` of at most `facts.most` tokens, or of a `score`. @throws Error, in a sentence */
  async run(
    mode: "generate" | "score",
    model: string,
    session: ort.InferenceSession,
    inputs: readonly Tensor[],
    facts: TextFacts,
  ): Promise<Tensor[]> {
    const bounds: TextBounds = { ...facts, tokenBytes: () => this.#bytes(facts) };
    if (mode === "score") {
      const job = opened(startScoring(inputs, bounds));
      await this.#drive(job, model, session, facts, () => false);
      return job.outputs();
    }
    const job = opened(startGeneration(inputs, bounds));
    await this.#drive(job, model, session, facts, () => job.drawn >= facts.most);
    return job.outputs();
  }

  async #drive(
    job: TextJob,
    model: string,
    session: ort.InferenceSession,
    facts: TextFacts,
    isEnough: () => boolean,
  ): Promise<void> {
    const known = this.#take(model, job);
    let tensors = known?.tensors ?? this.#empty(facts);
    let cached = known?.tokens.length ?? 0;
    for (let ask = job.next(cached, CHUNK); ask && !isEnough(); ask = job.next(cached, CHUNK)) {
      const feeds = this.#feeds(facts, ask.tokens, cached);
      const results = await session.run({ ...feeds, ...tensors });
      tensors = Object.fromEntries(
        facts.caches.map(({ name }) => [name, results[presentOf(name)] as ort.Tensor] as const),
      );
      cached += ask.tokens.length;
      const fault = job.accept(lastRows(results.logits, ask.wanted, facts.vocabulary));
      if (fault !== null) throw new Error(fault);
    }
    this.#cached.push({ model, tokens: job.text.slice(0, cached), tensors });
    if (this.#cached.length > TEXTS_KEPT) this.#cached.shift();
  }

  /** The longest cache that is the text's beginning. */
  #take(model: string, { text, reusable }: TextJob): Cached | null {
    let best: Cached | null = null;
    for (const one of this.#cached) {
      const { length } = one.tokens;
      if (one.model !== model || length > reusable || length <= (best?.tokens.length ?? 0)) continue;
      if (one.tokens.every((token, at) => token === text[at])) best = one;
    }
    if (best) this.#cached = this.#cached.filter((one) => one !== best);
    return best;
  }

  #empty({ caches }: TextFacts): Record<string, ort.Tensor> {
    return Object.fromEntries(
      caches.map(({ name, dtype, heads, width }) => {
        const none = dtype === "float16" ? new Uint16Array(0) : new Float32Array(0);
        return [name, this.#runtime.tensor(dtype, none as ort.Tensor.DataType, [1, heads, 0, width])];
      }),
    );
  }

  #feeds({ inputs }: TextFacts, tokens: Int32Array, past: number): Record<string, ort.Tensor> {
    const integers = (values: ArrayLike<number>, dims: number[]) =>
      this.#runtime.tensor("int64", BigInt64Array.from(Array.from(values, BigInt)), dims);
    const count = tokens.length;
    const all: Record<string, () => ort.Tensor> = {
      input_ids: () => integers(tokens, [1, count]),
      attention_mask: () => integers(Array<number>(past + count).fill(1), [1, past + count]),
      position_ids: () =>
        integers(
          Array.from({ length: count }, (_, at) => past + at),
          [1, count],
        ),
    };
    const feeds: Record<string, ort.Tensor> = {};
    for (const name of inputs) {
      const make = all[name];
      if (!make) throw new Error(`input ${name}: no part of a decoder that this node knows`);
      feeds[name] = make();
    }
    return feeds;
  }

  /** Read once per tokenizer; null where the model has none. */
  #bytes({ tokenizerPath }: TextFacts): TokenBytes | null {
    if (tokenizerPath === null) return null;
    let bytes = this.#tokenBytes.get(tokenizerPath);
    if (!bytes) {
      bytes = tokenBytes(JSON.parse(readFileSync(tokenizerPath, "utf8")));
      this.#tokenBytes.set(tokenizerPath, bytes);
    }
    return bytes;
  }
}

function opened<T>(made: Result<T, string>): T {
  if (made.ok) return made.value;
  throw new Error(made.error);
}

const presentOf = (name: string): string => name.replace("past_key_values.", "present.");

/** The last `wanted` rows of logits [1, rows, vocabulary], as float32. */
function lastRows(logits: ort.Tensor | undefined, wanted: number, vocabulary: number): Float32Array {
  if (!logits) throw new Error("the graph has no output named logits");
  const rows = logits.dims.at(-2) ?? 0;
  if (logits.dims.at(-1) !== vocabulary || rows < wanted)
    throw new Error(`logits: expected [1, at least ${wanted}, ${vocabulary}], got [${logits.dims.join(", ")}]`);
  const from = (rows - wanted) * vocabulary;
  if (logits.type === "float16") return Float32Array.from((logits.data as Uint16Array).subarray(from), fromFloat16);
  return (logits.data as Float32Array).subarray(from, rows * vocabulary);
}
