import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser } from "puppeteer";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Manifest } from "../../models/manifest.ts";
import { type Datatype, datatypes, dtypeOf } from "../../shared/api.ts";
import { nextInt, seededRng } from "../../shared/random.ts";
import { assert } from "../../shared/result.ts";
import { type Dtype, dtypes, elementCount, type Tensor } from "../../shared/tensor.ts";
import { compareResults } from "../../shared/tolerance.ts";
import { root } from "../cli/ensure.mjs";
import { createReferenceNode } from "../reference/node.ts";
import { launchChromium, Tab } from "./tabs.ts";
import { pooled, startTestHub, type TestHub } from "./test-hub.ts";

/**
 * Any ONNX file can be served: models that this project did not make are registered over HTTP and computed by browser
 * tabs. The reference node serves nobody here; it only checks.
 */

const data = join(root, "../shared/data");
const missing = existsSync(join(data, "models")) ? false : "no ../shared/data/models on this machine";

let test: TestHub;
let browser: Browser;
const reference = createReferenceNode();

beforeAll(async () => {
  if (missing) return;
  test = await startTestHub({ referenceServes: false });
  browser = await launchChromium();
  for (let i = 0; i < 2; i++) await Tab.open(browser, test.hub.url, "wasm");
});
afterAll(async () => {
  await browser?.close();
  await test?.close();
  await reference.close();
});

/** `POST /v2/…/infer` in binary, both ways. */
async function infer(id: string, inputs: Tensor[]): Promise<{ outputs: Tensor[]; basis: string }> {
  const json = JSON.stringify({
    inputs: inputs.map(({ name, dtype, shape, data }) => ({
      name,
      shape,
      datatype: datatypes[dtype],
      parameters: { binary_data_size: data.byteLength },
    })),
    parameters: { binary_data_output: true, deadline_ms: 300_000 },
  });
  const response = await fetch(`${test.hub.url}/v2/models/${id}/infer`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${test.hub.firstKey.value}`,
      "content-type": "application/octet-stream",
      "inference-header-content-length": String(Buffer.byteLength(json)),
    },
    body: Buffer.concat([Buffer.from(json), ...inputs.map((tensor) => tensor.data)]),
  });
  const body = Buffer.from(await response.arrayBuffer());
  expect(response.status, `${id}: ${body.subarray(0, 500)}`).toBe(200);
  const length = Number(response.headers.get("inference-header-content-length"));
  const head = JSON.parse(body.subarray(0, length).toString());
  let at = length;
  const outputs = head.outputs.map(
    (output: { name: string; shape: number[]; datatype: Datatype; parameters: { binary_data_size: number } }) => {
      const size = output.parameters.binary_data_size;
      at += size;
      return {
        name: output.name,
        shape: output.shape,
        dtype: dtypeOf[output.datatype],
        data: new Uint8Array(body.subarray(at - size, at)),
      };
    },
  );
  return { outputs, basis: head.parameters.basis };
}

/** Values that every dtype can hold, in the shape that the manifest says with free dimensions as given. */
function randomInputs(
  manifest: Manifest,
  dims: Record<string, number>,
  integers: Record<string, number> = {},
): Tensor[] {
  const rng = seededRng(7);
  return manifest.inputs.map(({ name, dtype, shape }) => {
    const sizes = shape.map((dim) => (typeof dim === "number" ? dim : (dims[dim] ?? 1)));
    const bytes = new Uint8Array(elementCount(sizes) * dtypes[dtype]);
    const view = new DataView(bytes.buffer);
    for (let at = 0; at < bytes.length; at += dtypes[dtype]) {
      if (dtype === "float32") view.setFloat32(at, rng.next() - 0.5, true);
      else if (dtype === "int64") view.setBigInt64(at, BigInt(integers[name] ?? nextInt(rng, 2)), true);
      else if (dtype === "int32") view.setInt32(at, integers[name] ?? nextInt(rng, 200), true);
      else throw new Error(`no random ${dtype} here`);
    }
    return { name, dtype, shape: sizes, data: bytes };
  });
}

async function register(file: string, query: Record<string, string>): Promise<Manifest> {
  const search = new URLSearchParams({ licence: "see SOURCES.tsv", creator: "somebody else", ...query });
  const response = await fetch(`${test.hub.url}/api/v1/models?${search}`, {
    method: "POST",
    headers: { authorization: `Bearer ${test.hub.adminToken.value}`, "content-type": "application/octet-stream" },
    body: readFileSync(file),
  });
  const body = await response.json();
  expect(response.status, JSON.stringify(body)).toBe(201);
  return (await (await fetch(`${test.hub.url}/models/${query.id}/1/manifest.json`)).json()) as Manifest;
}

describe("models that somebody else made", () => {
  const cases: [string, string, Record<string, number>, Record<string, number>][] = [
    ["magika", "magika_standard_v3_3.onnx", {}, {}],
    ["super-resolution", "super_resolution.onnx", {}, {}],
    ["yunet", "yunet_n_dynamic.onnx", { height: 64, width: 96 }, {}],
    ["resnet50", "light_resnet50.onnx", {}, {}],
    // Its free dimensions have no names in the file: one row, a window of 256 samples at 8 kHz, state of one row.
    ["silero-vad", "silero_vad.onnx", { d0: 1, d1: 256, d2: 1 }, { sr: 8_000 }],
  ];
  for (const [id, file, sizes, integers] of cases) {
    it.skipIf(missing)(
      `${id} registers from its file and answers through tabs${missing ? ` (${missing})` : ""}`,
      { timeout: 240_000 },
      async () => {
        const graphPath = join(data, "models", file);
        const dims: Record<string, string> = {};
        for (const [name, size] of Object.entries(sizes)) dims[`dim.${name}`] = String(size);
        const manifest = await register(graphPath, { id, version: "1", title: id, description: file, ...dims });
        const inputs = randomInputs(manifest, sizes, integers);
        const { outputs, basis } = await infer(id, inputs);
        expect(["checked", "reference"]).toContain(basis);
        const truth = await reference.run({ key: id, graphPath }, inputs, 60_000);
        assert(truth.ok, truth.ok ? "" : truth.error.message);
        const compared = compareResults(manifest.comparator, outputs, truth.value.outputs);
        expect(compared.agreement, `${compared.what}: ${compared.distance}`).toBe("PASS");
      },
    );
  }
});

interface CaseTensor {
  name: string;
  dtype: Dtype;
  shape: number[];
  b64?: string;
}

it.skipIf(missing)(
  `the 95 runnable ONNX operator cases give the same outputs through the hub${missing ? ` (${missing})` : ""}`,
  { timeout: 600_000 },
  async () => {
    const cases = JSON.parse(readFileSync(join(data, "onnx_backend/cases.json"), "utf8")) as {
      model: string;
      inputs: CaseTensor[];
      outputs: CaseTensor[];
    }[];
    const tensors = (side: CaseTensor[]): Tensor[] =>
      side.map(({ name, dtype, shape, b64 }) => ({
        name,
        dtype,
        shape,
        data: new Uint8Array(Buffer.from(b64 ?? "", "base64")),
      }));
    const runnable: { id: string; model: string; manifest: Manifest; inputs: Tensor[]; outputs: Tensor[] }[] = [];
    for (const [at, one] of cases.entries()) {
      const id = `case-${at}`;
      const registered = await test.hub.gateway.register({
        id,
        version: "1",
        title: one.model,
        description: "",
        licence: "Apache-2.0",
        creator: "onnx",
        royaltyBasisPoints: 0,
        graph: readFileSync(join(data, "onnx_backend", one.model)),
        files: [],
        dimensions: {},
        comparator: null,
        examples: [tensors(one.inputs)],
      });
      if (registered.ok)
        runnable.push({
          id,
          model: one.model,
          manifest: registered.value.manifest,
          inputs: tensors(one.inputs),
          outputs: tensors(one.outputs),
        });
    }
    expect(runnable).toHaveLength(95);
    const agreements = await pooled(runnable, 24, async ({ id, model, manifest, inputs, outputs }) => {
      const answer = await infer(id, inputs);
      return [model, compareResults(manifest.comparator, answer.outputs, outputs).agreement];
    });
    expect(agreements.filter(([, agreement]) => agreement !== "PASS")).toEqual([]);
    expect(test.faults).toEqual([]);
  },
);
