import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { inferReplySchema, modelMetadataSchema, serverMetadataSchema } from "../../shared/api.ts";
import { failure } from "../../shared/errors.ts";
import { err } from "../../shared/result.ts";
import { bearer, binaryBody, keys, mixedRequest, startApi, type TestApi } from "./scripted-gateway.ts";

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

const post: TestApi["infer"] = (...request) => api.infer(...request);

describe("metadata", () => {
  it("of the server", async () => {
    const body = serverMetadataSchema.parse(await (await api.fetch("/v2")).json());
    expect(body.extensions).toContain("binary_tensor_data");
  });

  it("of a model, with -1 for free dimensions and the price of a row", async () => {
    for (const path of ["/v2/models/mixed", "/v2/models/mixed/versions/1.0"]) {
      const body = modelMetadataSchema.parse(await (await api.fetch(path)).json());
      expect(body.inputs[0]).toEqual({ name: "pixels", datatype: "FP32", shape: [-1, 2] });
      expect(body.versions).toEqual(["1.0"]);
      expect(body.parameters).toMatchObject({ miners_ready: 3, comparator: "dense", price_verified: "1" });
    }
  });

  it("has no price where work depends on shapes", async () => {
    expect((await (await api.fetch("/v2/models/idle")).json()).parameters.price_fast).toBeUndefined();
  });

  it("health and readiness", async () => {
    expect(await (await api.fetch("/v2/health/live")).json()).toEqual({ live: true });
    expect(await (await api.fetch("/v2/health/ready")).json()).toEqual({ ready: true });
    expect(await (await api.fetch("/v2/models/mixed/ready")).json()).toEqual({ name: "mixed", ready: true });
    const idle = await api.fetch("/v2/models/idle/ready");
    expect([idle.status, idle.headers.get("retry-after")]).toEqual([503, "5"]);
    api.script.ready = { database: "gone" };
    expect((await api.fetch("/v2/health/ready")).status).toBe(503);
    api.script.ready = { database: null };
  });
});

describe("infer", () => {
  it("answers JSON with what the task cost and proves", async () => {
    const response = await post({
      ...mixedRequest(),
      id: "mine",
      parameters: { service_level: "quorum-3", deadline_ms: 500 },
    });
    expect(response.status).toBe(200);
    const text = await response.text();
    expect(text).toContain('"data":[1,-9223372036854775808]');
    const body = inferReplySchema.parse(JSON.parse(text));
    expect(body).toMatchObject({ model_name: "mixed", model_version: "1.0", id: "mine" });
    expect(body.parameters).toEqual({
      task: "t_ann",
      receipt: "r_ann",
      basis: "checked",
      service_level: "quorum-3",
      price: "1.5",
    });
    expect(body.outputs[0]).toEqual({ name: "pixels_out", datatype: "FP32", shape: [2, 2], data: [0, 0.5, 1, 8] });
    expect(body.outputs[2]?.data).toEqual([true, false]);
    expect(api.script.inferred.at(-1)).toMatchObject({
      customer: "c_ann",
      level: "quorum-3",
      deadlineMs: 500,
      id: "mine",
    });
  });

  it("takes nested data as it takes flat data", async () => {
    const [flat, nested] = [mixedRequest(), mixedRequest()];
    (nested.inputs[0] as { data: unknown }).data = [
      [0, 0.5],
      [1, 8],
    ];
    expect(await (await post(nested)).json()).toEqual(await (await post(flat)).json());
  });

  it("returns the outputs that were asked for, in that order", async () => {
    const body = await (
      await post({ ...mixedRequest(), outputs: [{ name: "flags_out" }, { name: "pixels_out" }] })
    ).json();
    expect(body.outputs.map(({ name }: { name: string }) => name)).toEqual(["flags_out", "pixels_out"]);
  });

  it("quotes without running", async () => {
    const before = api.script.inferred.length;
    const body = inferReplySchema.parse(
      await (await post({ ...mixedRequest(), parameters: { dry_run: true } })).json(),
    );
    expect(body.parameters).toEqual({ dry_run: true, price: "2", work: "34" });
    expect(api.script.inferred.length).toBe(before);
  });

  it("tells the hub when the caller has left", async () => {
    const left = new Promise<void>((resolve) => {
      api.script.infer = (_request, signal) =>
        new Promise((answer) => {
          signal.addEventListener("abort", () => {
            answer(err(failure("cancelled", "the caller left")));
            resolve();
          });
          caller.abort();
        });
    });
    const caller = new AbortController();
    const call = fetch(`${api.url}/v2/models/mixed/infer`, {
      method: "POST",
      headers: bearer(keys.ann),
      body: JSON.stringify(mixedRequest()),
      signal: caller.signal,
    });
    await expect(call).rejects.toThrow();
    await left;
    api.script.infer = null;
  });

  it("passes on why the hub cannot serve, and when to ask again", async () => {
    api.script.infer = async () => err(failure("queue-full", "10000 requests wait", { retryAfter: 1.5 }));
    const response = await post(mixedRequest());
    api.script.infer = null;
    expect(response.status).toBe(503);
    expect(await response.json()).toEqual({ error: "10000 requests wait" });
    expect(response.headers.get("retry-after")).toBe("2");
    expect(response.headers.get("retry-after-ms")).toBe("1500");
  });

  it("has no account to charge for the operator", async () => {
    const response = await post(mixedRequest(), "mixed", bearer(keys.operator));
    expect(response.status).toBe(403);
  });
});

describe("binary tensors, golden bytes", () => {
  // 0, 0.5, 1, 8 · 1, -2⁶³ · true, false
  const pixels = Buffer.from("000000000000003f0000803f00000041", "hex");
  const ids = Buffer.from("01000000000000000000000000000080", "hex");
  const flags = Buffer.from("0100", "hex");
  const binary = (name: string, datatype: string, shape: number[], bytes: Uint8Array) => ({
    name,
    datatype,
    shape,
    parameters: { binary_data_size: bytes.byteLength },
  });

  it("request and reply in binary, equal to JSON", async () => {
    const { body, headers } = binaryBody(
      {
        parameters: { binary_data_output: true },
        inputs: [
          binary("pixels", "FP32", [2, 2], pixels),
          binary("ids", "INT64", [2], ids),
          binary("flags", "BOOL", [2], flags),
        ],
      },
      pixels,
      ids,
      flags,
    );
    const response = await post(body, "mixed", headers);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/octet-stream");
    const bytes = Buffer.from(await response.arrayBuffer());
    const jsonBytes = Number(response.headers.get("inference-header-content-length"));
    expect(bytes.subarray(jsonBytes).toString("hex")).toBe(Buffer.concat([pixels, ids, flags]).toString("hex"));
    const head = inferReplySchema.parse(JSON.parse(bytes.subarray(0, jsonBytes).toString()));
    expect(head.outputs.map(({ parameters }) => parameters?.binary_data_size)).toEqual([16, 16, 2]);
    expect(head.outputs.every(({ data }) => data === undefined)).toBe(true);
    const fromBinary = api.script.inferred.at(-1)?.inputs;
    await post(mixedRequest());
    const fromJson = api.script.inferred.at(-1)?.inputs;
    expect(fromBinary?.map(({ data }) => Buffer.from(data).toString("hex"))).toEqual(
      fromJson?.map(({ data }) => Buffer.from(data).toString("hex")),
    );
  });

  it("mixes both, input by input and output by output", async () => {
    const { inputs } = mixedRequest();
    inputs[1] = binary("ids", "INT64", [2], ids);
    const outputs = [{ name: "flags_out" }, { name: "ids_out", parameters: { binary_data: true } }];
    const { body, headers } = binaryBody({ inputs, outputs }, ids);
    const response = await post(body, "mixed", headers);
    const bytes = Buffer.from(await response.arrayBuffer());
    const jsonBytes = Number(response.headers.get("inference-header-content-length"));
    const head = JSON.parse(bytes.subarray(0, jsonBytes).toString());
    expect(head.outputs).toEqual([
      { name: "flags_out", datatype: "BOOL", shape: [2], data: [true, false] },
      { name: "ids_out", datatype: "INT64", shape: [2], parameters: { binary_data_size: 16 } },
    ]);
    expect(bytes.subarray(jsonBytes)).toEqual(ids);
  });

  it("JSON in, binary out", async () => {
    const response = await post({
      ...mixedRequest(),
      parameters: { binary_data_output: true },
      outputs: [{ name: "ids_out" }],
    });
    const bytes = Buffer.from(await response.arrayBuffer());
    expect(bytes.subarray(Number(response.headers.get("inference-header-content-length")))).toEqual(ids);
  });

  it("FP16 travels in binary", async () => {
    const half = Buffer.from("003c00c0", "hex");
    const { body, headers } = binaryBody(
      { parameters: { binary_data_output: true }, inputs: [binary("h", "FP16", [2], half)] },
      half,
    );
    const response = await post(body, "half", headers);
    const bytes = Buffer.from(await response.arrayBuffer());
    expect(bytes.subarray(Number(response.headers.get("inference-header-content-length")))).toEqual(half);
  });
});
