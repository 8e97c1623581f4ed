// Writes romeo.json, an Open Inference Protocol v2 request with the start of a speech and an empty cache:
//   node models/shakespeare/examples/make.mjs
import { readFileSync, writeFileSync } from "node:fs";
import { emptyCache, readTokenizer } from "../bpe.mjs";

const config = JSON.parse(readFileSync(new URL("../config.json", import.meta.url), "utf8"));
const tokens = readTokenizer(new URL("../tokenizer.json", import.meta.url))("ROMEO:\nGood morrow, my");
const integers = (name, data) => ({ name, shape: [1, data.length], datatype: "INT64", data });
const inputs = [
  integers("input_ids", tokens),
  integers(
    "attention_mask",
    tokens.map(() => 1),
  ),
  integers("position_ids", [...tokens.keys()]),
  ...emptyCache(config, 1).map((cache) => ({ ...cache, datatype: "FP32", data: [] })),
];
writeFileSync(new URL("romeo.json", import.meta.url), `${JSON.stringify({ inputs })}\n`);
