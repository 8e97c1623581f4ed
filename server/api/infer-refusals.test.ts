import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { limits } from "../../shared/limits.ts";
import { bearer, binaryBody, mixedRequest, startApi, type TestApi } from "./scripted-gateway.ts";

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

const post: TestApi["infer"] = (...request) => api.infer(...request);

describe("bad input changes nothing and names its field:", () => {
  type Row = [name: string, status: number, expected: RegExp, call: () => Promise<Response>];
  const withInput = (index: number, change: Record<string, unknown>) => {
    const body = mixedRequest();
    body.inputs[index] = { ...body.inputs[index], ...change };
    return body;
  };
  const withBinary = (size: unknown, bytes: number, length?: string) => () => {
    const { inputs } = mixedRequest();
    inputs[1] = { name: "ids", datatype: "INT64", shape: [2], parameters: { binary_data_size: size } };
    const { body, headers } = binaryBody({ inputs }, Buffer.alloc(bytes));
    return post(body, "mixed", length === undefined ? headers : { "inference-header-content-length": length });
  };
  const single = (datatype: string, shape: unknown, data: unknown) =>
    post({ inputs: [{ name: "x", datatype, shape, data }] }, "single");
  const rows: Row[] = [
    ["unknown model", 404, /unknown model: nothing/, () => post(mixedRequest(), "nothing")],
    ["unknown version", 404, /mixed, version 9/, () => post(mixedRequest(), "mixed/versions/9")],
    ["another scheme", 401, /another scheme/, () => post(mixedRequest(), "mixed", { authorization: "Basic YTpi" })],
    ["no key", 401, /no authorization header/, () => post(mixedRequest(), "mixed", { authorization: "" })],
    ["wrong key", 401, /not known/, () => post(mixedRequest(), "mixed", bearer("x".repeat(20)))],
    ["broken JSON", 400, /position 12 \(line 1, column 13\)/, () => post('{"inputs": [NaN]}')],
    ["truncated JSON", 400, /position 11 .*the end/, () => post('{"inputs":[')],
    ["not UTF-8", 400, /UTF-8/, () => post(Buffer.from([0x22, 0xff, 0x22]))],
    ["empty body", 400, /position 0/, () => post("")],
    ["no object", 400, /body: expected object, got an array of 0/, () => post([])],
    ["no inputs", 400, /inputs: expected array, got nothing/, () => post({})],
    [
      "a field that is not in the protocol",
      400,
      /inputs\[0\]\.dtype: expected no field/,
      () => post(withInput(0, { dtype: 1 })),
    ],
    [
      "unknown parameter",
      400,
      /parameters\.servce_level/,
      () => post({ ...mixedRequest(), parameters: { servce_level: "fast" } }),
    ],
    [
      "unknown service level",
      400,
      /parameters\.service_level: expected one of "fast"/,
      () => post({ ...mixedRequest(), parameters: { service_level: "best" } }),
    ],
    [
      "wrong tensor name",
      400,
      /inputs\[0\]\.name: expected one of pixels, ids, flags, got pixel$/,
      () => post(withInput(0, { name: "pixel" })),
    ],
    [
      "same tensor twice",
      400,
      /each tensor once/,
      () => post({ inputs: [...mixedRequest().inputs, mixedRequest().inputs[0]] }),
    ],
    [
      "missing tensor",
      400,
      /inputs: expected a tensor named flags/,
      () => post({ inputs: mixedRequest().inputs.slice(0, 2) }),
    ],
    [
      "unknown datatype",
      400,
      /inputs\[0\]\.datatype: expected one of "BOOL"/,
      () => post(withInput(0, { datatype: "BYTES" })),
    ],
    [
      "wrong datatype",
      400,
      /inputs\[0\]\.datatype: expected FP32, got FP64/,
      () => post(withInput(0, { datatype: "FP64" })),
    ],
    ["wrong rank", 400, /inputs\[0\]\.shape: expected \[n,2\], got \[4\]/, () => post(withInput(0, { shape: [4] }))],
    [
      "wrong fixed dimension",
      400,
      /inputs\[0\]\.shape: expected \[n,2\], got \[1,4\]/,
      () => post(withInput(0, { shape: [1, 4] })),
    ],
    ["free dimensions that disagree", 400, /inputs\[1\]\.shape/, () => post(withInput(1, { shape: [1], data: [1] }))],
    ["negative dimension", 400, /inputs\[0\]\.shape\[0\]/, () => post(withInput(0, { shape: [-1, 2] }))],
    ["fractional dimension", 400, /inputs\[0\]\.shape\[0\]/, () => post(withInput(0, { shape: [1.5, 2] }))],
    [
      "too few elements",
      400,
      /inputs\[0\]\.data: expected 4 elements for \[2,2\], got 3/,
      () => post(withInput(0, { data: [1, 2, 3] })),
    ],
    ["a shape far larger than the body", 400, /1000000000000 elements/, () => single("FP32", [1e12], [1])],
    [
      "ragged nesting",
      400,
      /inputs\[0\]\.data\[1\]: expected an array of 2, got an array of 1/,
      () => post(withInput(0, { data: [[1, 2], [3]] })),
    ],
    ["nesting too deep", 400, /inputs\[0\]\.data\[0\]: expected an element/, () => single("FP32", [1], [[1]])],
    ["no data", 400, /inputs\[0\]\.data: expected elements/, () => post(withInput(0, { data: undefined }))],
    [
      "data that is no array",
      400,
      /inputs\[0\]\.data: expected an array, got "abc"/,
      () => post(withInput(0, { data: "abc" })),
    ],
    [
      "a string in floats",
      400,
      /inputs\[0\]\.data\[1\]: expected a finite number.*got "NaN"/,
      () => post(withInput(0, { data: [0, "NaN", 0, 0] })),
    ],
    ["null in floats", 400, /inputs\[0\]\.data\[0\]/, () => post(withInput(0, { data: [null, 0, 0, 0] }))],
    [
      "a float beyond FP32",
      400,
      /inputs\[0\]\.data\[0\]: expected a finite number that FP32 can hold, got 1e\+39/,
      () => single("FP32", [1], [1e39]),
    ],
    [
      "a fraction in INT64",
      400,
      /inputs\[1\]\.data\[0\]: expected an integer/,
      () => post(withInput(1, { data: [1.5, 1] })),
    ],
    [
      "an INT64 that JSON has rounded",
      400,
      /inputs\[1\]\.data\[0\].*string of digits/,
      () => post(withInput(1, { data: [2 ** 53, 1] })),
    ],
    [
      "an INT64 too large",
      400,
      /inputs\[1\]\.data\[0\]/,
      () => post(withInput(1, { data: ["9223372036854775808", 1] })),
    ],
    [
      "a number in BOOL",
      400,
      /inputs\[2\]\.data\[1\]: expected true or false, got 1/,
      () => post(withInput(2, { data: [true, 1] })),
    ],
    [
      "FP16 in JSON",
      400,
      /inputs\[0\]\.data: expected FP16 in binary/,
      () => post({ inputs: [{ name: "h", datatype: "FP16", shape: [2], data: [1, 2] }] }, "half"),
    ],
    [
      "out of the manifest's range",
      400,
      /inputs\[0\]\.data\[3\]: expected 0 to 8, got 8.5/,
      () => post(withInput(0, { data: [0, 0, 0, 8.5] })),
    ],
    [
      "unknown output",
      400,
      /outputs\[0\]\.name: expected one of pixels_out/,
      () => post({ ...mixedRequest(), outputs: [{ name: "x" }] }),
    ],
    [
      "output twice",
      400,
      /outputs\[1\]\.name: expected each output once/,
      () => post({ ...mixedRequest(), outputs: [{ name: "ids_out" }, { name: "ids_out" }] }),
    ],
    [
      "deadline of zero",
      400,
      /parameters\.deadline_ms: expected more than 0, got 0/,
      () => post({ ...mixedRequest(), parameters: { deadline_ms: 0 } }),
    ],
    [
      "deadline in the past",
      400,
      /parameters\.deadline_ms.*got -5/,
      () => post({ ...mixedRequest(), parameters: { deadline_ms: -5 } }),
    ],
    [
      "deadline too far",
      400,
      /parameters\.deadline_ms: expected at most 600000/,
      () => post({ ...mixedRequest(), parameters: { deadline_ms: 600_001 } }),
    ],
    [
      "binary header that is no number",
      400,
      /inference-header-content-length: expected a number/,
      withBinary(16, 16, "many"),
    ],
    [
      "binary header beyond the body",
      400,
      /inference-header-content-length: expected 1 to/,
      withBinary(16, 16, "99999"),
    ],
    ["binary header of zero", 400, /inference-header-content-length: expected 1 to/, withBinary(16, 16, "0")],
    [
      "binary sizes beyond the body",
      400,
      /inputs\[1\].*binary_data_size: expected at most the 8 bytes/,
      withBinary(16, 8),
    ],
    ["bytes that no input claims", 400, /body: expected 16 bytes after the JSON/, withBinary(16, 17)],
    [
      "byte count against the shape",
      400,
      /inputs\[1\].*expected 16 bytes for INT64 \[2\], got 8 bytes/,
      withBinary(8, 8),
    ],
    ["a binary size that is no number", 400, /inputs\[1\]\.parameters\.binary_data_size/, withBinary("16", 16)],
    [
      "binary size without binary header",
      400,
      /binary_data_size: expected at most the 0 bytes/,
      () => {
        const { inputs } = mixedRequest();
        inputs[1] = { name: "ids", datatype: "INT64", shape: [2], parameters: { binary_data_size: 16 } };
        return post({ inputs });
      },
    ],
    [
      "data and binary size both",
      400,
      /inputs\[1\]\.data: expected none/,
      () => post(withInput(1, { parameters: { binary_data_size: 16 } })),
    ],
    [
      "NaN in binary floats",
      400,
      /inputs\[0\]\.data\[1\]: expected a finite number, got NaN/,
      () => {
        const x = Buffer.from("000000000000c07f", "hex");
        const { body, headers } = binaryBody(
          { inputs: [{ name: "x", datatype: "FP32", shape: [2], parameters: { binary_data_size: 8 } }] },
          x,
        );
        return post(body, "single", headers);
      },
    ],
    [
      "Infinity in binary FP16",
      400,
      /inputs\[0\]\.data\[0\]: expected a finite number, got Infinity/,
      () => {
        const x = Buffer.from("007c003c", "hex");
        const { body, headers } = binaryBody(
          {
            parameters: { binary_data_output: true },
            inputs: [{ name: "h", datatype: "FP16", shape: [2], parameters: { binary_data_size: 4 } }],
          },
          x,
        );
        return post(body, "half", headers);
      },
    ],
    [
      "a binary BOOL that is neither",
      400,
      /inputs\[2\]\.data\[1\]: expected the byte 0 or 1, got 2/,
      () => {
        const { inputs } = mixedRequest();
        inputs[2] = { name: "flags", datatype: "BOOL", shape: [2], parameters: { binary_data_size: 2 } };
        const { body, headers } = binaryBody({ inputs }, Buffer.from([0, 2]));
        return post(body, "mixed", headers);
      },
    ],
    [
      "FP16 asked for in JSON",
      400,
      /outputs: expected true, as h_out is FP16/,
      () => {
        const { body, headers } = binaryBody(
          { inputs: [{ name: "h", datatype: "FP16", shape: [2], parameters: { binary_data_size: 4 } }] },
          Buffer.alloc(4),
        );
        return post(body, "half", headers);
      },
    ],
    [
      "oversized body",
      413,
      new RegExp(`body: expected at most ${limits.inferBodyBytes} bytes, got ${limits.inferBodyBytes + 1} bytes`),
      () => post(Buffer.alloc(limits.inferBodyBytes + 1, 0x20)),
    ],
  ];

  it.each(rows)("%s", async (_name, status, expected, call) => {
    const before = api.script.inferred.length;
    const response = await call();
    const body = await response.json();
    expect([response.status, Object.keys(body)]).toEqual([status, ["error"]]);
    expect(body.error).toMatch(expected);
    expect(response.headers.get("x-request-id")).toMatch(/^req_/);
    expect(api.script.inferred.length).toBe(before);
  });
});
