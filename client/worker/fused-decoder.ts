import type { DecoderGraph } from "./decoder-graph.ts";
import {
  type EditableModel,
  type EditableNode,
  editModel,
  floatAttribute,
  integerAttribute,
  integerOfAttribute,
} from "./onnx-edit.ts";

/**
 * The same decoder for one new token a row, with the attention of each layer as one operator (GroupQueryAttention) and each
 * RMS norm as another: an export spells them out in some sixty operators a layer, most of which compute shapes, and for a
 * small model starting them is most of the work. Recognised by what they do between the projections, not by names. Null
 * where a graph is not of that shape; where it is, the start-up check must still find the results equal on the device.
 */
export function fuseDecoder(bytes: Uint8Array, { cache, mask, positions }: DecoderGraph): Uint8Array | null {
  const model = editModel(bytes);
  if (!mask || !positions || mask.dtype !== "int64" || model.opset < REDUCE_INPUT) return null;
  if (cache.some(({ shape, rowAxis, tokenAxis }) => shape.length !== 4 || rowAxis !== 0 || tokenAxis !== 2))
    return null;
  const layers: Layer[] = [];
  for (let at = 0; at < cache.length; at += 2) {
    const [key, value] = [cache[at], cache[at + 1]];
    if (!key?.input.endsWith(".key") || !value?.input.endsWith(".value")) return null;
    const layer = findLayer(model, key.output, value.output, positions.name);
    if (!layer) return null;
    layers.push({
      ...layer,
      past: [key.input, value.input],
      heads: key.shape[1] as number,
      width: key.shape[3] as number,
    });
  }
  if (!addTables(model, layers)) return null;
  addLengths(model, mask.name);
  for (const layer of layers) if (!fuseAttention(model, layer)) return null;
  fuseNorms(model);
  prune(model);
  model.importDomain("com.microsoft");
  return model.bytes();
}

interface Found {
  query: EditableNode;
  key: EditableNode;
  value: EditableNode;
  /** Takes the attention's result. */
  output: EditableNode;
  present: [string, string];
  /** Tables [positions, width] that the keys are rotated by. */
  tables: string[];
}
interface Layer extends Found {
  past: [string, string];
  heads: number;
  width: number;
}

/** From here on the axes of ReduceSum are an input. */
const REDUCE_INPUT = 13;

const made = (
  opType: string,
  input: string[],
  output: string[],
  attributes: Uint8Array[] = [],
  domain = "",
): EditableNode => ({
  opType,
  domain,
  name: output[0] as string,
  input,
  output,
  attributes,
});

const makerOf = (model: EditableModel, name: string): EditableNode | undefined =>
  model.nodes.find(({ output }) => output.includes(name));

/** A product with weights: what a layer is made of between its attention, norms and activations. */
function isProjection(model: EditableModel, node: EditableNode): boolean {
  if (node.opType === "MatMulNBits") return true;
  if (node.opType !== "MatMul") return false;
  const weight = node.input[1] as string;
  return model.constant(weight) !== null || makerOf(model, weight)?.opType === "DequantizeLinear";
}

/** Projections and names that these values come from, looking no further than projections, shapes and `stop`. */
function sources(model: EditableModel, from: readonly string[], stop: readonly string[] = []) {
  const projections = new Set<EditableNode>();
  const seen = new Set<string>();
  const nodes: EditableNode[] = [];
  const open = [...from];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (seen.has(name)) continue;
    seen.add(name);
    const node = makerOf(model, name);
    if (!node || stop.includes(name) || node.opType === "Shape") continue;
    if (isProjection(model, node)) projections.add(node);
    else {
      nodes.push(node);
      open.push(...node.input);
    }
  }
  return { projections: [...projections], seen, nodes };
}

function findLayer(model: EditableModel, key: string, value: string, positions: string): Found | null {
  const [keys, values] = [key, value].map((name) => sources(model, [makerOf(model, name)?.input[1] ?? ""]));
  if (!keys || !values || [keys, values].some(({ projections }) => projections.length !== 1)) return null;
  const [keyProjection, valueProjection] = [keys.projections[0], values.projections[0]] as [EditableNode, EditableNode];
  const tables = keys.nodes
    .filter(({ opType, input }) => opType === "Gather" && input[1] === positions)
    .map(({ input }) => input[0] as string);
  for (const output of model.nodes) {
    if (!isProjection(model, output)) continue;
    const { projections, seen } = sources(model, [output.input[0] as string], [key, value]);
    if (!seen.has(key) || !seen.has(value)) continue;
    const [query] = projections;
    const hidden = keyProjection.input[0];
    if (!query || projections.length !== 1 || query.input[0] !== hidden || valueProjection.input[0] !== hidden)
      return null;
    return { query, key: keyProjection, value: valueProjection, output, present: [key, value], tables };
  }
  return null;
}

/** Cosine and sine of the rotation, which the export has twice over and GroupQueryAttention once. */
function addTables(model: EditableModel, layers: readonly Layer[]): boolean {
  const [names] = layers.map(({ tables }) => tables);
  if (names?.length !== 2 || layers.some(({ tables }) => String(tables) !== String(names))) return false;
  const width = layers[0]?.width as number;
  for (const name of names) {
    const table = model.constant(name);
    const values = table?.floats();
    if (!table || !values || table.shape.length !== 2 || table.shape[1] !== width) return false;
    const rows = table.shape[0] as number;
    const half = new Float32Array((rows * width) / 2);
    for (let row = 0; row < rows; row++)
      half.set(values.subarray(row * width, row * width + width / 2), (row * width) / 2);
    // The first position is not rotated.
    const kind = values[0] === 1 ? "cosine" : "sine";
    model.addFloats(`tabgrid_${kind}`, [rows, width / 2], half);
  }
  return true;
}

/** How many tokens each row has, and all columns. */
function addLengths(model: EditableModel, mask: string): void {
  const INT32 = 6;
  model.addIntegers("tabgrid_one", [1n]);
  model.nodes.push(
    made("ReduceSum", [mask, "tabgrid_one"], ["tabgrid_counts"], [integerAttribute("keepdims", 0)]),
    made("Sub", ["tabgrid_counts", "tabgrid_one"], ["tabgrid_before"]),
    made("Cast", ["tabgrid_before"], ["tabgrid_lengths"], [integerAttribute("to", INT32)]),
    made("Shape", [mask], ["tabgrid_mask_shape"]),
    made("Gather", ["tabgrid_mask_shape", "tabgrid_one"], ["tabgrid_width"], [integerAttribute("axis", 0)]),
    made("Cast", ["tabgrid_width"], ["tabgrid_total"], [integerAttribute("to", INT32)]),
  );
}

function fuseAttention(model: EditableModel, layer: Layer): boolean {
  const { query, key, value, output, past, present, heads, width } = layer;
  const inner = innerSize(model, output);
  if (!inner || inner % width !== 0) return false;
  const result = `tabgrid_attention_${present[0]}`;
  const node = made(
    "GroupQueryAttention",
    [
      ...[query, key, value].map((one) => one.output[0] as string),
      ...past,
      "tabgrid_lengths",
      "tabgrid_total",
      "tabgrid_cosine",
      "tabgrid_sine",
    ],
    [result, ...present],
    [
      integerAttribute("num_heads", inner / width),
      integerAttribute("kv_num_heads", heads),
      integerAttribute("do_rotary", 1),
    ],
    "com.microsoft",
  );
  for (const name of present) model.nodes.splice(model.nodes.indexOf(makerOf(model, name) as EditableNode), 1);
  model.nodes.push(node);
  output.input[0] = result;
  return true;
}

/** Elements that a projection takes in. */
function innerSize(model: EditableModel, node: EditableNode): number | null {
  if (node.opType === "MatMulNBits") return integerOfAttribute(node, "K");
  const weight = node.input[1] as string;
  const stored = makerOf(model, weight)?.opType === "DequantizeLinear" ? makerOf(model, weight)?.input[0] : weight;
  return model.constant(stored as string)?.shape[0] ?? null;
}

/** weight · (x · (1 / √(mean(x · x) + ε))) */
function fuseNorms(model: EditableModel): void {
  const maker = (name: string | undefined, opType: string) => {
    const node = name === undefined ? undefined : makerOf(model, name);
    return node?.opType === opType ? node : undefined;
  };
  for (const node of [...model.nodes]) {
    if (node.opType !== "Mul") continue;
    const weight = node.input.find((name) => model.constant(name)?.shape.length === 1);
    const scaled = maker(
      node.input.find((name) => name !== weight),
      "Mul",
    );
    const inverse = scaled?.input.map((name) => maker(name, "Div")).find((one) => one !== undefined);
    const sum = maker(maker(inverse?.input[1], "Sqrt")?.input[0], "Add");
    const epsilon = sum?.input.map((name) => model.constant(name)?.floats()?.[0]).find((one) => one !== undefined);
    const mean = sum?.input.map((name) => maker(name, "ReduceMean")).find((one) => one !== undefined);
    const square = maker(mean?.input[0], "Mul");
    const x = scaled?.input.find((name) => name !== inverse?.output[0]);
    const one = model.constant(inverse?.input[0] ?? "")?.floats()?.[0];
    if (!weight || epsilon === undefined || !x || one !== 1 || square?.input.some((name) => name !== x) !== false)
      continue;
    Object.assign(node, {
      opType: "SimplifiedLayerNormalization",
      input: [x, weight],
      attributes: [integerAttribute("axis", -1), floatAttribute("epsilon", epsilon), integerAttribute("stash_type", 1)],
    });
  }
}

/** Drops what no output needs any more. */
function prune(model: EditableModel): void {
  const needed = new Set<EditableNode>();
  const open = model.outputs.map(({ name }) => name);
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const node = makerOf(model, name);
    if (!node || needed.has(node)) continue;
    needed.add(node);
    open.push(...node.input);
  }
  const kept = model.nodes.filter((node) => needed.has(node));
  model.nodes.splice(0, model.nodes.length, ...kept);
}
