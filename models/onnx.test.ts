import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { limits } from "../shared/limits.ts";
import { readOnnx } from "./onnx.ts";
import {
  type DimensionProto,
  encodeModel,
  type GraphProto,
  type ModelProto,
  type ValueInfoProto,
} from "./onnx-schema.ts";

const FLOAT = 1;
const value = (name: string, dim: DimensionProto[], elemType = FLOAT): ValueInfoProto => ({
  name,
  type: { tensorType: { elemType, shape: { dim } } },
});
const opsetImport = [{ domain: "", version: 17 }];
const graph: GraphProto = {
  node: [{ name: "n", opType: "Relu" }],
  input: [value("x", [{ dimParam: "N" }, { dimValue: 3 }])],
  output: [value("y", [{ dimParam: "N" }, { dimValue: 3 }])],
};
const read = (changes: GraphProto, model: ModelProto = {}) =>
  readOnnx(encodeModel({ irVersion: 8, opsetImport, graph: { ...graph, ...changes }, ...model }));
const refusal = (changes: GraphProto, model: ModelProto = {}) => {
  const result = read(changes, model);
  return result.ok ? "accepted" : `${result.error.code}: ${result.error.message}`;
};

describe("a graph is described", () => {
  test("inputs and outputs with fixed and named sizes", () => {
    const result = read({});
    expect(result).toMatchObject({
      ok: true,
      value: {
        irVersion: 8,
        opset: 17,
        inputs: [{ name: "x", dtype: "float32", shape: ["N", 3] }],
        outputs: [{ name: "y", dtype: "float32", shape: ["N", 3] }],
        operators: new Set(["Relu"]),
      },
    });
  });

  test("unnamed sizes get names of their own that the graph does not use", () => {
    const result = read({
      input: [value("x", [{}, { dimParam: "d0" }, { dimValue: -1 }])],
      output: [value("y", [{}, { dimValue: 0 }])],
    });
    expect(result).toMatchObject({
      value: { inputs: [{ shape: ["d1", "d0", "d2"] }], outputs: [{ shape: ["d3", 0] }] },
    });
  });

  test("initialisers that old graphs list as inputs are none; weights are counted by type", () => {
    const result = read({
      input: [value("x", []), value("w", [{ dimValue: 6 }])],
      initializer: [{ name: "w", dims: [2, 3], dataType: 10 }],
    });
    expect(result).toMatchObject({ value: { inputs: [{ name: "x", shape: [] }], weightElements: new Map([[10, 6]]) } });
  });

  test("bodies and functions are searched", () => {
    const body: GraphProto = {
      node: [
        { name: "e", opType: "Einsum", attribute: [{ name: "equation", s: new TextEncoder().encode("ij,jk->ik") }] },
      ],
    };
    const result = read(
      { node: [{ opType: "If", attribute: [{ name: "then_branch", g: body }] }] },
      { functions: [{ node: [{ opType: "MatMulNBits", domain: "com.microsoft" }] }] },
    );
    expect(result).toMatchObject({
      value: {
        operators: new Set(["If", "Einsum", "com.microsoft:MatMulNBits"]),
        equations: new Map([["e", "ij,jk->ik"]]),
      },
    });
  });

  test("weights beside the graph are named", () => {
    const initializer = [
      {
        name: "w",
        dims: [1],
        dataType: 1,
        dataLocation: 1,
        externalData: [{ key: "location", value: "model.onnx_data" }],
      },
    ];
    expect(read({ initializer })).toMatchObject({ value: { externalFiles: ["model.onnx_data"] } });
  });
});

describe("what cannot be served is refused with its reason", () => {
  const external = (location: string): GraphProto => ({
    initializer: [{ name: "w", dataType: 1, dataLocation: 1, externalData: [{ key: "location", value: location }] }],
  });
  test.each<[string, GraphProto, ModelProto, string]>([
    ["strings", { input: [value("x", [], 8)] }, {}, "x is of strings"],
    ["bfloat16", { output: [value("y", [], 16)] }, {}, "y is of ONNX data type 16"],
    ["a sequence", { output: [{ name: "y", type: {} }] }, {}, "y is a sequence"],
    ["an input without a type", { input: [{ name: "x" }] }, {}, "input x declares no type"],
    [
      "an input without a shape",
      { input: [{ name: "x", type: { tensorType: { elemType: 1 } } }] },
      {},
      "input x declares no shape",
    ],
    ["no outputs", { output: [] }, {}, "no outputs"],
    ["two outputs of one name", { output: [value("y", []), value("y", [])] }, {}, "same name"],
    ["an input without a name", { input: [value("", [])] }, {}, "has no name"],
    ["too many dimensions", { input: [value("x", Array(9).fill({ dimValue: 1 }))] }, {}, "9 dimensions"],
    ["too many inputs", { input: Array.from({ length: 65 }, (_, i) => value(`x${i}`, [])) }, {}, "65 inputs"],
    ["training", { node: [{ opType: "Gradient", domain: "ai.onnx.preview.training" }] }, {}, "for training"],
    ["no operator set", {}, { opsetImport: [] }, "no operator set"],
    ["weights outside the folder", external("../../etc/passwd"), {}, "plain path"],
    ["weights that leave the folder on the way", external("weights/../../x"), {}, "plain path"],
    ["weights at an absolute path", external("/etc/passwd"), {}, "plain path"],
  ])("%s", (_, changes, model, reason) => {
    expect(refusal(changes, model)).toContain(reason);
    expect(refusal(changes, model)).toMatch(/^invalid-model/);
  });

  test("an output may leave type and shape to the runtime", () => {
    expect(read({ output: [{ name: "y" }] })).toMatchObject({
      value: { outputs: [{ name: "y", dtype: null, shape: null }] },
    });
  });

  test("more bytes than a model may have", () => {
    const bytes = { byteLength: limits.modelBytes + 1 } as Uint8Array;
    expect(readOnnx(bytes)).toMatchObject({ error: { code: "model-too-large" } });
  });

  test("any bytes whatever: an error, never an exception", () => {
    const valid = encodeModel({ opsetImport, graph });
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void readOnnx(bytes)));
    fc.assert(
      fc.property(fc.nat(valid.length - 1), fc.nat(255), (at, byte) => {
        const damaged = valid.slice();
        damaged[at] = byte;
        readOnnx(damaged);
        readOnnx(valid.slice(0, at));
      }),
    );
  });

  test("bodies nested without end", () => {
    const wrap = (field: number, body: Uint8Array) =>
      Uint8Array.from([(field << 3) | 2, (body.length & 0x7f) | 0x80, body.length >> 7, ...body]);
    let body = new Uint8Array();
    for (let depth = 0; depth < 1000; depth++) body = wrap(1, wrap(5, wrap(6, body)));
    expect(readOnnx(wrap(7, body))).toMatchObject({ error: { message: expect.stringContaining("nesting depth") } });
  });
});
