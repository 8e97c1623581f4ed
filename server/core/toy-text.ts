import { startGeneration } from "../../shared/generation.ts";
import type { Rng } from "../../shared/random.ts";
import { assert } from "../../shared/result.ts";
import { startScoring } from "../../shared/scoring.ts";
import type { Tensor } from "../../shared/tensor.ts";
import type { TextBounds, TextJob } from "../../shared/text-job.ts";

/** A language model of a few lines, for tests and the simulator: logits that depend on the whole text before them. */
export const toyBounds: TextBounds = { contextLength: 512, vocabulary: 64 };
export const toyWork = { token: 1_000_000_000_000, pair: 1_000_000, alpha: 0.1 };

/** A copy of the model whose logits are off by up to `error`: 0 the model itself, 1e-6 another device, 0.1 a q4 edition. */
export type ToyEdition = { error: number; salt: number };
export const exactEdition: ToyEdition = { error: 0, salt: 0 };

function mix(hash: number, value: number): number {
  let next = Math.imul(hash ^ value, 0x85ebca6b);
  next = Math.imul(next ^ (next >>> 13), 0xc2b2ae35);
  return (next ^ (next >>> 16)) >>> 0;
}

function logitsAfter(text: Int32Array, out: Float32Array, { error, salt }: ToyEdition): void {
  let state = 0x9747b28c;
  for (const token of text) state = mix(state, token + 1);
  for (let token = 0; token < out.length; token++) {
    const honest = mix(state, token + 1000) / 0x1_0000_0000;
    const off = mix(mix(state, salt), token + 5000) / 0x1_0000_0000 - 0.5;
    out[token] = 5 * honest + 2 * error * off;
  }
}

/** Runs a job to its end; `until` may end it after so many tokens of its text. */
function runToy(job: TextJob, edition: ToyEdition, until = Number.POSITIVE_INFINITY): void {
  const start = job.text.length;
  let cached = 0;
  for (let ask = job.next(cached, 128); ask; ask = job.next(cached, 128)) {
    const end = cached + ask.tokens.length;
    const logits = new Float32Array(ask.wanted * toyBounds.vocabulary);
    for (let row = 0; row < ask.wanted; row++) {
      const before = job.text.subarray(0, end - ask.wanted + row + 1);
      const into = logits.subarray(row * toyBounds.vocabulary, (row + 1) * toyBounds.vocabulary);
      logitsAfter(before, into, edition);
    }
    cached = end;
    const fault = job.accept(logits);
    assert(fault === null, fault ?? "");
    if (job.text.length - start >= until) return;
  }
}

export function toyGenerate(inputs: readonly Tensor[], edition = exactEdition, until?: number): Tensor[] {
  const job = startGeneration(inputs, toyBounds);
  assert(job.ok, job.ok ? "" : job.error);
  runToy(job.value, edition, until);
  return job.value.outputs();
}

export function toyScore(inputs: readonly Tensor[], edition = exactEdition): Tensor[] {
  const job = startScoring(inputs, toyBounds);
  assert(job.ok, job.ok ? "" : job.error);
  runToy(job.value, edition);
  return job.value.outputs();
}

export const toyPrompt = (rng: Rng, length: number): Int32Array<ArrayBuffer> =>
  Int32Array.from({ length }, () => Math.floor(rng.next() * toyBounds.vocabulary));
