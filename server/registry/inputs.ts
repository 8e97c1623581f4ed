import type { InputSpec } from "../../models/manifest.ts";
import { nextInt, type Rng, seededRng } from "../../shared/random.ts";
import { dtypes, elementCount, type Tensor, viewOf } from "../../shared/tensor.ts";

/**
 * Inputs for a model of which nothing is known but its graph: the same seed gives the same bytes. Floats are even in
 * [−1, 1) or in the input's range. Integers are mostly indices, lengths or masks, so they are tried small, then all ones,
 * then all zeros, until the model accepts them.
 */
export const integerStyles = ["small", "ones", "zeros"] as const;
export type IntegerStyle = (typeof integerStyles)[number];

const SMALL = 8;

export function generateInputs(
  specs: readonly InputSpec[],
  dims: ReadonlyMap<string, number>,
  seed: number,
  style: IntegerStyle,
): Tensor[] {
  const rng = seededRng(seed);
  return specs.map((spec) => {
    const shape = spec.shape.map((size) => (typeof size === "number" ? size : (dims.get(size) ?? 1)));
    const tensor = {
      name: spec.name,
      dtype: spec.dtype,
      shape,
      data: new Uint8Array(elementCount(shape) * dtypes[spec.dtype]),
    };
    fill(tensor, spec.range, rng, style);
    return tensor;
  });
}

function fill(tensor: Tensor, range: InputSpec["range"], rng: Rng, style: IntegerStyle): void {
  const values = viewOf(tensor);
  const [low, high] = range ?? [-1, 1];
  const real = () => low + rng.next() * (high - low);
  const whole = (): number => {
    if (range) return Math.ceil(low) + nextInt(rng, Math.floor(high) - Math.ceil(low) + 1);
    if (style === "small") return nextInt(rng, tensor.dtype === "bool" ? 2 : SMALL);
    return style === "ones" ? 1 : 0;
  };
  if (values instanceof BigInt64Array || values instanceof BigUint64Array) {
    for (let i = 0; i < values.length; i++) values[i] = BigInt(whole());
  } else if (tensor.dtype === "float16") {
    const halves = new Float16Array(values.buffer, values.byteOffset, values.length);
    for (let i = 0; i < halves.length; i++) halves[i] = real();
  } else {
    const next = tensor.dtype.startsWith("float") ? real : whole;
    for (let i = 0; i < values.length; i++) values[i] = next();
  }
}

/** The rows of all parts, one after another along axis 0; parts have equal names, dtypes and further sizes. */
export function stackRows(parts: readonly (readonly Tensor[])[]): Tensor[] {
  return (parts[0] ?? []).map((first, at) => {
    const tensors = parts.map((part) => part[at] as Tensor);
    const rows = tensors.reduce((sum, { shape }) => sum + (shape[0] as number), 0);
    const data = new Uint8Array(tensors.reduce((sum, tensor) => sum + tensor.data.byteLength, 0));
    let offset = 0;
    for (const tensor of tensors) {
      data.set(tensor.data, offset);
      offset += tensor.data.byteLength;
    }
    return { ...first, shape: [rows, ...first.shape.slice(1)], data };
  });
}

/** One row of each tensor, as a batch of one. */
export function rowOf(tensors: readonly Tensor[], row: number): Tensor[] {
  return tensors.map((tensor) => {
    const bytes = tensor.data.byteLength / (tensor.shape[0] as number);
    return {
      ...tensor,
      shape: [1, ...tensor.shape.slice(1)],
      data: tensor.data.slice(row * bytes, (row + 1) * bytes),
    };
  });
}

/** A batch of one row, over and over. */
export const repeated = (row: Tensor[], count: number): Tensor[] =>
  count === 1 ? row : stackRows(Array.from({ length: count }, () => row));
