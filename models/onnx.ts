import { failure, type TabgridError } from "../shared/errors.ts";
import { limits } from "../shared/limits.ts";
import { err, ok, type Result } from "../shared/result.ts";
import type { Dtype, TensorSpec } from "../shared/tensor.ts";
import {
  decodeModel,
  type GraphProto,
  integerOf,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from "./onnx-schema.ts";

/**
 * What the hub must know of an ONNX file before it runs it. The bytes come from strangers: everything is bounded, and a
 * file that cannot be served is an `invalid-model` error that says why.
 */
export interface OnnxGraph {
  irVersion: number;
  /**
   * Of the default domain. ONNX Runtime implements 7 and later; of older sets it runs the operators that have not changed
   * since, which only a run can tell.
   */
  opset: number;
  /** Graph inputs without those that have an initialiser. */
  inputs: TensorSpec[];
  outputs: OutputDeclaration[];
  /** Every operator in use, bodies and functions included; `domain:Op` outside the default domain. */
  operators: Set<string>;
  /** Equations of Einsum nodes by node name. */
  equations: Map<string, string>;
  /** Elements of all initialisers and constants by ONNX data type number. */
  weightElements: Map<number, number>;
  /** Files beside the graph that hold weights. */
  externalFiles: string[];
}

/** An output may leave its type or shape to the runtime: then they are null and a run tells. */
export interface OutputDeclaration {
  name: string;
  dtype: Dtype | null;
  shape: TensorSpec["shape"] | null;
}

/** TensorProto.DataType. */
const onnxDtypes: Readonly<Record<number, Dtype>> = {
  1: "float32",
  2: "uint8",
  3: "int8",
  4: "uint16",
  5: "int16",
  6: "int32",
  7: "int64",
  9: "bool",
  10: "float16",
  11: "float64",
  12: "uint32",
  13: "uint64",
};
const STRING = 8;
const EXTERNAL = 1;
const NODES_MAX = 500_000;
const trainingDomains = new Set(["ai.onnx.training", "ai.onnx.preview.training"]);

class Refusal extends Error {}

export function readOnnx(bytes: Uint8Array): Result<OnnxGraph, TabgridError> {
  const invalid = (message: string) => err(failure("invalid-model", `graph: ${message}`, { field: "graph" }));
  if (bytes.byteLength > limits.modelBytes) {
    const expected = `at most ${limits.modelBytes} bytes`;
    const got = `${bytes.byteLength} bytes`;
    return err(
      failure("model-too-large", `graph: expected ${expected}, got ${got}`, { field: "graph", expected, got }),
    );
  }
  let model: ModelProto;
  try {
    // A plain view: protobufjs would turn slices of a Node Buffer into copies.
    model = decodeModel(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  } catch (error) {
    return invalid(`not an ONNX file (${error instanceof Error ? error.message : error})`);
  }
  try {
    return ok(describe(model));
  } catch (error) {
    if (error instanceof Refusal) return invalid(error.message);
    throw error;
  }
}

function describe(model: ModelProto): OnnxGraph {
  const { graph } = model;
  if (!graph) throw new Refusal("not an ONNX file (it has no graph)");
  const found = survey(model, graph);
  const imported = model.opsetImport?.find(({ domain }) => !domain || domain === "ai.onnx");
  if (!imported) throw new Refusal("it imports no operator set of the default domain");
  const opset = integerOf(imported.version);
  const initialised = new Set(graph.initializer?.map(({ name }) => name));
  for (const { values } of graph.sparseInitializer ?? []) initialised.add(values?.name);
  const inputs = (graph.input ?? []).filter(({ name }) => !initialised.has(name));
  const outputs = graph.output ?? [];
  if (outputs.length === 0) throw new Refusal("it has no outputs");
  for (const values of [inputs, outputs]) {
    if (values.length > limits.tensorsPerMessage) {
      throw new Refusal(`${values.length} inputs or outputs, at most ${limits.tensorsPerMessage} are served`);
    }
    const names = new Set(values.map(({ name }) => name));
    if (names.size < values.length) throw new Refusal("two inputs or two outputs have the same name");
  }
  const free = freeNames([...inputs, ...outputs]);
  return {
    irVersion: integerOf(model.irVersion),
    opset,
    inputs: inputs.map((value) => inputSpec(value, free)),
    outputs: outputs.map((value) => ({ name: nameOf(value), ...typeOf(value, free) })),
    ...found,
  };
}

function inputSpec(value: ValueInfoProto, free: () => string): TensorSpec {
  const name = nameOf(value);
  const { dtype, shape } = typeOf(value, free);
  if (!dtype || !shape) throw new Refusal(`input ${name} declares no ${dtype ? "shape" : "type"}`);
  return { name, dtype, shape };
}

function nameOf({ name }: ValueInfoProto): string {
  if (!name || name.length > limits.nameChars) {
    throw new Refusal(`an input or output has no name or one of more than ${limits.nameChars} characters`);
  }
  return name;
}

function typeOf(value: ValueInfoProto, free: () => string): Omit<OutputDeclaration, "name"> {
  if (!value.type) return { dtype: null, shape: null };
  const tensor = value.type.tensorType;
  if (!tensor) throw new Refusal(`${value.name} is a sequence, a map or optional; only tensors are served`);
  const type = tensor.elemType ?? 0;
  const dtype = onnxDtypes[type] ?? null;
  if (type !== 0 && !dtype) {
    throw new Refusal(
      `${value.name} is of ${type === STRING ? "strings" : `ONNX data type ${type}`}, which is not served`,
    );
  }
  if (!tensor.shape) return { dtype, shape: null };
  const dims = tensor.shape.dim ?? [];
  if (dims.length > limits.tensorRank) {
    throw new Refusal(`${value.name} has ${dims.length} dimensions, at most ${limits.tensorRank} are served`);
  }
  const shape = dims.map((dim) => {
    if (dim.dimParam) return dim.dimParam.slice(0, limits.nameChars);
    if (!Object.hasOwn(dim, "dimValue")) return free();
    const size = integerOf(dim.dimValue);
    return size < 0 ? free() : size;
  });
  return { dtype, shape };
}

/** Made-up names for unnamed free dimensions, `d0`, `d1`, …, none of which the graph uses itself. */
function freeNames(values: ValueInfoProto[]): () => string {
  const used = new Set(
    values.flatMap(({ type }) => type?.tensorType?.shape?.dim?.map(({ dimParam }) => dimParam) ?? []),
  );
  let next = 0;
  return () => {
    while (used.has(`d${next}`)) next++;
    return `d${next++}`;
  };
}

/** Walks the graph with all bodies and functions. */
function survey(
  model: ModelProto,
  graph: GraphProto,
): Pick<OnnxGraph, "operators" | "equations" | "weightElements" | "externalFiles"> {
  const operators = new Set<string>();
  const equations = new Map<string, string>();
  const weightElements = new Map<number, number>();
  const externalFiles = new Set<string>();
  let nodes = 0;

  const visitTensor = (tensor: TensorProto | null | undefined) => {
    if (!tensor) return;
    const elements = (tensor.dims ?? []).reduce<number>((product, dim) => product * integerOf(dim), 1);
    const type = tensor.dataType ?? 0;
    weightElements.set(type, (weightElements.get(type) ?? 0) + elements);
    if (tensor.dataLocation !== EXTERNAL) return;
    const location = tensor.externalData?.find(({ key }) => key === "location")?.value ?? "";
    if (!/^[A-Za-z0-9][A-Za-z0-9._/-]*$/.test(location) || location.includes("..")) {
      throw new Refusal(`external data ${JSON.stringify(location)} must be a plain path beside the graph`);
    }
    externalFiles.add(location);
  };
  const visitNode = (node: NodeProto) => {
    if (++nodes > NODES_MAX) throw new Refusal(`more than ${NODES_MAX} nodes`);
    const domain = node.domain === "ai.onnx" ? "" : (node.domain ?? "");
    if (trainingDomains.has(domain)) throw new Refusal(`operator ${node.opType} is for training, not inference`);
    operators.add(domain ? `${domain}:${node.opType}` : (node.opType ?? ""));
    for (const attribute of node.attribute ?? []) {
      if (node.opType === "Einsum" && attribute.name === "equation" && attribute.s && node.name) {
        equations.set(node.name, new TextDecoder().decode(attribute.s));
      }
      visitTensor(attribute.t);
      attribute.tensors?.forEach(visitTensor);
      for (const body of [attribute.g, ...(attribute.graphs ?? [])]) if (body) visitGraph(body);
    }
  };
  const visitGraph = (body: GraphProto) => {
    body.node?.forEach(visitNode);
    body.initializer?.forEach(visitTensor);
    for (const { values, indices } of body.sparseInitializer ?? []) {
      visitTensor(values);
      visitTensor(indices);
    }
  };
  visitGraph(graph);
  for (const { node } of model.functions ?? []) node?.forEach(visitNode);
  return { operators, equations, weightElements, externalFiles: [...externalFiles] };
}
