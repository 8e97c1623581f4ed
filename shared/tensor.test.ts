import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  canonicalBytes,
  fromFloat16,
  matchSpecs,
  type Tensor,
  type TensorSpec,
  tensorOf,
  toNumbers,
  viewOf,
} from "./tensor.ts";

const specs: TensorSpec[] = [
  { name: "image", dtype: "float32", shape: ["N", 1, 2, 2] },
  { name: "mask", dtype: "int64", shape: ["N"] },
];
const image = (n: number): Tensor => tensorOf("image", "float32", [n, 1, 2, 2], new Float32Array(n * 4));
const mask = (n: number): Tensor => tensorOf("mask", "int64", [n], new BigInt64Array(n));
const fault = (tensors: Tensor[]) => {
  const matched = matchSpecs(tensors, specs, "inputs");
  return matched.ok ? null : [matched.error.code, matched.error.field];
};

describe("matchSpecs", () => {
  it("binds free dimensions", () => {
    const matched = matchSpecs([mask(3), image(3)], specs, "inputs");
    expect(matched.ok && matched.dims.get("N")).toBe(3);
  });

  it("names the field of every kind of fault", () => {
    expect(fault([image(1)])).toEqual(["missing-tensor", "inputs"]);
    expect(fault([image(1), mask(1), mask(1)])).toEqual(["unknown-tensor", "inputs[2].name"]);
    expect(fault([{ ...image(1), name: "img" }, mask(1)])).toEqual(["unknown-tensor", "inputs[0].name"]);
    expect(fault([{ ...image(1), dtype: "float64" }, mask(1)])).toEqual(["wrong-dtype", "inputs[0].datatype"]);
    expect(fault([{ ...image(1), shape: [1, 1, 4, 1] }, mask(1)])).toEqual(["wrong-shape", "inputs[0].shape"]);
    expect(fault([image(2), mask(3)])).toEqual(["wrong-shape", "inputs[1].shape"]);
    expect(fault([{ ...image(1), data: new Uint8Array(15) }, mask(1)])).toEqual(["wrong-byte-count", "inputs[0].data"]);
  });
});

describe("canonicalBytes", () => {
  const digest = (tensors: Tensor[]) => {
    const hash = createHash("sha256");
    for (const piece of canonicalBytes(tensors)) hash.update(piece);
    return hash.digest("hex");
  };

  it("has a fixed form, which docs/protocol.md shows", () => {
    const tensor = tensorOf("y", "float32", [2], Float32Array.of(1, -2));
    const bytes = Buffer.concat([...canonicalBytes([tensor])]).toString("hex");
    expect(bytes).toBe(
      "0100000079" +
        "07000000666c6f61743332" +
        "01000000" +
        "0200000000000000" +
        "0800000000000000" +
        "0000803f000000c0",
    );
  });

  it("differs whenever name, dtype, shape, order or data differ", () => {
    const a = tensorOf("a", "float32", [2, 1], Float32Array.of(1, 2));
    const others = [
      { ...a, name: "b" },
      { ...a, dtype: "int32" as const },
      { ...a, shape: [1, 2] },
      { ...a, data: a.data.map((b) => b ^ 1) },
    ];
    const all = [[a], ...others.map((one) => [one]), [a, a], [a, others[0] as Tensor], [others[0] as Tensor, a]].map(
      digest,
    );
    expect(new Set(all).size).toBe(all.length);
  });
});

describe("views", () => {
  it("reads unaligned data and half floats", () => {
    const data = new Uint8Array(9);
    new DataView(data.buffer).setFloat32(1, 1.5, true);
    new DataView(data.buffer).setFloat32(5, -2.25, true);
    expect([...toNumbers({ dtype: "float32", data: data.subarray(1) })]).toEqual([1.5, -2.25]);
    const buffer = Buffer.from(data);
    expect([...toNumbers({ dtype: "float32", data: buffer.subarray(1) })]).toEqual([1.5, -2.25]);
    expect([0x3c00, 0xc000, 0x7c00, 0x0001, 0x0000].map(fromFloat16)).toEqual([
      1,
      -2,
      Number.POSITIVE_INFINITY,
      2 ** -24,
      0,
    ]);
    expect(fromFloat16(0x7e00)).toBeNaN();
  });

  it("round-trips 64-bit integers", () => {
    fc.assert(
      fc.property(fc.array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })), (values) => {
        const tensor = tensorOf("x", "int64", [values.length], BigInt64Array.from(values));
        expect([...(viewOf(tensor) as BigInt64Array)]).toEqual(values);
      }),
    );
  });
});
