import { z } from "zod";
import { type Comparator, type GoldenFile, type Manifest, manifestSchema } from "../../models/manifest.ts";
import type { OnnxGraph } from "../../models/onnx.ts";
import { failure, type TabgridError, TabgridFailure } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { ReferenceNode } from "../reference/node.ts";
import { weightType } from "./defaults.ts";
import { type Examination, examine, type Wishes } from "./examine.ts";
import { GOLDEN, MANIFEST, toText } from "./files.ts";
import { modelFilesOf } from "./model-files.ts";
import { planTask, tryText } from "./task-plans.ts";

/** What a person says of a model version; everything else is read from the graph or measured. */
export const statementSchema = manifestSchema.pick({
  id: true,
  version: true,
  title: true,
  description: true,
  licence: true,
  creator: true,
  royaltyBasisPoints: true,
  task: true,
  files: true,
});
export type Statement = z.infer<typeof statementSchema>;

export interface Description {
  manifest: Manifest;
  golden: GoldenFile;
  examination: Examination;
}

/** Refuses what is wrong with a statement before anything is written or run. */
export function checkStatement(statement: unknown, graph: OnnxGraph): TabgridError | null {
  const parsed = statementSchema.safeParse(statement);
  if (!parsed.success) {
    const issue = parsed.error.issues[0] as z.core.$ZodIssue;
    const field = z.core.toDotPath(issue.path);
    return failure("invalid-request", `${field}: ${issue.message}`, { field });
  }
  const paths = parsed.data.files.map(({ path }) => path);
  if (new Set([...paths, MANIFEST, GOLDEN]).size < paths.length + 2) {
    const message = `files: every path once, and none of ${MANIFEST} and ${GOLDEN}`;
    return failure("invalid-request", message, { field: "files" });
  }
  const weights = parsed.data.files.filter(({ role }) => role === "weights").map(({ path }) => path);
  for (const path of graph.externalFiles) {
    if (weights.includes(path)) continue;
    const expected = `a file of role weights at ${path}`;
    return failure("invalid-model", `files: the graph needs ${expected}`, {
      field: "files",
      expected,
      got: weights.join(", "),
    });
  }
  return null;
}

/**
 * Measures a model whose files lie in `folder` and puts its manifest and known answers together.
 * @throws TabgridFailure where the model cannot be served
 */
export async function describeModel(
  reference: ReferenceNode,
  folder: string,
  statement: Statement,
  graph: OnnxGraph,
  wishes: Wishes & { comparator: Comparator | null },
): Promise<Description> {
  const fileBytes = statement.files
    .filter(({ role }) => role === "graph" || role === "weights")
    .reduce((sum, { bytes }) => sum + bytes, 0);
  const location = modelFilesOf(folder, statement.files);
  const plan = await planTask(statement.task, reference, { folder, files: statement.files, location, graph, wishes });
  const examination = await examine(reference, plan.files, fileBytes, plan.graph, plan.wishes);
  const { golden, referenceMs, ...measured } = { ...examination, ...(await plan.sections(examination)) };
  if (measured.memoryBytes > limits.tabMemoryBytes) throw new TabgridFailure(tooLarge(measured.memoryBytes));
  const dtype = weightType(graph);
  const comparator = wishes.comparator ?? plan.comparator(dtype);
  if (comparator.kind !== "dense" && !measured.outputs.some(({ name }) => name === comparator.output)) {
    const expected = measured.outputs.map(({ name }) => name).join(", ");
    const field = "comparator.output";
    throw new TabgridFailure(
      failure("invalid-request", `${field}: expected one of ${expected}`, { field, expected, got: comparator.output }),
    );
  }
  const manifest: Manifest = { schema: 1, ...statement, dtype, opset: graph.opset, ...measured, comparator };
  const checked = manifestSchema.safeParse(manifest);
  if (!checked.success) {
    throw new TabgridFailure(failure("invalid-model", z.prettifyError(checked.error), { field: "graph" }));
  }
  await tryText(folder, checked.data);
  const vectors = golden.map(({ inputs, outputs }) => ({ inputs: inputs.map(toText), outputs: outputs.map(toText) }));
  return { manifest: checked.data, golden: { runtime: reference.runtime, referenceMs, vectors }, examination };
}

function tooLarge(bytes: number): TabgridError {
  const [expected, got] = [`at most ${limits.tabMemoryBytes} bytes of memory in a tab`, `${bytes} bytes`];
  return failure("model-too-large", `graph: expected ${expected}, got ${got}`, { field: "graph", expected, got });
}
