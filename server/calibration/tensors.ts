import type { Manifest } from "../../models/manifest.ts";
import type { Tensor } from "../../shared/tensor.ts";
import { distancesOf, type Tolerance } from "../../shared/tolerance.ts";
import type { Control } from "./controls.ts";
import type { Device, LoadedModel } from "./devices.ts";
import type { ControlRun, Honest, Measures } from "./record.ts";
import { addTo, emptySketch } from "./sketch.ts";

/** A comparator so fine that its distances are plain numbers: the unit is 10⁻¹². */
const UNIT = 1e-12;
function unitTolerance(comparator: Manifest["comparator"]): Tolerance {
  switch (comparator.kind) {
    case "label":
      return { ...comparator, tau: UNIT };
    case "embedding":
      // In double precision 1 − 10⁻¹² is still told from 1.
      return { ...comparator, cosinePass: 1 - UNIT, cosineFail: 1 - 5 * UNIT, normRelative: UNIT };
    case "image":
      return { ...comparator, psnrPass: 240, psnrFail: 226 };
    default:
      return { kind: "dense", relL2Pass: UNIT, relL2Fail: 5 * UNIT, abs: UNIT, rel: UNIT };
  }
}

/** What each kind is calibrated by; "top-1" follows from "scores". */
export const measuresOf = (comparator: Manifest["comparator"]): string[] =>
  ({
    label: ["scores"],
    embedding: ["cosine", "norm"],
    image: ["PSNR"],
    dense: ["relative L2", "elements"],
    "sampled-text": ["relative L2", "elements"],
  })[comparator.kind];

/** Adds the distance of two results to the sketches: the largest over the outputs, by measure. */
function compareInto(
  measures: Measures,
  comparator: Manifest["comparator"],
  a: readonly Tensor[],
  b: readonly Tensor[],
): void {
  const distances = distancesOf(unitTolerance(comparator), a, b);
  for (const measure of measuresOf(comparator)) {
    const values = distances
      .filter((distance) => distance.measure === measure || distance.measure === "equality")
      .map(({ value }) => value * UNIT);
    let sketch = measures[measure];
    if (!sketch) {
      sketch = emptySketch();
      measures[measure] = sketch;
    }
    addTo(sketch, Math.max(0, ...values));
  }
}

export interface Effort {
  pairs: number;
  /** Per pair of devices; a slow device compares fewer. */
  seconds: number;
}
export interface Loaded {
  device: Device;
  model: LoadedModel;
}
const CHUNK = 64;

/**
 * Runs the same inputs on two devices. Tabs stack rows, as miners do; the reference node runs them one by one.
 */
export async function measureHonest(
  maker: Loaded,
  checker: Loaded,
  comparator: Manifest["comparator"],
  inputs: (seed: number) => Tensor[],
  rows: number,
  effort: Effort,
): Promise<Honest> {
  const measures: Measures = {};
  const until = performance.now() + effort.seconds * 1000;
  const chunk = [maker, checker].some(({ device }) => device.name === "software") ? rows : CHUNK;
  let pairs = 0;
  while (pairs < effort.pairs && (pairs === 0 || performance.now() < until)) {
    const count = Math.min(chunk, effort.pairs - pairs);
    const items = Array.from({ length: count }, (_, i) => inputs(pairs + i));
    const [a = [], b = []] = await Promise.all(
      [maker, checker].map(({ device, model }) => model.run(items, device.name === "reference" ? 1 : rows)),
    );
    for (const i of items.keys()) compareInto(measures, comparator, a[i] as Tensor[], b[i] as Tensor[]);
    pairs += count;
  }
  const hardware = maker.device.hardware || checker.device.hardware;
  return { maker: maker.device.what, checker: checker.device.what, hardware, of: "tensors", pairs, measures };
}

/** Runs editions of the model on the checker's own device, where nothing but the edition differs. */
export async function measureControls(
  device: Device,
  honest: LoadedModel,
  controls: readonly Control[],
  comparator: Manifest["comparator"],
  inputs: (seed: number) => Tensor[],
  effort: Effort,
): Promise<ControlRun[]> {
  const runs: ControlRun[] = [];
  const items = Array.from({ length: Math.min(effort.pairs, 4 * CHUNK) }, (_, i) => inputs(i));
  const truth = await honest.run(items, 1);
  const record = (name: string, answers: Tensor[][]) => {
    const measures: Measures = {};
    for (const [i, answer] of answers.entries()) compareInto(measures, comparator, answer, truth[i] as Tensor[]);
    runs.push({ name, of: "tensors", pairs: answers.length, measures });
  };
  for (const { name, files } of controls) {
    const edition = await device.load(files);
    record(name, await edition.run(items, 1));
    await edition.release();
  }
  // Of the next but one input: text models alternate between two kinds of input.
  record("stale output", [...truth.slice(2), ...truth.slice(0, 2)]);
  return runs;
}
