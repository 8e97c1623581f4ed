import { appendFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Manifest } from "../../models/manifest.ts";
import { type DimensionProto, encodeModel } from "../../models/onnx-schema.ts";
import { modelKey } from "../../shared/ids.ts";
import { seededRng } from "../../shared/random.ts";
import { type Dtype, type Tensor, tensorOf } from "../../shared/tensor.ts";
import { compareResults } from "../../shared/tolerance.ts";
import type { RegisterRequest } from "../gateway/gateway.ts";
import { createReferenceNode, type ReferenceNode } from "../reference/node.ts";
import { createRegistry, type Registry } from "./registry.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const data = join(root, "../shared/data");
const digits = readFileSync(join(root, "models/digits/model.onnx"));

let reference: ReferenceNode;
let dataDir: string;
let registry: Registry;
const open = () => createRegistry({ dataDir, builtInDir: join(dataDir, "none"), reference });

beforeAll(() => {
  reference = createReferenceNode();
});
beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), "tabgrid-registry-"));
  registry = open();
  await registry.load();
  return () => rmSync(dataDir, { recursive: true });
});
afterAll(() => reference.close());

const request = (graph: Uint8Array, changes: Partial<RegisterRequest> = {}): RegisterRequest => ({
  id: "a-model",
  version: "1",
  title: "A model",
  description: "",
  licence: "MIT",
  creator: "somebody",
  royaltyBasisPoints: 2000,
  graph,
  files: [],
  dimensions: {},
  comparator: null,
  ...changes,
});
async function register(graph: Uint8Array, changes: Partial<RegisterRequest> = {}) {
  const result = await registry.register(request(graph, changes));
  if (!result.ok) throw new Error(result.error.message);
  return result.value;
}
const images = (rows: number): Tensor[] => {
  const rng = seededRng(1);
  return [
    tensorOf(
      "image",
      "float32",
      [rows, 1, 28, 28],
      Float32Array.from({ length: rows * 784 }, () => rng.next()),
    ),
  ];
};

describe("a registered model", () => {
  test("is measured, stored, and there again after a restart", { timeout: 60_000 }, async () => {
    const { manifest, golden } = await register(digits, { ranges: { image: [0, 1] } });
    expect(manifest).toMatchObject({
      dtype: "fp32",
      inputs: [{ name: "image", dtype: "float32", shape: ["batch_size", 1, 28, 28], range: [0, 1] }],
      outputs: [{ name: "logits", dtype: "float32", shape: ["batch_size", 10] }],
      batch: { limit: 64, dimension: "batch_size", rowsIndependent: true },
      work: { kind: "affine" },
      comparator: { kind: "dense", relL2Pass: 1e-4 },
      files: [{ path: "model.onnx", role: "graph", bytes: digits.byteLength }],
    });
    expect(golden).toHaveLength(8);
    const work = await registry.workOf(modelKey("a-model", "1"), images(5));
    const { base, perRow } = manifest.work as Extract<Manifest["work"], { kind: "affine" }>;
    expect(work).toEqual({ ok: true, value: BigInt(base + 5 * perRow) });
    expect(registry.file("a-model", "1", "model.onnx")).toMatchObject({ bytes: digits.byteLength });
    expect(registry.file("a-model", "1", "golden.json")).toBeNull();
    expect(registry.file("a-model", "2", "model.onnx")).toBeNull();

    expect(await registry.register(request(digits))).toMatchObject({
      error: { code: "model-exists", field: "version" },
    });
    const [again] = await open().load();
    expect(again).toEqual(registry.get(modelKey("a-model", "1")));

    appendFileSync(join(dataDir, "models/a-model/1/model.onnx"), "x");
    await expect(open().load()).rejects.toThrow(/model\.onnx has \d+ bytes, its manifest says \d+/);
  });

  test("can be registered only once, also when two ask at the same time", { timeout: 60_000 }, async () => {
    const results = await Promise.all([registry.register(request(digits)), registry.register(request(digits))]);
    expect(results.map(({ ok }) => ok)).toEqual([true, false]);
  });
});

/** A field of bytes in protobuf's wire format, its length in two bytes. */
function field(number: number, body: Uint8Array | string): Uint8Array {
  const bytes = Buffer.from(body);
  return Buffer.from([(number << 3) | 2, (bytes.length & 0x7f) | 0x80, bytes.length >> 7, ...bytes]);
}

/** A graph of one node without attributes, written by hand where the schema of models/ has no fields for it. */
function oneNode(op: string, input: string, dim: DimensionProto[], weights?: Uint8Array): Uint8Array {
  const value = (name: string) => ({ name, type: { tensorType: { elemType: 1, shape: { dim } } } });
  const ends = encodeModel({ graph: { input: input === "x" ? [value("x")] : [], output: [value("y")] } });
  const node = field(1, Buffer.concat([field(1, input), field(2, "y"), field(4, op)]));
  const graph = Buffer.concat([ends.subarray(2), node, ...(weights ? [field(5, weights)] : [])]);
  return Buffer.concat([encodeModel({ irVersion: 8, opsetImport: [{ version: 17 }] }), field(7, graph)]);
}

test("rows that influence each other are found", async () => {
  const size = { dimValue: 2 };
  const graph = oneNode("MeanVarianceNormalization", "x", [{ dimParam: "N" }, size, size, size]);
  const { manifest } = await register(graph);
  expect(manifest.batch).toEqual({ limit: 1, dimension: "N", rowsIndependent: false });
});

test("a model that answers differently every time is refused", async () => {
  const graph = oneNode("RandomNormalLike", "x", [{ dimValue: 4 }]);
  expect(await registry.register(request(graph))).toMatchObject({
    error: { code: "invalid-model", message: expect.stringContaining("two runs of the same inputs differ") },
  });
});

test("a file in which the runtime finds another graph than the hub is refused", async () => {
  // Two graphs: the runtime merges them, the hub's reader takes the last.
  const more = encodeModel({ graph: { output: [{ name: "x" }] } });
  const graph = Buffer.concat([more, oneNode("Relu", "x", [{ dimValue: 4 }])]);
  expect(await registry.register(request(graph))).toMatchObject({
    error: { code: "invalid-model", message: "graph: its outputs read as y, but it ran with x, y" },
  });
});

test("a model without inputs has one known answer", async () => {
  // TensorProto: dims [2], float, "w", raw data
  const weights = Uint8Array.from([0x08, 2, 0x10, 1, 0x42, 1, 0x77, 0x4a, 8, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40]);
  const { manifest, golden } = await register(oneNode("Identity", "w", [{ dimValue: 2 }], weights));
  expect(manifest.inputs).toEqual([]);
  expect(golden).toMatchObject([{ inputs: [], outputs: [{ name: "y", shape: [2] }] }]);
  expect(golden[0]?.outputs[0]?.data).toEqual(new Uint8Array([0, 0, 0x80, 0x3f, 0, 0, 0, 0x40]));
  expect(await registry.workOf(modelKey("a-model", "1"), [])).toEqual({ ok: true, value: 1000n });
});

const external = encodeModel({
  opsetImport: [{ version: 17 }],
  graph: {
    initializer: [
      { name: "w", dims: [1], dataType: 1, dataLocation: 1, externalData: [{ key: "location", value: "weights.bin" }] },
    ],
    output: [{ name: "y", type: { tensorType: { elemType: 1, shape: {} } } }],
  },
});
const wrongExample = [[tensorOf("image", "float64", [1, 1, 28, 28], new Float64Array(784))]];

test.each<[string, Uint8Array, Partial<RegisterRequest>, string, string]>([
  ["bytes that are no graph", Buffer.from("hello"), {}, "invalid-model", "graph: not an ONNX file"],
  ["a graph cut short", digits.subarray(0, 5000), {}, "invalid-model", "graph: not an ONNX file"],
  [
    "a graph that does not load",
    external.slice(),
    { files: [{ path: "weights.bin", role: "weights", data: new Uint8Array(1) }] },
    "invalid-model",
    "graph: the reference node could not run it",
  ],
  [
    "weights that are not there",
    external,
    {},
    "invalid-model",
    "files: the graph needs a file of role weights at weights.bin",
  ],
  ["an id with a path in it", digits, { id: "../x" }, "invalid-request", "id: lower-case letters"],
  ["a version with a path in it", digits, { version: ".." }, "invalid-request", "version:"],
  ["more royalty than all", digits, { royaltyBasisPoints: 10_001 }, "invalid-request", "royaltyBasisPoints:"],
  [
    "a file over the manifest",
    digits,
    { files: [{ path: "manifest.json", role: "config", data: digits }] },
    "invalid-request",
    "files: every path once",
  ],
  [
    "a file outside the folder",
    digits,
    { files: [{ path: "../x", role: "config", data: digits }] },
    "invalid-request",
    "files[1].path:",
  ],
  [
    "a dimension that is not free",
    digits,
    { dimensions: { height: 3 } },
    "invalid-request",
    "dimensions.height: no free dimension of this name; free are: batch_size",
  ],
  [
    "a size that is none",
    digits,
    { dimensions: { batch_size: 1.5 } },
    "invalid-request",
    "dimensions.batch_size: expected a whole number",
  ],
  ["a range of no input", digits, { ranges: { x: [0, 1] } }, "invalid-request", "ranges.x: no such input"],
  [
    "an example of another type",
    digits,
    { examples: wrongExample },
    "wrong-dtype",
    "examples[0][0].datatype: expected float32, got float64",
  ],
  [
    "a comparator of no output",
    digits,
    { comparator: { kind: "label", output: "x", tau: 1 } },
    "invalid-request",
    "comparator.output: expected one of logits",
  ],
])("refused: %s", { timeout: 60_000 }, async (_, graph, changes, code, message) => {
  const result = await registry.register(request(graph, changes));
  expect(result).toMatchObject({ ok: false, error: { code, message: expect.stringContaining(message) } });
  expect(registry.get(modelKey("a-model", "1"))).toBeNull();
  expect(existsSync(join(dataDir, "models")) ? readdirSync(join(dataDir, "models")) : []).toEqual([]);
});

describe.skipIf(!existsSync(data))("models that others made (needs ../shared/data)", { timeout: 120_000 }, () => {
  const read = (name: string) => readFileSync(join(data, "models", `${name}.onnx`));

  test("magika: the output's batch has another name in the graph", async () => {
    const { manifest } = await register(read("magika_standard_v3_3"));
    expect(manifest.outputs).toEqual([{ name: "target_label", dtype: "float32", shape: ["unk__214", 214] }]);
    expect(manifest.batch).toEqual({ limit: 64, dimension: "unk__214", rowsIndependent: true });
    expect(manifest.work).toMatchObject({ kind: "affine", perRow: expect.closeTo(740e6, -7) });
  });

  test("super_resolution: an image out", async () => {
    const { manifest } = await register(read("super_resolution"));
    expect(manifest.batch).toEqual({ limit: 10, dimension: "batch_size", rowsIndependent: true });
    expect(manifest.work).toEqual({ kind: "affine", base: 0, perRow: 5_978_219_520 });
  });

  test("yunet: height and width are free, and one name stands for three sizes", async () => {
    const { manifest, golden } = await register(read("yunet_n_dynamic"), { dimensions: { height: 64, width: 96 } });
    expect(manifest.outputs.slice(0, 2).map(({ shape }) => shape)).toEqual([
      ["batch", "dim", 1],
      ["batch", "dim_1", 1],
    ]);
    expect(manifest.work).toEqual({ kind: "by-shape" });
    const work = async (height: number, width: number) => {
      const input = tensorOf("input", "float32", [1, 3, height, width], new Float32Array(3 * height * width));
      const counted = await registry.workOf(modelKey("a-model", "1"), [input]);
      return counted.ok ? Number(counted.value) : counted.error;
    };
    expect(golden[0]?.inputs[0]?.shape).toEqual([1, 3, 64, 96]);
    expect((await work(128, 192)) as number).toBe(4 * ((await work(64, 96)) as number));
  });

  test("light_resnet50 and light_squeezenet: nothing is free, weights are made in the graph", async () => {
    const resnet = await register(read("light_resnet50"), { id: "resnet" });
    expect(resnet.manifest.batch).toEqual({ limit: 1, dimension: null, rowsIndependent: false });
    expect(resnet.manifest.work).toEqual({ kind: "affine", base: expect.closeTo(8.19e9, -8), perRow: 0 });
    expect(resnet.manifest.memoryBytes).toBeGreaterThan(100_000_000);
    const squeezenet = await register(read("light_squeezenet"), { id: "squeezenet" });
    expect(squeezenet.manifest.work).toMatchObject({ base: expect.closeTo(703e6, -7) });
  });

  test("silero_vad: If, LSTM, a state, and sizes without names", async () => {
    const { manifest } = await register(read("silero_vad"), {
      dimensions: { d1: 512 },
      ranges: { sr: [16_000, 16_000] },
    });
    expect(manifest.inputs.map(({ shape }) => shape)).toEqual([["d0", "d1"], [2, "d2", 128], []]);
    expect(manifest.work).toEqual({ kind: "by-shape" });
    const work = (rate: bigint, samples: number) =>
      registry.workOf(modelKey("a-model", "1"), [
        tensorOf("input", "float32", [1, samples], new Float32Array(samples)),
        tensorOf("state", "float32", [2, 1, 128], new Float32Array(256)),
        tensorOf("sr", "int64", [], BigInt64Array.of(rate)),
      ]);
    expect(await work(16_000n, 512)).toEqual({ ok: true, value: 874_732n });
    expect(await work(8_000n, 256)).not.toEqual(await work(16_000n, 512));
  });

  test("tiny_random_gpt2_past: the batch is not the first axis of the cache", async () => {
    const { manifest } = await register(read("tiny_random_gpt2_past"), {
      dimensions: { seq_len: 4, past_seq_len: 3, total_seq_len: 7 },
    });
    expect(manifest.batch).toEqual({ limit: 1, dimension: null, rowsIndependent: false });
    expect(manifest.outputs[1]?.shape).toEqual([2, "batch_size", 4, "total_seq_len", 8]);
  });

  test("mnist_cntk", async () => {
    expect((await register(read("mnist_cntk"))).manifest.work).toEqual({ kind: "affine", base: 1_584_608, perRow: 0 });
  });

  test("of the 137 operator cases 95 can be registered, and give the outputs that ONNX expects", async () => {
    interface Case {
      model: string;
      inputs: CaseTensor[];
      outputs: CaseTensor[];
    }
    type CaseTensor = { name: string; dtype: Dtype; shape: number[]; b64: string };
    const cases = JSON.parse(readFileSync(join(data, "onnx_backend/cases.json"), "utf8")) as Case[];
    const tensors = (side: CaseTensor[]): Tensor[] =>
      side.map(({ b64, ...tensor }) => ({ ...tensor, data: new Uint8Array(Buffer.from(b64 ?? "", "base64")) }));
    const refusals: string[] = [];
    let registered = 0;
    for (const [at, { model, inputs, outputs }] of cases.entries()) {
      const graph = readFileSync(join(data, "onnx_backend", model));
      const result = await registry.register(request(graph, { id: `case-${at}`, examples: [tensors(inputs)] }));
      if (!result.ok) {
        refusals.push(result.error.message);
        continue;
      }
      registered++;
      const got = result.value.golden[0]?.outputs as Tensor[];
      expect([model, compareResults(result.value.manifest.comparator, got, tensors(outputs)).agreement]).toEqual([
        model,
        "PASS",
      ]);
    }
    const because = (text: string) => refusals.filter((message) => message.includes(text)).length;
    expect(registered).toBe(95);
    expect(because("its operator set is 6, ONNX Runtime implements 7 and later")).toBe(34);
    expect(because("for training, not inference")).toBe(2);
    expect(because("of strings, which is not served")).toBe(6);
  });
});
