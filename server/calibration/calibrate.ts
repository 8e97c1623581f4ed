import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RegisteredModel } from "../registry/files.ts";
import { modelFilesOf } from "../registry/model-files.ts";
import { makeControls } from "./controls.ts";
import { type DeviceName, type OpenDevices, openReference } from "./devices.ts";
import { inputSource } from "./inputs.ts";
import { type CalibrationRecord, type ControlRun, controlKey, type Honest, honestKey, mergeRuns } from "./record.ts";
import { openTabs } from "./tab.ts";
import { type Effort, type Loaded, measureControls, measureHonest } from "./tensors.ts";
import { makePrompts, measureHonestTexts, measureTextControls, temperatures, textInputs } from "./text-runs.ts";
import { isTextModel } from "./texts.ts";
import { deriveThresholds, type Outcome } from "./thresholds.ts";

/** Measures a model on devices at hand; `say` gets a line for each thing measured. */
export interface CalibrationRequest {
  model: RegisteredModel;
  devices: readonly DeviceName[];
  effort: Effort;
  /** Editions are compared on the reference node alone, so one operator's measuring of them does for all. */
  withControls: boolean;
  say(line: string): void;
}
export type Runs = Pick<CalibrationRecord, "honest" | "controls">;

/** Rows that a tab stacks, within the model's limit. */
const ROWS = 8;

export async function measure({ model, devices, effort, withControls, say }: CalibrationRequest): Promise<Runs> {
  const { manifest, folder } = model;
  const files = modelFilesOf(folder, manifest.files, manifest.embedding);
  const scratch = await mkdtemp(join(tmpdir(), "tabgrid-calibration-"));
  const tabs = devices.filter((name) => name !== "reference");
  const opened: OpenDevices[] = [];
  try {
    opened.push(openReference());
    if (tabs.length > 0) opened.push(await openTabs(tabs));
    const loaded: Loaded[] = [];
    for (const device of opened.flatMap((group) => group.devices)) {
      loaded.push({ device, model: await device.load(files) });
    }
    const [reference] = loaded as [Loaded];

    const prompts = isTextModel(manifest) ? await makePrompts(reference.model, manifest, model.golden) : null;
    const inputs = prompts ? await textInputs(reference.model, manifest, prompts) : await inputSource(model);
    const { comparator } = manifest;
    const rows = manifest.batch.rowsIndependent ? Math.min(ROWS, manifest.batch.limit) : 1;

    const honest: Honest[] = [];
    const note = (run: Honest) => {
      honest.push(run);
      say(`honest ${run.of}: ${run.maker} against ${run.checker}: ${run.pairs} pairs`);
    };
    for (const [maker, checker] of pairsOf(loaded)) {
      note(await measureHonest(maker, checker, comparator, inputs, rows, effort));
      if (!prompts) continue;
      const share = { pairs: Math.ceil(effort.pairs / temperatures.length), seconds: effort.seconds / 2 };
      for (const temperature of temperatures) {
        note(await measureHonestTexts(maker, checker, manifest, prompts, temperature, share));
      }
    }
    if (!withControls) return { honest, controls: [] };
    const controls = await makeControls(folder, files, scratch);
    const found = await measureControls(reference.device, reference.model, controls, comparator, inputs, effort);
    if (prompts) found.push(...(await measureTextControls(reference, controls, manifest, prompts, effort)));
    say(`controls: ${[...new Set(found.map(({ name }) => name))].join(", ")}`);
    return { honest, controls: found };
  } finally {
    for (const group of opened) await group.close();
    await rm(scratch, { recursive: true, force: true });
  }
}

/** A tab's work is checked by the reference node and by every other tab; alone, the reference node checks itself. */
function pairsOf(loaded: readonly Loaded[]): [maker: Loaded, checker: Loaded][] {
  const [reference] = loaded as [Loaded];
  if (loaded.length === 1) return [[reference, reference]];
  return loaded.flatMap((maker, at) => loaded.slice(0, at).map((checker): [Loaded, Loaded] => [maker, checker]));
}

export function summarise(
  { manifest }: RegisteredModel,
  measuredAt: string,
  all: readonly Runs[],
): CalibrationRecord & Pick<Outcome, "refusals"> {
  const honest: Honest[] = mergeRuns(
    all.flatMap((runs) => runs.honest),
    honestKey,
  );
  const controls: ControlRun[] = mergeRuns(
    all.flatMap((runs) => runs.controls),
    controlKey,
  );
  const graph = manifest.files.find(({ role }) => role === "graph")?.sha256 as string;
  const { id, version, dtype } = manifest;
  return {
    schema: 1,
    model: { id, version, dtype, graph },
    measuredAt,
    honest,
    controls,
    ...deriveThresholds(manifest, honest, controls),
  };
}
