import { readFile } from "node:fs/promises";
import * as ort from "onnxruntime-web/wasm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import config from "./config.json" with { type: "json" };
import request from "./examples/romeo.json" with { type: "json" };

const tokens = request.inputs[0]?.data ?? [];
const layers = config.num_hidden_layers;
const vocabulary = config.vocab_size;

type Cache = Record<string, ort.Tensor>;
let session: ort.InferenceSession;

const integers = (rows: number[][]) =>
  new ort.Tensor("int64", BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0]?.length ?? 0]);

function emptyCache(batch: number): Cache {
  const shape = [batch, config.num_key_value_heads, 0, config.head_dim];
  return Object.fromEntries(
    Array.from({ length: layers }, (_, layer) => ["key", "value"].map((kind) => `past_key_values.${layer}.${kind}`))
      .flat()
      .map((name) => [name, new ort.Tensor("float32", new Float32Array(0), shape)]),
  );
}

async function run(ids: number[][], mask: number[][], positions: number[][], past: Cache) {
  const { logits, ...present } = await session.run({
    input_ids: integers(ids),
    attention_mask: integers(mask),
    position_ids: integers(positions),
    ...past,
  });
  const renamed = Object.entries(present).map(([name, tensor]) => [name.replace("present", "past_key_values"), tensor]);
  return { logits: Array.from(logits?.data as Float32Array), cache: Object.fromEntries(renamed) as Cache };
}

const ones = (count: number) => Array<number>(count).fill(1);
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);
const worst = (a: number[], b: number[]) =>
  a.reduce((most, value, at) => Math.max(most, Math.abs(value - (b[at] ?? 0))), 0);

beforeAll(async () => {
  ort.env.wasm.numThreads = 1;
  session = await ort.InferenceSession.create(await readFile(new URL("model.onnx", import.meta.url)));
}, 20_000);
afterAll(() => session.release());

describe("shakespeare", () => {
  const count = tokens.length;
  const whole = () => run([tokens], [ones(count)], [upTo(count)], emptyCache(1));

  it("step by step with the cache gives the logits of the whole pass", async () => {
    const { logits } = await whole();
    let cache = emptyCache(1);
    for (const [at, token] of tokens.entries()) {
      const step = await run([[token]], [ones(at + 1)], [[at]], cache);
      expect(worst(step.logits, logits.slice(at * vocabulary, (at + 1) * vocabulary))).toBeLessThan(1e-4);
      cache = step.cache;
    }
  });

  it("a row padded on the left gives what it gives alone", async () => {
    const { logits } = await whole();
    const padding = 3;
    const padded = [...Array<number>(padding).fill(config.pad_token_id), ...tokens];
    const longer = [...tokens.slice(0, padding), ...tokens];
    const both = await run(
      [padded, longer],
      [[...Array<number>(padding).fill(0), ...ones(count)], ones(count + padding)],
      [[...Array<number>(padding).fill(0), ...upTo(count)], upTo(count + padding)],
      emptyCache(2),
    );
    const row = both.logits.slice(padding * vocabulary, (padding + count) * vocabulary);
    expect(worst(row, logits)).toBeLessThan(1e-4);
  });
});
