// Measures the editions of this model on the last tenth of tinyshakespeare, which it was not trained on:
//   node models/shakespeare/measure.mjs [--data ../shared/data/sets] [--window 256] [file.onnx ...]
// Consecutive windows, each without memory of the one before; ONNX Runtime's WASM build, one thread.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import * as ort from "onnxruntime-web/wasm";
import { emptyCache, readTokenizer } from "./bpe.mjs";

const beside = (name) => fileURLToPath(new URL(name, import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    data: { type: "string", default: beside("../../../shared/data/sets") },
    window: { type: "string", default: "256" },
  },
});
const files = positionals.length ? positionals : ["model.onnx", "model_quantized.onnx", "model_q4.onnx"].map(beside);

const config = JSON.parse(readFileSync(beside("config.json"), "utf8"));
const text = readFileSync(resolve(values.data, "tinyshakespeare/input.txt"), "utf8");
const heldOut = text.slice(Math.floor(text.length * 0.9));
const tokens = readTokenizer(beside("tokenizer.json"))(heldOut);
const window = Number(values.window);
const starts = Array.from({ length: Math.floor((tokens.length - 1) / window) }, (_, index) => index * window);

/** Sum of the nats of every token after the first, over a batch of windows. */
async function nats(session, batch) {
  const ids = batch.flatMap((start) => tokens.slice(start, start + window)).map(BigInt);
  const integers = (data) => new ort.Tensor("int64", BigInt64Array.from(data), [batch.length, window]);
  const { logits } = await session.run({
    input_ids: integers(ids),
    attention_mask: integers(ids.map(() => 1n)),
    position_ids: integers(ids.map((_, index) => BigInt(index % window))),
    ...Object.fromEntries(
      emptyCache(config, batch.length).map(({ name, shape }) => [name, new ort.Tensor("float32", [], shape)]),
    ),
  });
  let sum = 0;
  batch.forEach((start, row) => {
    for (let at = 0; at < window; at++) {
      const from = (row * window + at) * config.vocab_size;
      const scores = logits.data.subarray(from, from + config.vocab_size);
      const highest = scores.reduce((a, b) => Math.max(a, b));
      const total = scores.reduce((a, b) => a + Math.exp(b - highest), 0);
      sum += highest + Math.log(total) - scores[tokens[start + at + 1]];
    }
  });
  return sum;
}

ort.env.wasm.numThreads = 1;
console.log(`${heldOut.length} characters, ${tokens.length} tokens, windows of ${window}`);
for (const file of files) {
  const session = await ort.InferenceSession.create(readFileSync(file));
  let sum = 0;
  for (let index = 0; index < starts.length; index += 8) sum += await nats(session, starts.slice(index, index + 8));
  const perToken = sum / (starts.length * window);
  const perCharacter = (perToken * tokens.length) / heldOut.length;
  console.log(`${file}: ${perToken.toFixed(4)} nats/token, ${perCharacter.toFixed(4)} nats/character`);
  await session.release();
}
