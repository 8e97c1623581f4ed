import { type ErrorCode, failure, type TabgridError } from "./errors.ts";

/** Element types by their ONNX Runtime names; `bytes` per element. Strings are not served. */
export const dtypes = {
  bool: 1,
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  float16: 2,
  uint32: 4,
  int32: 4,
  float32: 4,
  uint64: 8,
  int64: 8,
  float64: 8,
} as const;
export type Dtype = keyof typeof dtypes;
export const dtypeNames = Object.keys(dtypes) as [Dtype, ...Dtype[]];

/** A tensor as it travels: row-major, little-endian bytes. `data.byteLength` = Π shape × bytes per element. */
export interface Tensor {
  name: string;
  dtype: Dtype;
  shape: number[];
  data: Uint8Array;
}

/** Name, type and shape of a graph's input or output; a string is a free dimension, equal strings are equal sizes. */
export interface TensorSpec {
  name: string;
  dtype: Dtype;
  shape: (number | string)[];
}

export const elementCount = (shape: readonly number[]): number => shape.reduce((acc, dim) => acc * dim, 1);
export const byteCount = (tensor: Pick<Tensor, "dtype" | "shape">): number =>
  elementCount(tensor.shape) * dtypes[tensor.dtype];
export const totalBytes = (tensors: readonly Tensor[]): number =>
  tensors.reduce((acc, tensor) => acc + tensor.data.byteLength, 0);

const show = (shape: readonly (number | string)[]): string => `[${shape.join(",")}]`;

/**
 * Checks tensors against specs: every spec present once, nothing else, dtype, rank, fixed dims, free dims consistent
 * over the whole list, byte count. Returns the first fault with its field, or the value that each free dim took.
 */
export function matchSpecs(
  tensors: readonly Tensor[],
  specs: readonly TensorSpec[],
  at: string,
): { ok: true; dims: Map<string, number> } | { ok: false; error: TabgridError } {
  const fault = (code: ErrorCode, field: string, expected: string, got: string) => ({
    ok: false as const,
    error: failure(code, `${field}: expected ${expected}, got ${got}`, { field, expected, got }),
  });
  const known = new Map(specs.map((spec) => [spec.name, spec]));
  const seen = new Set<string>();
  const dims = new Map<string, number>();
  for (const [index, tensor] of tensors.entries()) {
    const field = `${at}[${index}]`;
    const spec = known.get(tensor.name);
    if (!spec) return fault("unknown-tensor", `${field}.name`, `one of ${[...known.keys()].join(", ")}`, tensor.name);
    if (seen.has(tensor.name))
      return fault("unknown-tensor", `${field}.name`, "each tensor once", `${tensor.name} twice`);
    seen.add(tensor.name);
    if (tensor.dtype !== spec.dtype) return fault("wrong-dtype", `${field}.datatype`, spec.dtype, tensor.dtype);
    const fits =
      tensor.shape.length === spec.shape.length &&
      tensor.shape.every((size, axis) => {
        const want = spec.shape[axis] as number | string;
        if (typeof want === "number") return size === want;
        const bound = dims.get(want);
        if (bound === undefined) dims.set(want, size);
        return bound === undefined || bound === size;
      });
    if (!fits) return fault("wrong-shape", `${field}.shape`, show(spec.shape), show(tensor.shape));
    const bytes = byteCount(tensor);
    if (tensor.data.byteLength !== bytes) {
      return fault(
        "wrong-byte-count",
        `${field}.data`,
        `${bytes} bytes for ${show(tensor.shape)}`,
        `${tensor.data.byteLength} bytes`,
      );
    }
  }
  for (const spec of specs) {
    if (!seen.has(spec.name))
      return fault("missing-tensor", at, `a tensor named ${spec.name}`, [...seen].join(", ") || "none");
  }
  return { ok: true, dims };
}

type NumericArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array;

/** A typed view of the bytes (copied only where they are not aligned). float16 is seen as its raw uint16 bits. */
export function viewOf(tensor: Pick<Tensor, "dtype" | "data">): NumericArray {
  const size = dtypes[tensor.dtype];
  // Not `slice`: on Node the bytes may be a Buffer, whose slice is no copy.
  const data = tensor.data.byteOffset % size === 0 ? tensor.data : new Uint8Array(tensor.data);
  const { buffer, byteOffset, byteLength } = data;
  const length = byteLength / size;
  switch (tensor.dtype) {
    case "bool":
    case "uint8":
      return new Uint8Array(buffer, byteOffset, length);
    case "int8":
      return new Int8Array(buffer, byteOffset, length);
    case "uint16":
    case "float16":
      return new Uint16Array(buffer, byteOffset, length);
    case "int16":
      return new Int16Array(buffer, byteOffset, length);
    case "uint32":
      return new Uint32Array(buffer, byteOffset, length);
    case "int32":
      return new Int32Array(buffer, byteOffset, length);
    case "float32":
      return new Float32Array(buffer, byteOffset, length);
    case "float64":
      return new Float64Array(buffer, byteOffset, length);
    case "uint64":
      return new BigUint64Array(buffer, byteOffset, length);
    case "int64":
      return new BigInt64Array(buffer, byteOffset, length);
  }
}

/** IEEE 754 binary16 bits to a number. */
export function fromFloat16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The elements as float64 for comparing; 64-bit integers lose precision beyond 2⁵³, which comparing tolerates. */
export function toNumbers(tensor: Pick<Tensor, "dtype" | "data">): Float64Array {
  const view = viewOf(tensor);
  if (tensor.dtype === "float16") return Float64Array.from(view as Uint16Array, fromFloat16);
  if (view instanceof BigInt64Array || view instanceof BigUint64Array) return Float64Array.from(view, Number);
  return Float64Array.from(view as Float32Array);
}

export function tensorOf(name: string, dtype: Dtype, shape: number[], values: NumericArray): Tensor {
  return { name, dtype, shape, data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) };
}

/** Outputs of two parts, one after the other along the first axis; tensors are matched by name. */
export function concatRows(a: readonly Tensor[], b: readonly Tensor[]): Tensor[] {
  return a.map((tensor) => {
    const more = b.find(({ name }) => name === tensor.name);
    const data = new Uint8Array(tensor.data.byteLength + (more?.data.byteLength ?? 0));
    data.set(tensor.data);
    if (more) data.set(more.data, tensor.data.byteLength);
    const [rows = 0, ...rest] = tensor.shape;
    return { ...tensor, shape: [rows + (more?.shape[0] ?? 0), ...rest], data };
  });
}

const encoder = new TextEncoder();

/**
 * Canonical bytes of a list of tensors, the preimage of every commitment (docs/protocol.md, "Commitments").
 * Per tensor: u32 length and UTF-8 of the name, the same of the dtype, u32 rank, u64 per dim, u64 byte count, data;
 * all little-endian. Yields pieces so that a hasher needs no copy.
 */
export function* canonicalBytes(tensors: readonly Tensor[]): Generator<Uint8Array> {
  for (const tensor of tensors) {
    const name = encoder.encode(tensor.name);
    const dtype = encoder.encode(tensor.dtype);
    const head = new Uint8Array(4 + name.length + 4 + dtype.length + 4 + tensor.shape.length * 8 + 8);
    const view = new DataView(head.buffer);
    let at = 0;
    for (const text of [name, dtype]) {
      view.setUint32(at, text.length, true);
      head.set(text, at + 4);
      at += 4 + text.length;
    }
    view.setUint32(at, tensor.shape.length, true);
    at += 4;
    for (const dim of tensor.shape) {
      view.setBigUint64(at, BigInt(dim), true);
      at += 8;
    }
    view.setBigUint64(at, BigInt(tensor.data.byteLength), true);
    yield head;
    yield tensor.data;
  }
}
