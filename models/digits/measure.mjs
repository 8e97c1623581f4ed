// Measures the shipped model on the 10,000 MNIST test images and on 1,000 digits drawn by draw.ts, in ONNX Runtime's WASM
// build, one thread:
//   node models/digits/measure.mjs [--data ../shared/data/sets]
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gunzipSync } from "node:zlib";
import * as ort from "onnxruntime-web/wasm";
import { seededRng } from "../../shared/random.ts";
import { drawDigit } from "./draw.ts";

const beside = (name) => fileURLToPath(new URL(name, import.meta.url));
const { values } = parseArgs({ options: { data: { type: "string", default: beside("../../../shared/data/sets") } } });
const read = (name) => gunzipSync(readFileSync(resolve(values.data, "mnist", name)));
const images = read("t10k-images-idx3-ubyte.gz").subarray(16);
const labels = read("t10k-labels-idx1-ubyte.gz").subarray(8);

ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(readFileSync(beside("model.onnx")));
const [rows, pixels] = [100, 28 * 28];

/** `image(index)` gives 784 pixels, `label(index)` the digit they show. */
async function measure(name, count, image, label) {
  let right = 0;
  for (let first = 0; first < count; first += rows) {
    const batch = new Float32Array(rows * pixels);
    for (let row = 0; row < rows; row++) batch.set(image(first + row), row * pixels);
    const { logits } = await session.run({ image: new ort.Tensor("float32", batch, [rows, 1, 28, 28]) });
    for (let row = 0; row < rows; row++) {
      const scores = logits.data.subarray(row * 10, row * 10 + 10);
      if (scores.indexOf(Math.max(...scores)) === label(first + row)) right++;
    }
  }
  console.log(`${name}: ${right} of ${count} right, ${((100 * right) / count).toFixed(2)} %`);
}

const rng = seededRng(2026);
const testImage = (index) =>
  Float32Array.from(images.subarray(index * pixels, (index + 1) * pixels), (byte) => byte / 255);
await measure("MNIST test set", labels.length, testImage, (index) => labels[index]);
const drawn = (index) => drawDigit(index % 10, () => rng.next());
await measure("drawn digits", 1000, drawn, (index) => index % 10);
