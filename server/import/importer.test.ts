import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { encodeModel } from "../../models/onnx-schema.ts";
import { limits } from "../../shared/limits.ts";
import { createReferenceNode } from "../reference/node.ts";
import { createRegistry } from "../registry/registry.ts";
import { createImporter, type Fetched, type ImportProgress } from "./importer.ts";
import { type ScriptedHub, startScriptedHub } from "./scripted-hub.ts";

const tensorType = (dim: object[]) => ({ tensorType: { elemType: 1, shape: { dim } } });
const tiny = Buffer.from(
  encodeModel({
    irVersion: 8,
    opsetImport: [{ domain: "", version: 17 }],
    graph: {
      node: [{ name: "n", opType: "Relu" }],
      input: [{ name: "x", type: tensorType([{ dimParam: "N" }]) }],
      output: [{ name: "y", type: tensorType([{ dimParam: "N" }]) }],
    },
    // Only its length counts here: something that can be cut in the middle.
    functions: [{ node: [{ opType: "Relu", name: "x".repeat(50_000) }] }],
  }),
);

let hub: ScriptedHub;
let dataDir: string;
beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), "tabgrid-import-"));
  hub = await startScriptedHub({
    "a/tiny": { "README.md": Buffer.from("# tiny"), "onnx/model.onnx": tiny, "config.json": Buffer.from("{}") },
  });
});
afterEach(async () => {
  await hub.close();
  rmSync(dataDir, { recursive: true });
});

const seen: ImportProgress[] = [];
function fetchModel(
  source: string,
  dtype: "fp32" | "fp16" | "int8" | "q4" | null = null,
  signal = new AbortController().signal,
) {
  seen.length = 0;
  const importer = createImporter({ dataDir, endpoint: hub.endpoint, pauseMs: 1 });
  return importer.fetch({ source, dtype, licence: "MIT" }, (progress) => seen.push(progress), signal);
}
async function fetched(source: string): Promise<Fetched> {
  const result = await fetchModel(source);
  if (!result.ok) throw new Error(result.error.message);
  return result.value;
}
const bytesIn = ({ folder, files }: Fetched) => files.map(({ path }) => readFileSync(join(folder, path)));
const partsLeft = () =>
  readdirSync(dataDir, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith(".part"));

describe("a repository", () => {
  test("is listed page by page, and what a model needs is fetched and pinned", async () => {
    const model = await fetched("hf:a/tiny");
    expect(model.task).toBe("tensor");
    expect(model.files.map(({ path, role, bytes }) => [path, role, bytes])).toEqual([
      ["model.onnx", "graph", tiny.byteLength],
      ["config.json", "config", 2],
    ]);
    expect(bytesIn(model)).toEqual([tiny, Buffer.from("{}")]);
    expect(seen.at(-1)).toEqual({ file: "config.json", received: tiny.byteLength + 2, bytes: tiny.byteLength + 2 });
    expect(hub.asked.filter((path) => path.startsWith("/api/"))).toHaveLength(2);
    await model.discard();
    expect(existsSync(model.folder)).toBe(false);
  });

  test("is not fetched again where it lies already", async () => {
    await fetched("hf:a/tiny");
    hub.asked.length = 0;
    await fetched("hf:a/tiny");
    expect(hub.asked.filter((path) => !path.startsWith("/api/"))).toEqual([]);
  });

  test("goes on where the connection was lost", async () => {
    hub.script.cuts["onnx/model.onnx"] = [10_000, 15_000];
    const model = await fetched("hf:a/tiny");
    expect(bytesIn(model)[0]).toEqual(tiny);
    expect(hub.asked.filter((path) => path.startsWith("/cdn/"))).toEqual([
      "/cdn/a/tiny/onnx/model.onnx",
      "/cdn/a/tiny/onnx/model.onnx bytes=10000-",
      "/cdn/a/tiny/onnx/model.onnx bytes=25000-",
    ]);
  });

  test("goes on in a later call, where the earlier one was ended", async () => {
    hub.script.cuts["onnx/model.onnx"] = [10_000, 15_000];
    const ended = new AbortController();
    const importer = createImporter({ dataDir, endpoint: hub.endpoint, pauseMs: 50 });
    const first = importer.fetch(
      { source: "hf:a/tiny", dtype: null, licence: "MIT" },
      ({ received }) => received > 10_000 && ended.abort(),
      ended.signal,
    );
    expect(await first).toMatchObject({ ok: false, error: { code: "cancelled" } });
    expect(partsLeft()).toHaveLength(1);
    hub.script.cuts = {};
    hub.asked.length = 0;
    expect(bytesIn(await fetched("hf:a/tiny"))[0]).toEqual(tiny);
    expect(hub.asked.find((path) => path.startsWith("/cdn/"))).toMatch(/ bytes=\d+-$/);
  });

  test("with files from elsewhere is stopped: the bytes are not those that the hub lists", async () => {
    hub.script.swapped["onnx/model.onnx"] = Buffer.from(tiny.toReversed());
    const error = { code: "invalid-model", field: "source", message: expect.stringContaining("SHA-256") };
    expect(await fetchModel("hf:a/tiny")).toMatchObject({ ok: false, error });
    // Nothing is left to go on with.
    expect(partsLeft()).toEqual([]);
    hub.script.swapped = { "config.json": Buffer.from("[]") };
    expect(await fetchModel("hf:a/tiny")).toMatchObject({ error: { message: expect.stringContaining("git hash") } });
    hub.script.swapped = { "config.json": Buffer.from("{ }") };
    expect(await fetchModel("hf:a/tiny")).toMatchObject({
      error: { message: expect.stringContaining("more than 2 bytes") },
    });
  });

  test("is imported once at a time", async () => {
    const importer = createImporter({ dataDir, endpoint: hub.endpoint });
    const fetch = () =>
      importer.fetch({ source: "hf:a/tiny", dtype: null, licence: "MIT" }, () => {}, new AbortController().signal);
    const [first, second] = await Promise.all([fetch(), fetch()]);
    expect(first.ok).toBe(true);
    expect(second).toMatchObject({ ok: false, error: { code: "wrong-state" } });
  });
});

const refusals: [string, (script: ScriptedHub["script"]) => void, string, object][] = [
  ["there is none", () => {}, "hf:a/nothing", { code: "not-found", got: "status 404" }],
  ["it is gated", ({ status }) => (status["a/tiny"] = 401), "hf:a/tiny", { code: "forbidden", got: "status 401" }],
  ["it may not be read", ({ status }) => (status["a/tiny"] = 403), "hf:a/tiny", { code: "forbidden" }],
  ["the hub fails", ({ status }) => (status["a/tiny"] = 500), "hf:a/tiny", { code: "execution-failed" }],
  ["a listed file is missing", ({ missing }) => missing.add("onnx/model.onnx"), "hf:a/tiny", { code: "not-found" }],
  [
    "it is larger than a tab's memory",
    ({ sizes }) => (sizes["onnx/model.onnx"] = 3 * 1024 ** 3),
    "hf:a/tiny",
    {
      code: "model-too-large",
      expected: expect.stringContaining(String(limits.tabMemoryBytes)),
      got: `${3 * 1024 ** 3} bytes`,
    },
  ],
  [
    "it has no ONNX file",
    ({ repositories }) => (repositories["a/text"] = { "README.md": Buffer.from("x") }),
    "hf:a/text",
    { code: "invalid-model", field: "source", got: "no ONNX file" },
  ],
  [
    "its ONNX files have other names",
    ({ repositories }) => (repositories["a/text"] = { "onnx/decoder_model_merged.onnx": tiny }),
    "hf:a/text",
    { code: "invalid-model", got: "onnx/decoder_model_merged.onnx" },
  ],
  [
    "its bytes are on a private address",
    (script) => (script.redirectTo = "https://127.0.0.1:1"),
    "hf:a/tiny",
    { message: expect.stringContaining("private") },
  ],
  [
    "its name has one",
    (script) => (script.redirectTo = "https://localhost:1"),
    "hf:a/tiny",
    { message: expect.stringContaining("private") },
  ],
  [
    "another host is not HTTPS",
    (script) => (script.redirectTo = "http://localhost:1"),
    "hf:a/tiny",
    { message: expect.stringContaining("HTTPS") },
  ],
  ["the source has another form", () => {}, "hf:a/b/c", { code: "invalid-request", field: "source", got: "hf:a/b/c" }],
  ["the source climbs", () => {}, "hf:a/..", { code: "invalid-request", field: "source" }],
];
test.each(refusals)("refused where %s", async (_, arrange, source, error) => {
  arrange(hub.script);
  expect(await fetchModel(source)).toMatchObject({ ok: false, error });
});

test("the licence is the given one, else the one that the repository states; without any nothing is fetched", async () => {
  const importer = createImporter({ dataDir, endpoint: hub.endpoint });
  const fetch = async (licence: string | null) => {
    const result = await importer.fetch(
      { source: "hf:a/tiny", dtype: null, licence },
      () => {},
      new AbortController().signal,
    );
    return result.ok ? result.value.licence : result.error;
  };
  for (const none of [undefined, "other", "unknown", []] as const) {
    hub.script.licences = none === undefined ? {} : { "a/tiny": [none].flat() };
    expect(await fetch(null)).toMatchObject({ code: "invalid-request", field: "licence" });
  }
  expect(hub.asked.filter((path) => !path.startsWith("/api/"))).toEqual([]);
  hub.script.licences = { "a/tiny": ["apache-2.0", "cc-by-4.0"] };
  expect(await fetch(null)).toBe("apache-2.0, cc-by-4.0");
  expect(await fetch("MIT")).toBe("MIT");
});

test("a precision that the repository lacks is refused with those that it has", async () => {
  const error = { code: "invalid-model", field: "dtype", expected: "one of fp32", got: "q4" };
  expect(await fetchModel("hf:a/tiny", "q4")).toMatchObject({ ok: false, error });
});

const data = fileURLToPath(new URL("../../../shared/data/", import.meta.url));
const here = existsSync(join(data, "trained/shakespeare-llama"));
describe.skipIf(!here)(`models that others laid out${here ? "" : " (skipped: ../shared/data is not here)"}`, () => {
  async function publish(source: string, dtype: "fp32" | "q4" | null) {
    const reference = createReferenceNode();
    try {
      const registry = createRegistry({ dataDir, builtInDir: join(dataDir, "none"), reference });
      const result = await fetchModel(source, dtype);
      if (!result.ok) throw new Error(result.error.message);
      const { folder, files, graph, task } = result.value;
      const said = { id: "imported", version: "1", title: "", description: "", licence: "MIT", creator: "somebody" };
      const rest = { royaltyBasisPoints: 0, dimensions: {}, comparator: null };
      return await registry.adopt({ ...said, ...rest, task, folder, files, graph });
    } finally {
      await reference.close();
    }
  }
  const folderOf = (root: string, paths: string[]) =>
    Object.fromEntries(paths.map((path) => [path, readFileSync(join(data, root, path))]));
  const llama = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"];

  test("a language model with a cache, fp32 and q4, with its text section", { timeout: 240_000 }, async () => {
    hub.script.repositories["t/llama"] = folderOf("trained/shakespeare-llama", [
      ...llama,
      "onnx/model.onnx",
      "onnx/model_q4.onnx",
    ]);
    const model = await publish("hf:t/llama", "fp32");
    expect(model).toMatchObject({
      ok: true,
      value: {
        manifest: {
          task: "text-generation",
          dtype: "fp32",
          text: { contextLength: 512, vocabulary: 1024, bos: null, eos: [0], work: { alpha: 0.1 } },
          comparator: { kind: "sampled-text", output: "logits" },
          batch: { dimension: "batch_size", rowsIndependent: true },
        },
      },
    });
    if (!model.ok) return;
    expect(model.value.golden).toHaveLength(8);
    const pasts = model.value.golden.map(({ inputs }) => inputs.at(-1)?.shape[2]);
    expect(pasts).toEqual([0, 0, 0, 0, 6, 6, 6, 6]);
    rmSync(join(dataDir, "models"), { recursive: true });
    const small = await publish("hf:t/llama", "q4");
    expect(small).toMatchObject({ ok: true, value: { manifest: { task: "text-generation", dtype: "q4" } } });
    // The work is that of the architecture, whatever its weights are kept as.
    const [a, b] = [model.value.manifest.text?.work, small.ok ? small.value.manifest.text?.work : undefined];
    expect(Math.abs((b?.token ?? 0) / (a?.token ?? 1) - 1)).toBeLessThan(0.02);
  });

  test("an older export without a tokenizer is served as tensors", { timeout: 120_000 }, async () => {
    hub.script.repositories["t/gpt2"] = { "model.onnx": readFileSync(join(data, "models/tiny_random_gpt2_past.onnx")) };
    expect(await publish("hf:t/gpt2", null)).toMatchObject({ ok: true, value: { manifest: { task: "tensor" } } });
  });

  test("a tokenizer of another model is found out", { timeout: 120_000 }, async () => {
    hub.script.repositories["t/llama"] = {
      ...folderOf("trained/shakespeare-llama", [...llama, "onnx/model_q4.onnx"]),
      "tokenizer.json": readFileSync(join(data, "tokenizers/gpt2/tokenizer.json")),
    };
    expect(await publish("hf:t/llama", null)).toMatchObject({
      ok: false,
      error: { code: "invalid-model", expected: "tokens below 1024, the graph's logits" },
    });
  });
});
