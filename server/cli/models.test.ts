import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterAll, beforeAll, expect, test } from "vitest";
import { registerQuerySchema } from "../../shared/api.ts";

const script = join(import.meta.dirname, "models.ts");
const digits = join(import.meta.dirname, "../../models/digits");
const manifest = JSON.parse(readFileSync(join(digits, "manifest.json"), "utf8")) as unknown;

let hub: Server;
let address: string;
let dataDir: string;
let seen: { url: URL; authorization: string | undefined; bytes: number } | null = null;
let answer: { status: number; body?: object; type?: string; lines?: object[] } = { status: 201, body: { manifest } };

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), "tabgrid-cli-"));
  writeFileSync(join(dataDir, "admin-token"), "a-token-of-some-length\n");
  hub = createServer(async (request, response) => {
    let bytes = 0;
    for await (const chunk of request) bytes += (chunk as Buffer).byteLength;
    seen = { url: new URL(request.url as string, address), authorization: request.headers.authorization, bytes };
    const { status, body, type = "application/json", lines } = answer;
    const text = lines ? lines.map((line) => `${JSON.stringify(line)}\n`).join("\n") : JSON.stringify(body);
    response.writeHead(status, { "content-type": type }).end(text);
  });
  await new Promise<void>((resolve) => hub.listen(0, "127.0.0.1", resolve));
  address = `http://127.0.0.1:${(hub.address() as AddressInfo).port}`;
});
afterAll(() => {
  hub.close();
  rmSync(dataDir, { recursive: true });
});

async function run(...args: string[]): Promise<{ code: number; output: string }> {
  const child = spawn(process.execPath, [script, ...args], { env: { ...process.env, TABGRID_DATA: dataDir } });
  let output = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  child.stderr.on("data", (chunk) => (output += chunk));
  const code = await new Promise<number>((resolve) => child.once("close", resolve));
  return { code, output };
}

test("list shows the built-in models", { timeout: 20_000 }, async () => {
  const { code, output } = await run("list");
  expect(code).toBe(0);
  expect(output).toMatch(/^digits@1 .*11\.1 MFLOP a row/m);
});

test("add posts the file with what the hub's route expects", { timeout: 20_000 }, async () => {
  const file = join(digits, "model.onnx");
  const args = [
    "--id",
    "mine",
    "--licence",
    "MIT",
    "--creator",
    "me",
    "--royalty",
    "12.5",
    "--dim",
    "h=64",
    "--dim",
    "w=96",
  ];
  const { code, output } = await run("add", file, "--hub", address, ...args);
  expect(output).toContain("digits@1 is published: tensor, 11.1 MFLOP a row, opset 14, fp32");
  expect(code).toBe(0);
  const { "dim.h": height, "dim.w": width, ...query } = Object.fromEntries(seen?.url.searchParams ?? []);
  expect([height, width]).toEqual(["64", "96"]);
  expect(registerQuerySchema.parse(query)).toMatchObject({ id: "mine", version: "1", royalty_basis_points: 1250 });
  expect(seen).toMatchObject({ authorization: "Bearer a-token-of-some-length", bytes: readFileSync(file).byteLength });
  expect(seen?.url.pathname).toBe("/api/v1/models");
});

test("add says why the hub refuses, and what is missing", { timeout: 20_000 }, async () => {
  const file = join(digits, "model.onnx");
  const said = ["--licence", "MIT", "--creator", "me", "--hub", address];
  answer = { status: 422, body: { title: "invalid-model", detail: "graph: not an ONNX file" } };
  expect(await run("add", file, "--id", "mine", ...said)).toEqual({
    code: 1,
    output: "The hub answered 422: graph: not an ONNX file\n",
  });
  expect((await run("add", file, "--id", "Mine!", ...said)).output).toContain("--id: lower-case letters");
  expect((await run("add", "no-such-file", "--id", "mine", ...said)).output).toBe("There is no file no-such-file.\n");
  expect((await run("add", file, "--id", "mine", "--licence", "MIT", "--hub", address)).output).toContain(
    "--creator: say whose",
  );
});

test("add fetches nothing itself: the hub is told the source, and its progress is shown", {
  timeout: 20_000,
}, async () => {
  answer = {
    status: 200,
    type: "application/x-ndjson",
    lines: [
      { progress: { file: "onnx/model.onnx", received: 0, bytes: 2_000_000 } },
      { progress: { file: "onnx/model.onnx", received: 1_000_000, bytes: 2_000_000 } },
      { progress: { file: "config.json", received: 2_000_000, bytes: 2_000_000 } },
      { model: { manifest } },
    ],
  };
  const { code, output } = await run(
    "add",
    "hf:Org/Some.Model@v2",
    "--licence",
    "MIT",
    "--dtype",
    "q4",
    "--hub",
    address,
  );
  expect(output).toBe(
    `0 % of 2.0 MB  onnx/model.onnx
100 % of 2.0 MB  config.json
digits@1 is published: tensor, 11.1 MFLOP a row, opset 14, fp32
POST ${address}/v2/models/digits/infer
`,
  );
  expect(code).toBe(0);
  const { id, creator, source, dtype } = Object.fromEntries(seen?.url.searchParams ?? []);
  expect({ id, creator, source, dtype, bytes: seen?.bytes }).toEqual({
    ...{ id: "some.model", creator: "Org", source: "hf:Org/Some.Model@v2", dtype: "q4", bytes: 0 },
  });

  answer = {
    ...answer,
    lines: [{ progress: { file: "a", received: 0, bytes: 1 } }, { error: { message: "it is gated" } }],
  };
  expect(await run("add", "hf:Org/Some.Model", "--licence", "MIT", "--hub", address)).toEqual({
    code: 1,
    output: "0 % of 0.0 MB  a\nit is gated\n",
  });
  expect((await run("add", "hf:a/b/c", "--licence", "MIT")).output).toContain("source: expected hf:ORG/NAME");
});
