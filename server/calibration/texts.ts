import type { Manifest } from "../../models/manifest.ts";
import { assert } from "../../shared/result.ts";
import { createSampler, logProbabilityOf, plainSampling, type SamplingSettings } from "../../shared/sampling.ts";
import { type Tensor, tensorOf, viewOf } from "../../shared/tensor.ts";
import type { TokenEvidence } from "../../shared/text-agreement.ts";
import type { LoadedModel } from "./devices.ts";

/**
 * Texts made step by step with the key-value cache, and checked by one prefill pass over prompt and output, in batches of
 * equal length, on models of the interface that optimum exports (`input_ids`, `attention_mask`, `position_ids`,
 * `past_key_values.*` → `logits`, `present.*`).
 */
export interface Texts {
  prompts: number[][];
  tokens: number[][];
  /** Of each token, as its maker states it. */
  logProbabilities: number[][];
}

export type Sampling = Omit<SamplingSettings, "seed">;

export function isTextModel({ inputs, outputs }: Manifest): boolean {
  const names = new Set([...inputs, ...outputs].map(({ name }) => name));
  return ["input_ids", "attention_mask", "position_ids", "past_key_values.0.key", "logits"].every((name) =>
    names.has(name),
  );
}

/** Draws `length` tokens after each prompt; `seeds` has one for each. */
export async function generate(
  model: LoadedModel,
  manifest: Manifest,
  prompts: number[][],
  seeds: readonly bigint[],
  sampling: Sampling,
  length: number,
): Promise<Texts> {
  const samplers = seeds.map((seed) => createSampler({ ...plainSampling, ...sampling, seed }));
  const counts = prompts.map(() => new Map<number, number>());
  const tokens: number[][] = prompts.map(() => []);
  const logProbabilities: number[][] = prompts.map(() => []);
  let inputs = beginning(manifest, prompts);
  for (let position = 0; position < length; position++) {
    const rows = lastLogits(await model.step(inputs), prompts.length);
    for (const [row, logits] of rows.entries()) {
      const seen = counts[row] as Map<number, number>;
      const draw = samplers[row]?.draw(logits, { position, counts: seen });
      assert(draw, "finite logits of a model without a grammar give a token");
      (tokens[row] as number[]).push(draw.token);
      (logProbabilities[row] as number[]).push(draw.logProbability);
      seen.set(draw.token, (seen.get(draw.token) ?? 0) + 1);
    }
    const past = (prompts[0]?.length ?? 0) + position;
    inputs = step(
      tokens.map((row) => row.slice(-1)),
      past,
    );
  }
  return { prompts, tokens, logProbabilities };
}

/** What a checker finds of each token, text by text. */
export async function checkTexts(
  model: LoadedModel,
  manifest: Manifest,
  { prompts, tokens, logProbabilities }: Texts,
  seeds: readonly bigint[],
  sampling: Sampling,
  epsilon: number,
): Promise<TokenEvidence[][]> {
  const rows = await prefill(model, manifest, prompts, tokens);
  return rows.map((logits, row) => {
    const sampler = createSampler({ ...plainSampling, ...sampling, seed: seeds[row] as bigint });
    const counts = new Map<number, number>();
    return (tokens[row] as number[]).map((token, position) => {
      const found = sampler.check(logits[position] as Float32Array, token, { position, counts }, epsilon);
      counts.set(token, (counts.get(token) ?? 0) + 1);
      const claimedLogProbability = logProbabilities[row]?.[position] as number;
      return { claimedLogProbability, ...found };
    });
  });
}

/** The log-probabilities that a model gives to tokens that somebody else drew. */
export async function restate(model: LoadedModel, manifest: Manifest, texts: Texts): Promise<Texts> {
  const rows = await prefill(model, manifest, texts.prompts, texts.tokens);
  const logProbabilities = rows.map((logits, row) =>
    logits.map((values, position) => logProbabilityOf(values, texts.tokens[row]?.[position] as number)),
  );
  return { ...texts, logProbabilities };
}

/** Logits before each output token, by text and position. */
async function prefill(
  model: LoadedModel,
  manifest: Manifest,
  prompts: readonly number[][],
  tokens: readonly number[][],
): Promise<Float32Array[][]> {
  const whole = prompts.map((prompt, row) => [...prompt, ...(tokens[row] as number[])].slice(0, -1));
  const { width, values } = logitsOf(await model.step(beginning(manifest, whole)));
  const [length, first] = [whole[0]?.length ?? 0, (prompts[0]?.length ?? 0) - 1];
  return tokens.map((row, text) =>
    row.map((_, position) => {
      const start = (text * length + first + position) * width;
      return values.subarray(start, start + width);
    }),
  );
}

function logitsOf(outputs: readonly Tensor[]): { width: number; values: Float32Array } {
  const logits = outputs.find(({ name }) => name === "logits");
  assert(logits?.dtype === "float32", "a text model gives float32 logits");
  return { width: logits.shape.at(-1) as number, values: viewOf(logits) as Float32Array };
}

function lastLogits(outputs: readonly Tensor[], rows: number): Float32Array[] {
  const { width, values } = logitsOf(outputs);
  const perRow = values.length / rows;
  return Array.from({ length: rows }, (_, row) => values.subarray((row + 1) * perRow - width, (row + 1) * perRow));
}

const integers = (name: string, rows: readonly number[][]): Tensor =>
  tensorOf(name, "int64", [rows.length, rows[0]?.length ?? 0], BigInt64Array.from(rows.flat(), BigInt));

/** Inputs for tokens that follow `past` others, of which the model has the cache. */
function step(tokens: readonly number[][], past: number): Tensor[] {
  return [
    integers("input_ids", tokens),
    integers(
      "attention_mask",
      tokens.map((row) => Array<number>(past + row.length).fill(1)),
    ),
    integers(
      "position_ids",
      tokens.map((row) => row.map((_, at) => past + at)),
    ),
  ];
}

export function beginning({ inputs }: Manifest, tokens: readonly number[][]): Tensor[] {
  const caches = inputs
    .filter(({ name }) => name.startsWith("past_key_values."))
    .map(({ name, dtype, shape: [, heads, , head] }) =>
      tensorOf(name, dtype, [tokens.length, heads as number, 0, head as number], new Uint8Array(0)),
    );
  return [...step(tokens, 0), ...caches];
}
