import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Manifest } from "../../models/manifest.ts";
import type { OnnxGraph } from "../../models/onnx.ts";
import { TabgridFailure } from "../../shared/errors.ts";
import { poolingOf } from "./embedding-task.ts";
import { readModelConfig } from "./model-config.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tabgrid-config-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function read(files: Record<string, unknown>) {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), typeof content === "string" ? content : JSON.stringify(content));
  }
  const named = Object.keys(files).map((path) => ({ path, role: "config", sha256: "", bytes: 1 }));
  return readModelConfig(folder, named as Manifest["files"]);
}

test("the shortest length that is stated counts, and 10³⁰ is none", async () => {
  const config = { max_position_embeddings: 2048, eos_token_id: 2 };
  const tokenizer = { model_max_length: 1e30, add_bos_token: true };
  expect(await read({ "config.json": config, "tokenizer_config.json": tokenizer })).toEqual({
    ...{ contextLength: 2048, eos: [2], addBos: true, pooling: null, normalize: null },
  });
  expect(
    await read({ "config.json": { text_config: { max_position_embeddings: 64, eos_token_id: [1, 3] } } }),
  ).toMatchObject({
    ...{ contextLength: 64, eos: [1, 3] },
  });
  expect((await read({})).contextLength).toBe(null);
});

test("generation_config.json knows better when a text ends", async () => {
  const files = { "config.json": { eos_token_id: 2 }, "generation_config.json": { eos_token_id: [5, 6] } };
  expect((await read(files)).eos).toEqual([5, 6]);
});

test("sentence-transformers' files say how to pool", async () => {
  const modules = ["Transformer", "Pooling", "Normalize"].map((kind) => ({
    type: `sentence_transformers.models.${kind}`,
    path: "",
  }));
  const files = {
    "modules.json": modules,
    "1_Pooling/config.json": {
      word_embedding_dimension: 8,
      pooling_mode_cls_token: true,
      pooling_mode_mean_tokens: false,
    },
    "sentence_bert_config.json": { max_seq_length: 128 },
  };
  expect(await read(files)).toMatchObject({ pooling: "cls", normalize: true, contextLength: 128 });
  expect(await read({ ...files, "modules.json": modules.slice(0, 2) })).toMatchObject({ normalize: false });
});

test.each([
  ["config.json", "{", "cannot be read"],
  ["config.json", { max_position_embeddings: "long" }, "max_position_embeddings"],
  ["1_Pooling/config.json", { pooling_mode_max_tokens: true }, "got pooling_mode_max_tokens"],
  ["1_Pooling/config.json", { pooling_mode_cls_token: true, pooling_mode_mean_tokens: true }, "expected one of"],
  ["modules.json", [{ type: "sentence_transformers.models.Dense", path: "2_Dense" }], "Dense is not served"],
])("%s %j is refused by name", async (path, content, reason) => {
  const failed = await read({ [path]: content }).catch((error) => error);
  expect(failed).toBeInstanceOf(TabgridFailure);
  expect(failed.error).toMatchObject({ code: "invalid-model", field: "files" });
  expect(failed.error.message).toContain(path);
  expect(failed.error.message).toContain(reason);
});

const graph = (inputs: string[], outputs: [string, number][]): OnnxGraph =>
  ({
    inputs: inputs.map((name) => ({ name, dtype: "int64", shape: ["b", "s"] })),
    outputs: outputs.map(([name, rank]) => ({ name, dtype: "float32", shape: Array(rank).fill("d") })),
  }) as unknown as OnnxGraph;
const config = { contextLength: 8, eos: [], addBos: false, pooling: null, normalize: null };

test("what is pooled, and how", () => {
  const ids = ["input_ids", "attention_mask"];
  expect(poolingOf(graph(ids, [["last_hidden_state", 3]]), config)).toEqual({
    ...{ output: "last_hidden_state", pooling: "mean", normalize: true },
  });
  const both: [string, number][] = [
    ["token_embeddings", 3],
    ["sentence_embedding", 2],
  ];
  expect(poolingOf(graph(ids, both), config)).toMatchObject({ output: "sentence_embedding", pooling: "none" });
  expect(poolingOf(graph(ids, both), { ...config, pooling: "cls" })).toMatchObject({
    ...{ output: "token_embeddings", pooling: "cls" },
  });
  expect(poolingOf(graph(ids, [["out", 2]]), config)).toMatchObject({ output: "out", pooling: "none" });
  expect(() => poolingOf(graph([...ids, "pixel_values"], [["out", 2]]), config)).toThrow("pixel_values");
  expect(() => poolingOf(graph(["attention_mask"], [["out", 2]]), config)).toThrow("input_ids");
});
