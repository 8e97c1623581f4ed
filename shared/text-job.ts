import { createGrammar, type GrammarState } from "./grammar/grammar.ts";
import type { TokenBytes } from "./grammar/token-bytes.ts";
import { createSampler, type Sampler } from "./sampling.ts";
import type { Tensor } from "./tensor.ts";
import { type GenerationSettings, readSettings, textTensors, tokensIn } from "./text-generation.ts";

/**
 * A text under way, for an engine that has nothing but a decoder: it asks for tokens to be run and is given logits. The
 * same for the worker, the reference node and the simulator, and synchronous, so an engine may interleave many:
 *
 *   let cached = 0;
 *   for (let ask = job.next(cached, most); ask; ask = job.next(cached, most)) {
 *     const logits = await decoder.forward(ask.tokens, ask.wanted);
 *     cached += ask.tokens.length;
 *     const fault = job.accept(logits);
 *     if (fault !== null) return fault;
 *   }
 *   return job.outputs();
 */
export interface TextJob {
  /** Prompt and output so far. Its first `reusable` tokens need not be run where a cache has them already. */
  readonly text: Int32Array;
  readonly reusable: number;
  /** What to run next, at most `most` tokens, after the first `cached` tokens of the text; null: it is finished. */
  next(cached: number, most: number): DecoderRun | null;
  /**
   * @param logits of the last `wanted` positions of that run, [wanted, vocabulary]; only read during the call
   * @param logSumExp log Σ exp of each row, where the engine has it
   * @returns why the text cannot go on, or null
   */
  accept(logits: Float32Array, logSumExp?: ArrayLike<number>): string | null;
  /** By shared/text-generation.ts; of an unfinished text, what there is. */
  outputs(): Tensor[];
}

export interface DecoderRun {
  tokens: Int32Array;
  /** Of how many of the last positions the logits are needed; 0 while a long prompt is read. */
  wanted: number;
}

/** One text's key-value cache and the graph that extends it. */
export interface Decoder {
  /** Runs the tokens after all that were run before; gives the logits of the last `wanted`, [wanted, vocabulary]. */
  forward(tokens: Int32Array, wanted: number): Promise<Float32Array>;
}

/** Of the model. */
export interface TextBounds {
  /** Tokens of prompt and output together. */
  contextLength: number;
  vocabulary: number;
  /** What each token adds to a text, for grammars; asked for only where the settings have one. */
  tokenBytes?: () => TokenBytes | null;
}

export interface TextInputs {
  prompt: Int32Array;
  settings: GenerationSettings;
  /** Where the settings' grammar begins; null: there is none. */
  grammar: GrammarState | null;
}

/** Prompt and settings of `generate` and `score`, or what is wrong with them. */
export function readTextInputs(tensors: readonly Tensor[], bounds: TextBounds): TextInputs | string {
  for (const name of [textTensors.prompt, textTensors.prefix, textTensors.tokens, textTensors.from]) {
    const tensor = tensors.find((one) => one.name === name);
    if (tensor && (tensor.dtype !== "int32" || tensor.shape.length !== 1))
      return `${name}: expected int32 of one dimension, got ${tensor.dtype} [${tensor.shape.join()}]`;
  }
  const prompt = tokensIn(tensors, textTensors.prompt);
  if (prompt.length === 0) return "prompt: expected at least one token, got none";
  const fault = tokensFault(textTensors.prompt, prompt, bounds.vocabulary);
  if (fault !== null) return fault;
  const given = tensors.find(({ name }) => name === textTensors.settings);
  if (!given) return "settings: expected a tensor of that name, got none";
  let settings: GenerationSettings;
  try {
    settings = readSettings(given);
  } catch (error) {
    return `settings: ${error instanceof Error ? error.message.slice(0, 300) : error}`;
  }
  if (!settings.grammar) return { prompt, settings, grammar: null };
  const bytes = bounds.tokenBytes?.();
  if (!bytes)
    return "settings.grammar: the model came without a tokenizer that can be read, and a grammar needs its bytes";
  const grammar = createGrammar(settings.grammar, bytes, settings.stopTokens);
  return grammar.ok ? { prompt, settings, grammar: grammar.value.start() } : grammar.error.message;
}

export function tokensFault(name: string, tokens: Int32Array, vocabulary: number): string | null {
  const bad = tokens.findIndex((token) => token < 0 || token >= vocabulary);
  return bad < 0 ? null : `${name}[${bad}]: expected 0 to ${vocabulary - 1}, got ${tokens[bad]}`;
}

export const samplerOf = ({ seed, bias, ...settings }: GenerationSettings): Sampler =>
  createSampler({ ...settings, seed: BigInt(`0x${seed}`), bias: new Map(bias) });

/** What the sampler must know of an output so far: how often each token occurred, and where the grammar stands. */
export interface OutputSoFar {
  readonly counts: ReadonlyMap<number, number>;
  readonly length: number;
  allows?: (token: number) => boolean;
  /** Whether a grammar lets the text end here; false without one. */
  readonly isComplete: boolean;
  push(token: number): void;
}

export function outputSoFar(start: GrammarState | null): OutputSoFar {
  const counts = new Map<number, number>();
  let length = 0;
  let grammar = start;
  const allows = (token: number) => grammar?.allows(token) ?? true;
  return {
    counts,
    get length() {
      return length;
    },
    ...(start ? { allows } : {}),
    get isComplete() {
      return grammar?.isComplete ?? false;
    },
    push(token) {
      counts.set(token, (counts.get(token) ?? 0) + 1);
      length += 1;
      if (grammar) grammar = grammar.push(token);
    },
  };
}
