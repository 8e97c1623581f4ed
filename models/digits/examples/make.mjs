// Writes seven.json, an Open Inference Protocol v2 request with a drawn seven:
//   node models/digits/examples/make.mjs
import { writeFileSync } from "node:fs";
import { seededRng } from "../../../shared/random.ts";
import { drawDigit } from "../draw.ts";

const rng = seededRng(7);
const data = Array.from(
  drawDigit(7, () => rng.next()),
  (light) => Math.round(light * 1000) / 1000,
);
const request = { inputs: [{ name: "image", shape: [1, 1, 28, 28], datatype: "FP32", data }] };
writeFileSync(new URL("seven.json", import.meta.url), `${JSON.stringify(request)}\n`);
