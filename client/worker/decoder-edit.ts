import { KEEP_INPUT, SUMS_OUTPUT } from "./decoder-graph.ts";
import { type EditableModel, type EditableNode, editModel, integerAttribute } from "./onnx-edit.ts";

const FLOAT = 1;
const INT64 = 7;
/** What may stand before the logits with hidden states [rows, columns, width] as its first input. */
const projections = new Set(["MatMul", "MatMulNBits", "FusedMatMul"]);
/** The first operator sets with starts and ends of Slice as inputs, and the last with axes of reductions as attributes. */
const SLICE_INPUTS = 10;
const REDUCE_ATTRIBUTES = 17;

/**
 * The same decoder with two things more: an input that says of how many last positions the logits are wanted, so that a long
 * prompt is not multiplied with the whole vocabulary at each token; and log Σ exp of the logits, whose exponentials cost
 * JavaScript more than the rest of sampling. Null where the graph is not of a shape in which this is known to hold.
 */
export function withChosenLogits(bytes: Uint8Array, logits: string): Uint8Array | null {
  const model = editModel(bytes);
  const output = model.outputs.find(({ name }) => name === logits);
  if (model.opset < SLICE_INPUTS || output?.elementType !== FLOAT) return null;
  const projection = model.nodes.find(({ output: [first] }) => first === logits);
  if (!projection || !projections.has(projection.opType)) return null;
  keepLast(model, projection);
  // Otherwise ONNX Runtime plans its memory for as many positions as go in.
  model.redeclare(logits, ["tabgrid_rows", "tabgrid_kept", "tabgrid_vocabulary"]);
  sumUp(model, logits);
  return model.bytes();
}

const node = (opType: string, input: string[], output: string, attributes: Uint8Array[] = []): EditableNode => ({
  opType,
  domain: "",
  name: output,
  input,
  output: [output],
  attributes,
});

function keepLast(model: EditableModel, projection: EditableNode): void {
  model.addInput(KEEP_INPUT, INT64, [1]);
  model.addIntegers("tabgrid_end", [2n ** 63n - 1n]);
  model.addIntegers("tabgrid_columns", [1n]);
  const [hidden = ""] = projection.input;
  model.nodes.splice(
    model.nodes.indexOf(projection),
    0,
    node("Neg", [KEEP_INPUT], "tabgrid_start"),
    node("Slice", [hidden, "tabgrid_start", "tabgrid_end", "tabgrid_columns"], "tabgrid_hidden"),
  );
  projection.input[0] = "tabgrid_hidden";
}

/** With the highest logit taken out, as not every kernel of ReduceLogSumExp does itself. */
function sumUp(model: EditableModel, logits: string): void {
  if (model.opset > REDUCE_ATTRIBUTES) return;
  const along = (keepdims: number) => [integerAttribute("axes", [-1]), integerAttribute("keepdims", keepdims)];
  model.nodes.push(
    node("ReduceMax", [logits], "tabgrid_highest", along(1)),
    node("Sub", [logits, "tabgrid_highest"], "tabgrid_below"),
    node("ReduceLogSumExp", ["tabgrid_below"], "tabgrid_rest", along(1)),
    node("Add", ["tabgrid_highest", "tabgrid_rest"], SUMS_OUTPUT),
  );
  model.addOutput(SUMS_OUTPUT, FLOAT, ["tabgrid_rows", "tabgrid_kept", 1]);
}
