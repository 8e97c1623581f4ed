import { isDeepStrictEqual } from "node:util";
import type { InputSpec, Manifest } from "../../models/manifest.ts";
import type { OnnxGraph } from "../../models/onnx.ts";
import { atLeastMinimum, countWork, type Kernel } from "../../models/work.ts";
import { type ErrorCode, failure, type TabgridError, TabgridFailure } from "../../shared/errors.ts";
import { limits, MIB } from "../../shared/limits.ts";
import { elementCount, matchSpecs, type Tensor, toNumbers } from "../../shared/tensor.ts";
import type { ModelFiles } from "../reference/messages.ts";
import type { ReferenceNode, ReferenceResult } from "../reference/node.ts";
import { generateInputs, integerStyles, repeated, rowOf, stackRows } from "./inputs.ts";
import { settleOutputs } from "./outputs.ts";
import { workFormula } from "./work-formula.ts";

/**
 * What only runs can tell of a model before it is published: that it runs and gives the same bits twice, which sizes its
 * outputs take, whether the rows of a batch influence each other, its work, its memory, and its known answers.
 */
export interface Examination {
  inputs: InputSpec[];
  outputs: Manifest["outputs"];
  batch: Manifest["batch"];
  work: Manifest["work"];
  memoryBytes: number;
  nonFiniteOutputs: boolean;
  golden: { inputs: Tensor[]; outputs: Tensor[] }[];
  referenceMs: number;
}

export interface Wishes {
  /** Sizes of free dimensions; 1 where not given. */
  dimensions: Record<string, number>;
  ranges?: Record<string, [number, number]>;
  examples?: Tensor[][];
}

export const RUN_MS = 60_000;
/** A row that differs by more than this in a batch (relative L2) is influenced by the others. */
const ROW_TOLERANCE = 1e-5;
/** What one batch may ask of the reference node, which may have to decide over it within 10 s. */
const BATCH_FLOP_MAX = 64_000_000_000n;
const BATCH_ROWS_MAX = 64;
const BATCH_BYTES_MAX = 1024 * MIB;
/** A model whose file and values together are smaller is not worth a fresh process to measure it in. */
const UNMEASURED_BYTES = 16 * MIB;
const VALUE_BYTES_MAX = 8;

export async function examine(
  reference: ReferenceNode,
  files: ModelFiles,
  fileBytes: number,
  graph: OnnxGraph,
  wishes: Wishes,
): Promise<Examination> {
  const specs = withRanges(graph.inputs, wishes.ranges ?? {});
  const dims = chosenSizes(specs, wishes.dimensions);
  const run = async (inputs: readonly Tensor[]) => {
    const value = valued(await reference.run(files, inputs, RUN_MS), graph);
    if (!isDeepStrictEqual(namesOf(value.outputs), namesOf(graph.outputs))) {
      const [expected, got] = [namesOf(graph.outputs).join(", "), namesOf(value.outputs).join(", ")];
      return refuse("invalid-model", `its outputs read as ${expected}, but it ran with ${got}`, "graph", {
        expected,
        got,
      });
    }
    return value;
  };
  const trace = async (inputs: readonly Tensor[]) => valued(await reference.trace(files, inputs, RUN_MS), graph);
  const work = async (inputs: readonly Tensor[]) => countWork(await trace(inputs), graph.equations);

  const examples = wishes.examples?.length ? checkedExamples(wishes.examples, specs) : await generated();
  const [a, b] = alikePair(examples);
  const first = await run(a);
  if (!isDeepStrictEqual((await run(a)).outputs, first.outputs)) {
    return refuse("invalid-model", "two runs of the same inputs differ, so that nobody's answers could be checked");
  }
  const golden = [];
  const times = [];
  for (const inputs of examples) {
    const { outputs, runMs } = await run(inputs);
    golden.push({ inputs, outputs });
    times.push(runMs);
  }

  const sizes = (inputs: readonly Tensor[]) => {
    const match = matchSpecs(inputs, specs, "examples");
    return match.ok ? match.dims : new Map<string, number>();
  };
  const dimension = batchDimension(specs, a);
  const rows = dimension ? await testRows(run, first.outputs, a, b) : null;
  const shapeRuns = [{ dims: sizes(a), outputs: first.outputs }];
  if (rows) shapeRuns.push({ dims: sizes(stackRows([a, b])), outputs: rows.stacked });

  const kernels = await trace(a);
  const workOfOne = countWork(kernels, graph.equations);
  const counted = await workFormula(specs, rows ? dimension : null, a, workOfOne, work);
  let limit = rows?.independent ? rowsWithin(workOfOne) : 1;
  const heap = async () => {
    const bound = fileBytes + outputBytes(kernels) * limit;
    return bound <= UNMEASURED_BYTES
      ? bound
      : valued(await reference.footprint(files, repeated(a, limit), RUN_MS), graph);
  };
  let heapBytes = await heap();
  while (heapBytes > BATCH_BYTES_MAX && limit > 1) {
    limit = Math.floor(limit / 2);
    heapBytes = await heap();
  }
  return {
    inputs: specs,
    outputs: settleOutputs(graph.outputs, shapeRuns, rows ? dimension : null),
    batch: { limit, dimension: rows ? dimension : null, rowsIndependent: rows?.independent ?? false },
    work: counted,
    memoryBytes: fileBytes + heapBytes,
    nonFiniteOutputs: golden.some(({ outputs }) => outputs.some((output) => !toNumbers(output).every(Number.isFinite))),
    golden,
    referenceMs: median(times),
  };

  /** The first style of integers that the model runs with. */
  async function generated(): Promise<Tensor[][]> {
    const count = specs.length === 0 ? 1 : limits.goldenVectors;
    const hasIntegers = specs.some(({ dtype, range }) => !dtype.startsWith("float") && !range);
    let refusal: TabgridError | null = null;
    for (const style of hasIntegers ? integerStyles : integerStyles.slice(0, 1)) {
      const made = Array.from({ length: count }, (_, seed) => generateInputs(specs, dims, seed + 1, style));
      const tried = await reference.run(files, made[0] as Tensor[], RUN_MS);
      if (tried.ok) return made;
      refusal ??= refusalOf(tried.error, graph);
    }
    throw new TabgridFailure(refusal as TabgridError);
  }
}

const namesOf = (named: readonly { name: string }[]): string[] => named.map(({ name }) => name);

function refuse(
  code: ErrorCode,
  message: string,
  field = "graph",
  detail: { expected?: string; got?: string } = {},
): never {
  throw new TabgridFailure(failure(code, `${field}: ${message}`, { field, ...detail }));
}

function refusalOf(fault: { message: string }, graph: OnnxGraph): TabgridError {
  const sizes = graph.inputs.flatMap(({ shape }) => shape.filter((size) => typeof size === "string"));
  const hints = [
    graph.opset < 7 ? `its operator set is ${graph.opset}, ONNX Runtime implements 7 and later` : "",
    sizes.length > 0
      ? `sizes of ${[...new Set(sizes)].join(", ")} can be given as dimensions, or inputs as examples`
      : "",
  ].filter(Boolean);
  const hint = hints.length > 0 ? ` (${hints.join("; ")})` : "";
  return failure("invalid-model", `graph: the reference node could not run it: ${fault.message}${hint}`, {
    field: "graph",
  });
}

export function valued<T>(result: ReferenceResult<T>, graph: OnnxGraph): T {
  if (result.ok) return result.value;
  throw new TabgridFailure(refusalOf(result.error, graph));
}

function withRanges(inputs: OnnxGraph["inputs"], ranges: Record<string, [number, number]>): InputSpec[] {
  const known = inputs.map(({ name }) => name);
  for (const [name, [low, high]] of Object.entries(ranges)) {
    if (!known.includes(name))
      refuse("invalid-request", "no such input", `ranges.${name}`, { expected: known.join(", ") });
    if (!(low <= high))
      refuse("invalid-request", "expected [low, high]", `ranges.${name}`, { got: `[${low}, ${high}]` });
  }
  return inputs.map((spec) => (ranges[spec.name] ? { ...spec, range: ranges[spec.name] } : spec));
}

function chosenSizes(specs: readonly InputSpec[], dimensions: Record<string, number>): Map<string, number> {
  const free = new Set(specs.flatMap(({ shape }) => shape.filter((size) => typeof size === "string")));
  for (const [name, size] of Object.entries(dimensions)) {
    const field = `dimensions.${name}`;
    if (!free.has(name)) {
      const expected = [...free].join(", ") || "none, every size is fixed";
      refuse("invalid-request", `no free dimension of this name; free are: ${expected}`, field, { expected });
    }
    if (!Number.isSafeInteger(size) || size < 0)
      refuse("invalid-request", "expected a whole number", field, { got: `${size}` });
  }
  return new Map([...free].map((name) => [name, dimensions[name] ?? 1]));
}

function checkedExamples(examples: Tensor[][], specs: readonly InputSpec[]): Tensor[][] {
  if (examples.length > limits.goldenVectors) refuse("invalid-request", `at most ${limits.goldenVectors}`, "examples");
  for (const [at, tensors] of examples.entries()) {
    const match = matchSpecs(tensors, specs, `examples[${at}]`);
    if (!match.ok) throw new TabgridFailure(match.error);
  }
  return examples.map((tensors) => specs.map(({ name }) => tensors.find((tensor) => tensor.name === name) as Tensor));
}

/** Two examples of equal shapes, where there are such; else the first one twice. */
function alikePair(examples: Tensor[][]): [Tensor[], Tensor[]] {
  const shapes = examples.map((tensors) => tensors.map(({ shape }) => shape.join()).join(";"));
  for (const [at, shape] of shapes.entries()) {
    const other = shapes.indexOf(shape, at + 1);
    if (other > at) return [examples[at] as Tensor[], examples[other] as Tensor[]];
  }
  const only = examples[0] as Tensor[];
  return [only, only];
}

/** The free dimension at axis 0 of every input, where the example has one row of it. */
function batchDimension(specs: readonly InputSpec[], example: readonly Tensor[]): string | null {
  const dimension = specs[0]?.shape[0];
  if (typeof dimension !== "string" || example[0]?.shape[0] !== 1) return null;
  const elsewhere = (shape: InputSpec["shape"]) => shape.slice(1).includes(dimension);
  return specs.every(({ shape }) => shape[0] === dimension && !elsewhere(shape)) ? dimension : null;
}

/** Runs [a; b] and [b; a]. Null where the model has no batch after all: it does not run so, or not every output grows. */
async function testRows(
  run: (inputs: readonly Tensor[]) => Promise<{ outputs: Tensor[] }>,
  outputsOfA: readonly Tensor[],
  a: readonly Tensor[],
  b: readonly Tensor[],
): Promise<{ independent: boolean; stacked: Tensor[] } | null> {
  let stacked: Tensor[];
  let swapped: Tensor[];
  try {
    stacked = (await run(stackRows([a, b]))).outputs;
    swapped = (await run(stackRows([b, a]))).outputs;
  } catch (error) {
    if (error instanceof TabgridFailure) return null;
    throw error;
  }
  const grows = (output: Tensor, at: number) => outputsOfA[at]?.shape[0] === 1 && output.shape[0] === 2;
  if (!stacked.every(grows) || !swapped.every(grows)) return null;
  const outputsOfB = (await run(b)).outputs;
  const agree = (batch: Tensor[], row: number, alone: readonly Tensor[]) =>
    rowOf(batch, row).every((tensor, at) => nearlyEqual(tensor, alone[at] as Tensor));
  const independent =
    agree(stacked, 0, outputsOfA) &&
    agree(stacked, 1, outputsOfB) &&
    agree(swapped, 0, outputsOfB) &&
    agree(swapped, 1, outputsOfA);
  return { independent, stacked };
}

function nearlyEqual(left: Tensor, right: Tensor): boolean {
  if (left.shape.join() !== right.shape.join()) return false;
  const [x, y] = [toNumbers(left), toNumbers(right)];
  let difference = 0;
  let square = 0;
  for (const [at, value] of x.entries()) {
    const other = y[at] as number;
    if (Object.is(value, other)) {
      if (Number.isFinite(value)) square += value * value;
      continue;
    }
    difference += (value - other) ** 2;
    square += other * other;
  }
  return Math.sqrt(difference) <= ROW_TOLERANCE * Math.sqrt(square);
}

/** All values at once, each element at its largest. */
const outputBytes = (kernels: readonly Kernel[]): number =>
  kernels.flatMap(({ outputs }) => outputs).reduce((sum, shape) => sum + elementCount(shape) * VALUE_BYTES_MAX, 0);

function rowsWithin(workOfOne: bigint): number {
  const rows = Number(BATCH_FLOP_MAX / atLeastMinimum(workOfOne));
  return Math.min(BATCH_ROWS_MAX, Math.max(1, rows));
}

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
