import { datatypes } from "../../shared/api.ts";
import type { TabgridError } from "../../shared/errors.ts";
import { ok, type Result } from "../../shared/result.ts";
import { type Dtype, dtypes, elementCount, type Tensor, viewOf } from "../../shared/tensor.ts";
import { fault } from "./error-reply.ts";
import { describe } from "./validation.ts";

/**
 * Tensor elements as JSON of the Open Inference Protocol: row-major, flat or nested. What JSON cannot say is never
 * rounded: 64-bit integers beyond 2⁵³ come as strings of digits (and leave as exact JSON numbers), floats that are not
 * finite leave as "NaN", "Infinity", "-Infinity", and float16 travels in binary only.
 */

const integerRanges: Partial<Record<Dtype, readonly [bigint, bigint]>> = {
  uint8: [0n, 2n ** 8n - 1n],
  int8: [-(2n ** 7n), 2n ** 7n - 1n],
  uint16: [0n, 2n ** 16n - 1n],
  int16: [-(2n ** 15n), 2n ** 15n - 1n],
  uint32: [0n, 2n ** 32n - 1n],
  int32: [-(2n ** 31n), 2n ** 31n - 1n],
  uint64: [0n, 2n ** 64n - 1n],
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
};

/** Nothing is allocated by `shape` before as many elements are there. */
export function elementsToBytes(
  { dtype, shape }: Pick<Tensor, "dtype" | "shape">,
  elements: unknown,
  field: string,
): Result<Uint8Array, TabgridError> {
  if (dtype === "float16") {
    return fault("wrong-dtype", field, "FP16 in binary, with parameters.binary_data_size", "JSON");
  }
  if (!Array.isArray(elements)) return fault("invalid-request", field, "an array", describe(elements));
  const count = elementCount(shape);
  const flat = Array.isArray(elements[0]) ? flatten(elements, shape, field) : ok(elements);
  if (!flat.ok) return flat;
  if (flat.value.length !== count) {
    return fault("wrong-byte-count", field, `${count} elements for [${shape.join(",")}]`, `${flat.value.length}`);
  }
  const data = new Uint8Array(count * dtypes[dtype]);
  const view = viewOf({ dtype, data });
  const badAt = fill(dtype, view, flat.value);
  if (badAt < 0) return ok(data);
  const bad = flat.value[badAt];
  const code = typeof bad === "number" ? "value-out-of-range" : "wrong-dtype";
  return fault(code, `${field}[${badAt}]`, expectedOf(dtype), describe(bad));
}

/** Nested arrays that have exactly the shape, row by row. */
function flatten(nested: unknown[], shape: readonly number[], field: string): Result<unknown[], TabgridError> {
  const flat: unknown[] = [];
  const wrong = (at: string, depth: number, got: unknown) => {
    const size = shape[depth];
    const expected = size === undefined ? `an element (${shape.length} dimensions)` : `an array of ${size}`;
    return fault("wrong-shape", at, expected, describe(got));
  };
  const visit = (value: unknown, depth: number, at: string): ReturnType<typeof wrong> | null => {
    if (depth === shape.length) {
      if (Array.isArray(value)) return wrong(at, depth, value);
      flat.push(value);
      return null;
    }
    if (!Array.isArray(value) || value.length !== shape[depth]) return wrong(at, depth, value);
    for (let index = 0; index < value.length; index++) {
      const problem = visit(value[index], depth + 1, `${at}[${index}]`);
      if (problem) return problem;
    }
    return null;
  };
  return visit(nested, 0, field) ?? ok(flat);
}

/** Index of the first element that the type cannot hold, -1 where all were written. */
function fill(dtype: Dtype, view: ReturnType<typeof viewOf>, elements: readonly unknown[]): number {
  if (dtype === "bool") {
    return elements.findIndex((element, index) => {
      view[index] = element === true ? 1 : 0;
      return typeof element !== "boolean";
    });
  }
  if (view instanceof BigInt64Array || view instanceof BigUint64Array) {
    const range = integerRanges[dtype] as readonly [bigint, bigint];
    return elements.findIndex((element, index) => {
      const exact = Number.isSafeInteger(element) || (typeof element === "string" && /^-?\d{1,20}$/.test(element));
      if (!exact) return true;
      const value = BigInt(element as number | string);
      view[index] = value;
      return value < range[0] || value > range[1];
    });
  }
  const range = integerRanges[dtype];
  const [low, high] = range ? range.map(Number) : [];
  return elements.findIndex((element, index) => {
    if (typeof element !== "number") return true;
    view[index] = element;
    if (low === undefined || high === undefined) return !Number.isFinite(view[index]);
    return !Number.isInteger(element) || element < low || element > high;
  });
}

function expectedOf(dtype: Dtype): string {
  const range = integerRanges[dtype];
  if (dtype === "bool") return "true or false";
  if (!range) return `a finite number that ${datatypes[dtype]} can hold`;
  const exact = dtypes[dtype] === 8 ? "; beyond 2^53 a string of digits" : "";
  return `an integer from ${range[0]} to ${range[1]}${exact}`;
}

/** JSON text of a tensor's elements, flat. Not for float16. */
export function elementsText(tensor: Pick<Tensor, "dtype" | "data">): string {
  const view = viewOf(tensor);
  if (tensor.dtype === "bool") return `[${Array.from(view as Uint8Array, (bit) => bit !== 0).join(",")}]`;
  if (tensor.dtype !== "float32" && tensor.dtype !== "float64") return `[${view.join(",")}]`;
  return `[${Array.from(view as Float32Array, floatText).join(",")}]`;
}

function floatText(value: number): string {
  if (!Number.isFinite(value)) return `"${value}"`;
  return Object.is(value, -0) ? "-0" : String(value);
}
