import { type Generation, startGeneration } from "../../shared/generation.ts";
import { type TokenBytes, tokenBytes } from "../../shared/grammar/token-bytes.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { startScoring } from "../../shared/scoring.ts";
import type { Tensor } from "../../shared/tensor.ts";
import type { TextBounds, TextJob } from "../../shared/text-job.ts";
import type { EngineFault, GeneratedPart, Loaded, LoadRequest, Ran } from "./contract.ts";
import { type OpenedDecoder, openDecoder } from "./open-decoder.ts";
import { faultOf } from "./open-session.ts";
import { createPrefixCache } from "./prefix-cache.ts";
import { runAll } from "./tensor-engine.ts";
import { createTextBatch } from "./text-batch.ts";

/** Makes and judges texts on a decoder graph; the graph's plain runs as well. Messages: contract.ts. */
export interface TextEngine {
  loaded: Loaded;
  run(items: Tensor[][], rowsTogether: number): Promise<Result<Ran, EngineFault>[]>;
  generate(job: string, inputs: Tensor[]): Promise<Result<Ran, EngineFault>>;
  score(job: string, inputs: Tensor[]): Promise<Result<Ran, EngineFault>>;
  cancel(job: string): void;
}

/** Tokens whose caches are kept after their text is done. */
const KEPT_TOKENS = 16_384;
/** Texts in one step. */
const ROWS = 16;
/** Tokens of a prompt in one run: between two of them others get their step, and a cancellation is seen. */
const CHUNK = { wasm: 64, webgpu: 512 };

export async function loadTextEngine(
  request: LoadRequest & { text: NonNullable<LoadRequest["text"]> },
  onParts: (parts: GeneratedPart[]) => void,
): Promise<Result<TextEngine, EngineFault>> {
  const startedAt = performance.now();
  const decoder = await openDecoder(request);
  if (!decoder.ok) return decoder;
  const tokenizer = (await request.text.tokenizer?.text()) ?? null;
  return ok(createTextEngine(decoder.value, request, tokenizer, onParts, performance.now() - startedAt));
}

function createTextEngine(
  { decoder, stepper, opened: { health }, plain, padded, vocabulary }: OpenedDecoder,
  request: LoadRequest & { text: NonNullable<LoadRequest["text"]> },
  tokenizer: string | null,
  onParts: (parts: GeneratedPart[]) => void,
  loadMs: number,
): TextEngine {
  let bytes: TokenBytes | null = null;
  const bounds: TextBounds = {
    contextLength: request.text.facts.contextLength,
    vocabulary,
    tokenBytes: () => (bytes ??= tokenizer === null ? null : readTokenBytes(tokenizer)),
  };
  const kept = createPrefixCache(decoder, KEPT_TOKENS);
  const limits = { rows: ROWS, padded, chunk: CHUNK[request.runtime] };
  const batch = createTextBatch(decoder, stepper, limits, kept, show);
  const live = new Map<string, { cancelled: boolean }>();
  /** Generations under way: how many of their tokens have been shown. */
  const shown = new Map<TextJob, { name: string; job: Generation; epoch: number; tokens: number }>();

  /** Zeros may be all that a lost device gives: nothing is shown that was made after. */
  function show(jobs: readonly TextJob[]): void {
    const parts = jobs.flatMap((one): GeneratedPart[] => {
      const of = shown.get(one);
      if (!of || of.epoch !== health.epoch || of.job.drawn === of.tokens) return [];
      const position = of.tokens;
      of.tokens = of.job.drawn;
      return [{ job: of.name, position, ...of.job.since(position) }];
    });
    if (parts.length > 0) onParts(parts);
  }

  async function carryOut(name: string, started: Result<TextJob, string>): Promise<Result<Ran, EngineFault>> {
    if (health.lost) return err(faultOf(null, health, "run-failed"));
    if (!started.ok) return err({ fault: "invalid-input", message: started.error, fatal: false });
    if (live.has(name)) return err({ fault: "invalid-input", message: `job ${name} is under way`, fatal: false });
    const { epoch } = health;
    const state = { cancelled: false };
    live.set(name, state);
    const job = started.value;
    const outcome = await batch.add({ job, cancelled: () => state.cancelled });
    live.delete(name);
    if (health.epoch !== epoch) return err(faultOf(null, health, "run-failed"));
    if (outcome.kind === "failed") return err(faultOf(outcome.error, health, "run-failed"));
    if (outcome.kind === "refused") return err({ fault: "run-failed", message: outcome.why, fatal: false });
    const outputs = job.outputs();
    if (outcome.kind === "cancelled" && outputs[0]?.shape[0] === 0)
      return err({ fault: "run-failed", message: "cancelled before the first token", fatal: false });
    return ok({ outputs, computeMs: outcome.computeMs, nonFinite: [], constant: [] });
  }

  return {
    loaded: { loadMs },
    run: (items, rowsTogether) => runAll(plain, items, rowsTogether),

    async generate(name, inputs) {
      const started = startGeneration(inputs, bounds);
      if (!started.ok) return carryOut(name, started);
      const job = started.value;
      shown.set(job, { name, job, epoch: health.epoch, tokens: 0 });
      const ran = await carryOut(name, started);
      shown.delete(job);
      return ran;
    },

    score: (name, inputs) => carryOut(name, startScoring(inputs, bounds)),

    cancel(name) {
      const state = live.get(name);
      if (state) state.cancelled = true;
    },
  };
}

function readTokenBytes(tokenizer: string): TokenBytes | null {
  try {
    return tokenBytes(JSON.parse(tokenizer));
  } catch {
    return null;
  }
}
