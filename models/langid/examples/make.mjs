// Writes hello.json, an Open Inference Protocol v2 request with three greetings of our own (English, Italian, Ukrainian):
//   node models/langid/examples/make.mjs
import { writeFileSync } from "node:fs";
import { encodeText, inputBytes } from "../encode.mjs";

const greetings = [
  "Good morning, and welcome to a grid of browser tabs.",
  "Buongiorno, benvenuti in una rete fatta di schede del browser.",
  "Доброго ранку, вітаємо у мережі з вкладок браузера.",
];
const data = greetings.flatMap((text) => encodeText(text)).map(Number);
const request = { inputs: [{ name: "input_ids", shape: [greetings.length, inputBytes], datatype: "INT64", data }] };
writeFileSync(new URL("hello.json", import.meta.url), `${JSON.stringify(request)}\n`);
