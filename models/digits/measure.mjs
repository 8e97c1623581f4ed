// Measures the shipped model on the 10,000 MNIST test images, in ONNX Runtime's WASM build, one thread:
//   node models/digits/measure.mjs [--data ../shared/data/sets]
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gunzipSync } from "node:zlib";
import * as ort from "onnxruntime-web/wasm";

const beside = (name) => fileURLToPath(new URL(name, import.meta.url));
const { values } = parseArgs({ options: { data: { type: "string", default: beside("../../../shared/data/sets") } } });
const read = (name) => gunzipSync(readFileSync(resolve(values.data, "mnist", name)));
const images = read("t10k-images-idx3-ubyte.gz").subarray(16);
const labels = read("t10k-labels-idx1-ubyte.gz").subarray(8);

ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(readFileSync(beside("model.onnx")));
const [rows, pixels] = [100, 28 * 28];
let right = 0;
for (let first = 0; first < labels.length; first += rows) {
  const batch = Float32Array.from(images.subarray(first * pixels, (first + rows) * pixels), (byte) => byte / 255);
  const { logits } = await session.run({ image: new ort.Tensor("float32", batch, [rows, 1, 28, 28]) });
  for (let row = 0; row < rows; row++) {
    const scores = logits.data.subarray(row * 10, row * 10 + 10);
    if (scores.indexOf(Math.max(...scores)) === labels[first + row]) right++;
  }
}
console.log(`${right} of ${labels.length} test images right: ${((100 * right) / labels.length).toFixed(2)} %`);
