import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { assert } from "../../shared/result.ts";
import {
  addTokens,
  compareText,
  emptyTextPool,
  type TextTolerance,
  type TokenEvidence,
} from "../../shared/text-agreement.ts";
import { root } from "../cli/ensure.mjs";
import { type RegisteredModel, readModel } from "../registry/files.ts";
import { modelFilesOf } from "../registry/model-files.ts";
import { type LoadedModel, type OpenDevices, openReference } from "./devices.ts";
import { makePrompts } from "./text-runs.ts";
import { checkTexts, generate, type Sampling, type Texts } from "./texts.ts";

/**
 * The promise of the text check: on the pinned WASM build, texts made step by step and checked by one prefill pass. The
 * model's own pass; its int8 and 4-bit copies fail within 512 pooled tokens, at every temperature.
 */
const folder = join(root, "models/shakespeare");
const BATCH = 8;
const LENGTH = 64;
const noPenalties = { bias: new Map<number, number>(), presencePenalty: 0, frequencyPenalty: 0 };

let opened: OpenDevices;
let model: RegisteredModel;
let prompts: number[][];
let tolerance: TextTolerance;
const makers: Record<string, LoadedModel> = {};

beforeAll(async () => {
  opened = openReference();
  const [device] = opened.devices;
  assert(device, "there is a reference node");
  model = await readModel(folder);
  assert(model.manifest.comparator.kind === "sampled-text", "shakespeare is compared as text");
  tolerance = model.manifest.comparator;
  const honest = modelFilesOf(folder, model.manifest.files);
  makers.fp32 = await device.load(honest);
  for (const [name, file] of Object.entries({ int8: "model_quantized.onnx", q4: "model_q4.onnx" })) {
    makers[name] = await device.load({ key: name, graphPath: join(folder, file) });
  }
  prompts = await makePrompts(makers.fp32, model.manifest, model.golden, 2 * BATCH);
}, 120_000);
afterAll(() => opened.close());

const seedsFrom = (first: number) => Array.from({ length: BATCH }, (_, i) => BigInt(first + i));

/** Verdicts over the first 64, 128, … 512 tokens. */
async function verdicts(texts: Texts, sampling: Sampling, seeds: readonly bigint[]): Promise<string[]> {
  const { fp32 } = makers;
  const found = await checkTexts(fp32 as LoadedModel, model.manifest, texts, seeds, sampling, tolerance.tokenPass);
  let pool = emptyTextPool;
  return found.map((evidence: TokenEvidence[]) => {
    pool = addTokens(pool, evidence, tolerance);
    return compareText(tolerance, pool).agreement;
  });
}

describe.each([
  ["0", { temperature: 0, topK: 0, topP: 1 }],
  ["0.7", { temperature: 0.7, topK: 0, topP: 1 }],
  ["0.7, top-k 40, top-p 0.95", { temperature: 0.7, topK: 40, topP: 0.95 }],
  ["1", { temperature: 1, topK: 0, topP: 1 }],
])("at temperature %s", (name, edges) => {
  const sampling = { ...edges, ...noPenalties };
  const seeds = seedsFrom(500);
  const write = (edition: string, by = seeds, from = prompts) =>
    generate(makers[edition] as LoadedModel, model.manifest, from.slice(0, BATCH), by, sampling, LENGTH);

  it("honest fp32 passes", { timeout: 120_000 }, async () => {
    const graded = await verdicts(await write("fp32"), sampling, seeds);
    expect(graded.at(-1)).toBe("PASS");
    expect(graded).not.toContain("FAIL");
  });

  it.each(["int8", "q4"])("%s fails within 512 tokens", { timeout: 120_000 }, async (edition) => {
    const graded = await verdicts(await write(edition), sampling, seeds);
    console.log(`temperature ${name}: ${edition} fails after ${LENGTH * (graded.indexOf("FAIL") + 1)} tokens`);
    expect(graded.at(-1)).toBe("FAIL");
  });

  it("an honest text of other prompts, or of another seed, fails", { timeout: 120_000 }, async () => {
    const { tokens, logProbabilities } = await write("fp32", seeds, prompts.slice(BATCH));
    const stale = { prompts: prompts.slice(0, BATCH), tokens, logProbabilities };
    expect((await verdicts(stale, sampling, seeds)).at(0)).toBe("FAIL");
    if (sampling.temperature === 0) return; // nothing is drawn
    expect((await verdicts(await write("fp32", seedsFrom(900)), sampling, seeds)).at(0)).toBe("FAIL");
  });
});
