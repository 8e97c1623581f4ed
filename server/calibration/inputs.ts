import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Tensor } from "../../shared/tensor.ts";
import type { RegisteredModel } from "../registry/files.ts";
import { generateInputs } from "../registry/inputs.ts";

interface InputsModule {
  calibrationInputs(seed: number): Tensor[];
}

/**
 * Inputs by number, each another one. A model's folder may bring a `calibration-inputs.mjs` that makes lifelike ones; else
 * they are random within the model's ranges, in the shapes of its known answers.
 */
export async function inputSource({ folder, manifest, golden }: RegisteredModel): Promise<(seed: number) => Tensor[]> {
  const script = join(folder, "calibration-inputs.mjs");
  if (existsSync(script)) return ((await import(pathToFileURL(script).href)) as InputsModule).calibrationInputs;
  const shapes = golden[0]?.inputs ?? [];
  const dims = new Map<string, number>();
  for (const { name, shape } of manifest.inputs) {
    const actual = shapes.find((tensor) => tensor.name === name)?.shape ?? [];
    for (const [axis, size] of shape.entries()) if (typeof size === "string") dims.set(size, actual[axis] ?? 1);
  }
  return (seed) => generateInputs(manifest.inputs, dims, seed + 1000, "small");
}
