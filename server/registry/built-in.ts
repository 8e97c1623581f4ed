import { existsSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { z } from "zod";
import { comparatorSchema, manifestSchema } from "../../models/manifest.ts";
import { readOnnx } from "../../models/onnx.ts";
import { TabgridFailure } from "../../shared/errors.ts";
import type { Tensor } from "../../shared/tensor.ts";
import type { ReferenceNode } from "../reference/node.ts";
import { checkStatement, type Description, describeModel, type Statement } from "./describe.ts";
import { hashFile, readJson, writeModelText } from "./files.ts";
import { modelFilesOf } from "./model-files.ts";

/**
 * `models/<id>/source.json`: what a person says of a built-in model. Manifest and known answers are made from it, the files
 * that it names and, where there is one, `golden-inputs.mjs`.
 */
const sourceSchema = manifestSchema
  .pick({
    version: true,
    title: true,
    description: true,
    licence: true,
    creator: true,
    royaltyBasisPoints: true,
    task: true,
  })
  .extend({
    files: z.array(manifestSchema.shape.files.unwrap().pick({ path: true, role: true })),
    ranges: z.record(z.string(), z.tuple([z.number(), z.number()])),
    /** null: chosen by the type of the weights. */
    comparator: comparatorSchema.nullable(),
  });

interface GoldenInputs {
  goldenInputs(run: (inputs: Tensor[]) => Promise<Tensor[]>): Tensor[][] | Promise<Tensor[][]>;
}

const RUN_MS = 60_000;

/**
 * Writes `manifest.json` and `golden.json` of a model folder anew.
 * @throws Error, in a sentence for the operator, or TabgridFailure where the model cannot be served
 */
export async function describeBuiltIn(folder: string, reference: ReferenceNode): Promise<Description> {
  const { files, ranges, comparator, ...said } = await readJson(join(folder, "source.json"), sourceSchema);
  const statement: Statement = {
    id: basename(folder),
    ...said,
    files: await Promise.all(
      files.map(async ({ path, role }) => {
        const file = join(folder, path);
        return { path, role, sha256: await hashFile(file), bytes: (await stat(file)).size };
      }),
    ),
  };
  const location = modelFilesOf(folder, statement.files);
  const graph = readOnnx(await readFile(location.graphPath));
  if (!graph.ok) throw new TabgridFailure(graph.error);
  const fault = checkStatement(statement, graph.value);
  if (fault) throw new TabgridFailure(fault);
  const run = async (inputs: Tensor[]) => {
    const result = await reference.run(location, inputs, RUN_MS);
    if (!result.ok) throw new Error(result.error.message);
    return result.value.outputs;
  };
  const script = join(folder, "golden-inputs.mjs");
  const examples = existsSync(script)
    ? await ((await import(pathToFileURL(script).href)) as GoldenInputs).goldenInputs(run)
    : undefined;
  const wishes = { dimensions: {}, ranges, examples, comparator };
  const description = await describeModel(reference, folder, statement, graph.value, wishes);
  await writeModelText(folder, description.manifest, description.golden);
  return description;
}
