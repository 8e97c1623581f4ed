import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { datatypes, dtypeOf } from "../../shared/api.ts";
import { type Dtype, dtypeNames, dtypes, elementCount, viewOf } from "../../shared/tensor.ts";
import { elementsText, elementsToBytes } from "./json-tensors.ts";
import { parseJson } from "./json-text.ts";

const inJson = dtypeNames.filter((dtype) => dtype !== "float16");
const shapes = fc.array(fc.nat(4), { maxLength: 4 });

/** Any bytes that are elements of the type: bools 0 or 1, floats finite. */
const bytesOf = (dtype: Dtype, shape: number[]): fc.Arbitrary<Uint8Array> => {
  const bytes = elementCount(shape) * dtypes[dtype];
  return fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((data) => {
    const view = viewOf({ dtype, data });
    if (dtype === "bool")
      view.forEach((byte, at) => {
        view[at] = Number(byte) & 1;
      });
    if (dtype.startsWith("float"))
      view.forEach((value, at) => {
        if (!Number.isFinite(value)) view[at] = -0;
      });
    return data;
  });
};
const tensors = fc
  .tuple(fc.constantFrom(...inJson), shapes)
  .chain(([dtype, shape]) =>
    fc.record({ dtype: fc.constant(dtype), shape: fc.constant(shape), data: bytesOf(dtype, shape) }),
  );

/** The flat elements as nested arrays of the shape. */
function nest(flat: unknown[], shape: readonly number[]): unknown {
  const [size, ...inner] = shape;
  if (size === undefined) return flat[0];
  const stride = elementCount(inner);
  return Array.from({ length: size }, (_, at) => nest(flat.slice(at * stride, (at + 1) * stride), inner));
}

describe("elements as JSON", () => {
  it("come back bit for bit, flat and nested; 64-bit integers as strings", () => {
    fc.assert(
      fc.property(tensors, ({ dtype, shape, data }) => {
        const view = viewOf({ dtype, data });
        const text = elementsText({ dtype, data });
        const is64 = view instanceof BigInt64Array || view instanceof BigUint64Array;
        const flat: unknown[] = is64 ? Array.from(view as BigInt64Array, String) : JSON.parse(text);
        const ways = shape.length > 0 && elementCount(shape) > 0 ? [flat, nest(flat, shape)] : [flat];
        for (const elements of ways) {
          const read = elementsToBytes({ dtype, shape }, elements, "data");
          expect(read.ok && Buffer.from(read.value).toString("hex")).toBe(Buffer.from(data).toString("hex"));
        }
        if (is64) expect(text).toBe(`[${flat.join(",")}]`);
      }),
      { numRuns: 500 },
    );
  });

  it("never throw, whatever is sent", () => {
    fc.assert(
      fc.property(fc.constantFrom(...dtypeNames), shapes, fc.jsonValue(), (dtype, shape, elements) => {
        const read = elementsToBytes({ dtype, shape }, elements, "data");
        if (!read.ok) expect(read.error.field).toMatch(/^data/);
        else expect(read.value.byteLength).toBe(elementCount(shape) * dtypes[dtype]);
      }),
    );
  });

  it("say what is not finite in words, as JSON has no number for it", () => {
    const values = new Float32Array([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0]);
    expect(elementsText({ dtype: "float32", data: new Uint8Array(values.buffer) })).toBe(
      '["NaN","Infinity","-Infinity",-0]',
    );
  });

  it("take the edges of every integer type and nothing beyond", () => {
    const edges: Partial<Record<Dtype, [bigint, bigint]>> = {
      int8: [-128n, 127n],
      uint16: [0n, 65535n],
      uint64: [0n, 2n ** 64n - 1n],
    };
    for (const [dtype, [low, high]] of Object.entries(edges) as [Dtype, [bigint, bigint]][]) {
      const element = (value: bigint) => (dtypes[dtype] === 8 ? String(value) : Number(value));
      const read = (value: bigint) => elementsToBytes({ dtype, shape: [1] }, [element(value)], "data");
      expect([low, high, low - 1n, high + 1n].map((value) => read(value).ok)).toEqual([true, true, false, false]);
    }
  });

  it("has a datatype for every element type, both ways", () => {
    for (const dtype of dtypeNames) expect(dtypeOf[datatypes[dtype]]).toBe(dtype);
  });
});

describe("parseJson", () => {
  it.each([
    ["[1,NaN]", 3],
    ["[1,}", 3],
    ['{"a" 1}', 5],
    ['{"a":1', 6],
    ["", 0],
    ["[1,2]x", 5],
    ["[01]", 2],
    ["{a:1}", 1],
    ['["ab', 4],
    ["[tru]", 4],
    [`[${"1,".repeat(500)}Infinity,${"1,".repeat(500)}1]`, 1001],
  ])("%s stops at %i", (text, position) => {
    const parsed = parseJson(Buffer.from(text));
    expect(!parsed.ok && parsed.error.message).toContain(`position ${position} (line 1`);
    expect(!parsed.ok && parsed.error.code).toBe("malformed-json");
  });

  it("finds a place in every text that is not JSON, past which it never was", () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(), fc.constantFrom("x", "}", ",", '"', "N", "\u0001"), (json, seed, junk) => {
        const at = seed % (json.length + 1);
        const text = json.slice(0, at) + junk + json.slice(at);
        const parsed = parseJson(Buffer.from(text));
        if (parsed.ok) return;
        expect(parsed.error.message).toMatch(/position \d+|UTF-8/);
      }),
    );
  });
});
