// Measures the shipped model on text that nothing was learned from, beside what counting does without any learning:
//   /usr/bin/python3 models/sentences/train.py --tasks tasks.json
//   node models/sentences/measure.mjs tasks.json [ROW]
// ONNX Runtime's WASM build, one thread. A query's answer is right at 1 when it is the nearest of all candidates by cosine.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as ort from "onnxruntime-web/wasm";
import { poolEmbedding } from "../../shared/pooling.ts";
import { seededRng } from "../../shared/random.ts";

const { Tokenizer } = await import("@huggingface/tokenizers");
const beside = (name) => fileURLToPath(new URL(name, import.meta.url));
const json = (file) => JSON.parse(readFileSync(file, "utf8"));
const tasks = json(process.argv[2]);
const { embedding: facts } = json(beside("manifest.json"));
const tokenizer = new Tokenizer(json(beside("tokenizer.json")), json(beside("tokenizer_config.json")));
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(readFileSync(beside("model.onnx")));

/** Vectors are maps from a place to a number, of length 1. */
const normal = (vector) => {
  const norm = Math.sqrt([...vector.values()].reduce((sum, value) => sum + value * value, 0)) || 1;
  return new Map([...vector].map(([at, value]) => [at, value / norm]));
};
const counted = (items) => {
  const counts = new Map();
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
  return counts;
};
const encoder = new TextEncoder();
const bytes = (text) => [...encoder.encode(text)];
const trigrams = (text) => {
  const padded = ` ${text.toLowerCase().replace(/\s+/g, " ").trim()} `;
  const characters = [...padded];
  return characters.slice(2).map((_, at) => characters.slice(at, at + 3).join(""));
};
const documents = counted(tasks.learned.flatMap((text) => [...new Set(trigrams(text))]));
const rarity = (gram) => Math.log((1 + tasks.learned.length) / (1 + (documents.get(gram) ?? 0)));

const weighed = (text) => new Map([...counted(trigrams(text))].map(([gram, n]) => [gram, n * rarity(gram)]));
/** As many numbers as the model gives: each trigram adds or takes its weight from each, by chance but always alike. */
const signs = new Map();
const squeezed = (text) => {
  const sums = new Float32Array(facts.dimensions);
  for (const [gram, weight] of weighed(text)) {
    if (!signs.has(gram)) {
      const rng = seededRng(createHash("sha256").update(gram).digest().readUInt32LE());
      signs.set(
        gram,
        Int8Array.from({ length: facts.dimensions }, () => (rng.next() < 0.5 ? -1 : 1)),
      );
    }
    const of = signs.get(gram);
    for (let at = 0; at < sums.length; at++) sums[at] += of[at] * weight;
  }
  const norm = Math.hypot(...sums) || 1;
  return sums.map((value) => value / norm);
};

const byCounting = {
  "bytes, counted": async (texts) => texts.map((text) => normal(counted(bytes(text)))),
  "letter trigrams, TF-IDF": async (texts) => texts.map((text) => normal(weighed(text))),
  "trigrams in 128 numbers": async (texts) => texts.map(squeezed),
};

async function embed(texts) {
  const rows = texts.map((text) => tokenizer.encode(text).ids.slice(0, facts.contextLength));
  const vectors = [];
  for (let first = 0; first < rows.length; first += 32) {
    const batch = rows.slice(first, first + 32);
    const length = Math.max(...batch.map((row) => row.length));
    const integers = (value) => {
      const data = BigInt64Array.from(
        batch.flatMap((row) => Array.from({ length }, (_, at) => BigInt(value(row, at)))),
      );
      return { dtype: "int64", shape: [batch.length, length], data };
    };
    const inputs = {
      input_ids: integers((row, at) => row[at] ?? 1),
      attention_mask: integers((row, at) => (at < row.length ? 1 : 0)),
    };
    const feeds = Object.fromEntries(
      Object.entries(inputs).map(([name, { data, shape }]) => [name, new ort.Tensor("int64", data, shape)]),
    );
    const results = await session.run(feeds);
    const plain = (name, dtype, { data }, shape) => ({
      name,
      dtype,
      shape,
      data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    });
    const hidden = results[facts.output];
    const pooled = poolEmbedding(
      [plain("attention_mask", "int64", inputs.attention_mask, inputs.attention_mask.shape)],
      [plain(facts.output, "float32", hidden, [...hidden.dims])],
      facts,
    );
    const all = new Float32Array(pooled.value.data.buffer);
    for (let row = 0; row < batch.length; row++) {
      vectors.push(all.subarray(row * facts.dimensions, (row + 1) * facts.dimensions));
    }
  }
  return vectors;
}

/** @returns of a query, its cosine with every candidate; of counts by an index, as most have nothing in common */
function scorerOf(candidates) {
  if (!(candidates[0] instanceof Map)) {
    const dot = (a, b) => {
      let sum = 0;
      for (let at = 0; at < a.length; at++) sum += a[at] * b[at];
      return sum;
    };
    return (query) => candidates.map((candidate) => dot(query, candidate));
  }
  const places = new Map();
  for (const [candidate, vector] of candidates.entries()) {
    for (const [at, value] of vector) {
      if (!places.has(at)) places.set(at, []);
      places.get(at).push([candidate, value]);
    }
  }
  return (query) => {
    const scores = new Array(candidates.length).fill(0);
    for (const [at, value] of query) {
      for (const [candidate, other] of places.get(at) ?? []) scores[candidate] += value * other;
    }
    return scores;
  };
}

/** How many candidates are nearer than the right one; `not` is none. */
const rankOf = (scores, right, not = -1) =>
  scores.reduce((ahead, score, at) => ahead + (at !== right && at !== not && score >= scores[right] ? 1 : 0), 0);
const share = (ranks, within) =>
  `${((100 * ranks.filter((rank) => rank < within).length) / ranks.length).toFixed(1)} %`;

async function measure(embedAll) {
  const found = {};
  const halves = [];
  for (const { queries, candidates } of Object.values(tasks.halves)) {
    const [asked, scores] = [await embedAll(queries), scorerOf(await embedAll(candidates))];
    halves.push(...asked.map((query, at) => rankOf(scores(query), at)));
  }
  found["second half of a sentence, at 1"] = share(halves, 1);
  found["second half of a sentence, at 10"] = share(halves, 10);
  const sentences = await embedAll(tasks.sentences.map(({ text }) => text));
  const among = scorerOf(sentences);
  for (const [task, words] of [
    ["keywords", "three of its words, at 1"],
    ["misspelt", "every word misspelt, at 1"],
  ]) {
    const { queries, answers } = tasks[task];
    const asked = await embedAll(queries);
    found[words] = share(
      asked.map((query, at) => rankOf(among(query), answers[at])),
      1,
    );
  }
  const passages = await embedAll(tasks.passages);
  const amongPassages = scorerOf(passages);
  const next = passages.slice(0, -1).map((query, at) => rankOf(amongPassages(query), at + 1, at));
  found["next two lines of the play, at 10"] = share(next, 10);
  const languages = tasks.sentences.map(({ language }) => language);
  const nearest = tasks.keywords.answers.map((at) => {
    let [best, score] = [-1, -2];
    for (const [other, near] of among(sentences[at]).entries()) {
      if (other !== at && near > score) [best, score] = [other, near];
    }
    return languages[best] === languages[at] ? 0 : 1;
  });
  found["nearest sentence is of its language"] = share(nearest, 1);
  return found;
}

const rows = { "this model": embed, ...byCounting };
for (const [name, embedAll] of Object.entries(rows).filter(([row]) => row.includes(process.argv[3] ?? ""))) {
  const found = await measure(embedAll);
  for (const [task, result] of Object.entries(found)) console.log(`${name.padEnd(24)}  ${task.padEnd(38)}  ${result}`);
}
console.log(
  `${tasks.sentences.length} sentences, ${tasks.keywords.queries.length} queries each, ${tasks.passages.length} passages`,
);
