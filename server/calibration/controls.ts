import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { seededRng } from "../../shared/random.ts";
import type { ModelFiles } from "../reference/messages.ts";
import { editWeights, findWeights, type Weight } from "./weights.ts";

/**
 * Editions of a model that somebody might run instead of it to save work. A comparator is worth nothing if it does not tell
 * them from the model itself.
 */
export interface Control {
  name: string;
  files: ModelFiles;
}

/** Where a model's folder brings an edition of lower precision, by the names that optimum and Transformers.js give. */
const editions = {
  int8: ["model_quantized.onnx", "model_int8.onnx"],
  q4: ["model_q4.onnx"],
} as const;
const Q4_BLOCK = 32;
const PERTURBATION = 0.01;
/** Smaller tensors are biases, norms and shapes: no precision is saved by shrinking them. */
const ELEMENTS_MIN = 64;

/** Writes the editions that the folder does not bring into `scratch`. */
export async function makeControls(folder: string, model: ModelFiles, scratch: string): Promise<Control[]> {
  const graph = new Uint8Array(await readFile(model.graphPath));
  const weights = findWeights(graph).filter(({ dims, elements }) => dims.length >= 2 && elements >= ELEMENTS_MIN);
  const controls: Control[] = [];
  const add = async (name: string, edited: Uint8Array) => {
    const graphPath = join(scratch, `${name.replaceAll(" ", "-")}.onnx`);
    await writeFile(graphPath, edited);
    controls.push({ name, files: { ...model, key: `${model.key}:${name}`, graphPath } });
  };
  for (const [name, edit] of Object.entries({ int8: roundToInt8, q4: roundToQ4 })) {
    const own = editions[name as keyof typeof editions].map((file) => join(folder, file)).find(existsSync);
    if (own)
      controls.push({ name, files: { ...model, key: `${model.key}:${name}`, graphPath: own, externalData: [] } });
    else if (weights.length > 0) await add(name, editWeights(graph, weights, edit));
  }
  const dropped = weights[Math.floor(weights.length / 2)];
  if (dropped) {
    await add("perturbed weights", editWeights(graph, weights, perturb()));
    await add(
      "dropped layer",
      editWeights(graph, [dropped], (values) => values.fill(0)),
    );
  }
  return controls;
}

/** Rounds to 127 levels either side of zero, one scale per output channel: the gentlest int8 in use. */
function roundToInt8(values: Float32Array, { dims }: Weight): void {
  const isMatrix = dims.length === 2;
  const channels = (isMatrix ? dims[1] : dims[0]) as number;
  const perChannel = values.length / channels;
  const at = (channel: number, i: number) => (isMatrix ? i * channels + channel : channel * perChannel + i);
  for (let channel = 0; channel < channels; channel++) {
    let extreme = 0;
    for (let i = 0; i < perChannel; i++) extreme = Math.max(extreme, Math.abs(values[at(channel, i)] as number));
    const scale = extreme / 127 || 1;
    for (let i = 0; i < perChannel; i++) {
      values[at(channel, i)] = Math.round((values[at(channel, i)] as number) / scale) * scale;
    }
  }
}

/** Rounds to 16 levels, one scale per 32 neighbours. */
function roundToQ4(values: Float32Array): void {
  for (let start = 0; start < values.length; start += Q4_BLOCK) {
    const block = values.subarray(start, start + Q4_BLOCK);
    const scale = block.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 7 || 1;
    for (const [i, value] of block.entries()) block[i] = Math.round(value / scale) * scale;
  }
}

/** Stands for another training of the same architecture, closer than any real one. */
function perturb(): (values: Float32Array) => void {
  const rng = seededRng(1);
  return (values) => {
    for (const [i, value] of values.entries()) values[i] = value * (1 + PERTURBATION * (2 * rng.next() - 1));
  };
}
