// Measures the shipped model on the held-out tenth of the sentences, in ONNX Runtime's WASM build, one thread:
//   /usr/bin/python3 models/langid/train.py --split held-out.tsv   (writes the sentences train.py does not train on)
//   node models/langid/measure.mjs held-out.tsv
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as ort from "onnxruntime-web/wasm";
import { encodeText, inputBytes } from "./encode.mjs";

const beside = (name) => fileURLToPath(new URL(name, import.meta.url));
const labels = JSON.parse(readFileSync(beside("labels.json"), "utf8"));
const sentences = readFileSync(process.argv[2], "utf8").trimEnd().split("\n");
const pairs = sentences.map((line) => [line.slice(0, line.indexOf("\t")), line.slice(line.indexOf("\t") + 1)]);

ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(readFileSync(beside("model.onnx")));
for (const length of [inputBytes, 40]) {
  let right = 0;
  for (let first = 0; first < pairs.length; first += 64) {
    const batch = pairs.slice(first, first + 64);
    const ids = BigInt64Array.from(batch.flatMap(([, text]) => encodeText(text, length)));
    const { logits } = await session.run({ input_ids: new ort.Tensor("int64", ids, [batch.length, inputBytes]) });
    batch.forEach(([label], row) => {
      const scores = logits.data.subarray(row * labels.length, (row + 1) * labels.length);
      if (labels[scores.indexOf(Math.max(...scores))] === label) right++;
    });
  }
  const share = ((100 * right) / pairs.length).toFixed(2);
  console.log(`first ${length} bytes: ${right} of ${pairs.length} right, ${share} %`);
}
