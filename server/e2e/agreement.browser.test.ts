import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { assert } from "../../shared/result.ts";
import { addTokens, compareText, emptyTextPool } from "../../shared/text-agreement.ts";
import { compareResults } from "../../shared/tolerance.ts";
import { type Device, type LoadedModel, type OpenDevices, openReference } from "../calibration/devices.ts";
import { inputSource } from "../calibration/inputs.ts";
import { openTabs } from "../calibration/tab.ts";
import { makePrompts, textInputs } from "../calibration/text-runs.ts";
import { checkTexts, generate, isTextModel } from "../calibration/texts.ts";
import { findChromium } from "../cli/chromium.mjs";
import { root } from "../cli/ensure.mjs";
import { readModel } from "../registry/files.ts";
import { modelFilesOf } from "../registry/model-files.ts";

/**
 * What calibration promises, on the manifests as they are committed: honest runs of every built-in model in a WebGPU tab
 * (the software adapter), a WASM tab and the reference node agree. Inputs that the calibration has not seen.
 */
const UNSEEN = 1_000_000;
const noChromium = findChromium() ? "" : "no Chrome or Chromium is installed";

describe.skipIf(noChromium)(`honest devices agree ${noChromium}`, () => {
  const opened: OpenDevices[] = [];
  let devices: Device[] = [];

  beforeAll(async () => {
    opened.push(openReference(), await openTabs(["wasm", "software"]));
    devices = opened.flatMap((group) => group.devices);
    console.log(devices.map(({ name, what }) => `${name}: ${what}`).join("\n"));
  });
  afterAll(async () => {
    for (const group of opened) await group.close();
  });

  it.each(["digits", "langid", "sentences", "shakespeare"])("%s", { timeout: 300_000 }, async (id) => {
    const model = await readModel(join(root, "models", id));
    const { manifest, folder } = model;
    const loaded: LoadedModel[] = [];
    for (const device of devices)
      loaded.push(await device.load(modelFilesOf(folder, manifest.files, manifest.embedding)));
    const [reference] = loaded;
    assert(reference, "the reference node is among the devices");
    const isText = isTextModel(manifest);
    const prompts = isText ? await makePrompts(reference, manifest, model.golden, 32) : [];
    const inputs = isText ? await textInputs(reference, manifest, prompts) : await inputSource(model);
    const items = Array.from({ length: 16 }, (_, i) => inputs(UNSEEN + i));
    const results = [];
    for (const [at, run] of loaded.entries()) results.push(await run.run(items, at === 0 ? 1 : 8));
    for (const [at, answers] of results.entries()) {
      for (const others of results.slice(0, at)) {
        for (const [i, answer] of answers.entries()) {
          const compared = compareResults(manifest.comparator, answer, others[i] ?? []);
          expect(compared, `${devices[at]?.what}, input ${i}`).toMatchObject({ agreement: "PASS" });
        }
      }
    }
    for (const run of loaded) await run.release();
  });

  it("shakespeare's texts, drawn on one device and checked on another", { timeout: 300_000 }, async () => {
    const { manifest, folder, golden } = await readModel(join(root, "models/shakespeare"));
    const tolerance = manifest.comparator;
    assert(tolerance.kind === "sampled-text", "shakespeare is compared as text");
    const loaded: LoadedModel[] = [];
    for (const device of devices)
      loaded.push(await device.load(modelFilesOf(folder, manifest.files, manifest.embedding)));
    const prompts = await makePrompts(loaded[0] as LoadedModel, manifest, golden, 16);
    const seeds = prompts.map((_, i) => BigInt(UNSEEN + i));
    const noPenalties = { bias: new Map<number, number>(), presencePenalty: 0, frequencyPenalty: 0 };
    const sampling = { temperature: 0.7, topK: 40, topP: 0.95, ...noPenalties };
    // The drawn tokens of the WebGPU tab by the WASM tab, and of the WASM tab by the reference node.
    for (const [maker, checker] of [
      [2, 1],
      [1, 0],
    ] as const) {
      const texts = await generate(loaded[maker] as LoadedModel, manifest, prompts, seeds, sampling, 32);
      const found = await checkTexts(
        loaded[checker] as LoadedModel,
        manifest,
        texts,
        seeds,
        sampling,
        tolerance.tokenPass,
      );
      const pool = addTokens(emptyTextPool, found.flat(), tolerance);
      expect(pool.tokens).toBe(512);
      expect(compareText(tolerance, pool)).toMatchObject({ agreement: "PASS" });
    }
  });
});
