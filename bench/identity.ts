import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { assert } from "../shared/result.ts";
import { type Naive, openNaive } from "./naive-texts.ts";
import { openTextPage, shakespeare } from "./text-browser.ts";
import { greedy, promptsOf } from "./text-prompts.ts";

/**
 * Whether the engine's texts are token for token those of a reference without cache or batch (bench/naive-texts.ts): greedy
 * and sampled, on WASM and on the software WebGPU adapter, many at once. A text that differs is told with the margin by which
 * the reference's token had won there.
 */
const { values } = parseArgs({
  options: {
    wasm: { type: "string", default: "500" },
    webgpu: { type: "string", default: "100" },
    sampled: { type: "string", default: "100" },
    tokens: { type: "string", default: "32" },
    prompt: { type: "string", default: "16" },
  },
});
const number = (name: keyof typeof values): number => {
  const value = Number(values[name]);
  assert(Number.isInteger(value) && value >= 0, `--${name} is a whole number`);
  return value;
};
const [onWasm, onWebgpu, sampled, count] = [number("wasm"), number("webgpu"), number("sampled"), number("tokens")];
const BATCH = 25;
const TEMPERATURE = 0.7;

const seedOf = (index: number): bigint => (BigInt(index + 1) * 0x9e3779b97f4a7c15n) & 0xffffffffffffffffn;
const hex = (seed: bigint): string => seed.toString(16).padStart(16, "0");

const prompts = promptsOf(Math.max(onWasm, onWebgpu, sampled), number("prompt"));
const open = await openTextPage();
try {
  const naive = await openNaive(readFileSync(join(import.meta.dirname, "../models/shakespeare/model.onnx")));
  const expected = { greedy: [] as Naive[], sampled: [] as Naive[] };
  for (const [kind, texts] of [
    ["greedy", Math.max(onWasm, onWebgpu)],
    ["sampled", sampled],
  ] as const) {
    for (let from = 0; from < texts; from += BATCH) {
      const some = prompts.slice(from, Math.min(texts, from + BATCH));
      const seeds = some.map((_, at) => seedOf(from + at));
      expected[kind].push(...(await naive.generate(some, seeds, count, kind === "greedy" ? 0 : TEMPERATURE)));
      process.stderr.write(`reference, ${kind}: ${expected[kind].length} of ${texts}\n`);
    }
  }
  await naive.close();

  const compare = async (runtime: "wasm" | "webgpu", kind: "greedy" | "sampled", texts: number) => {
    const diverging: { prompt: number; position: number; margin: number }[] = [];
    let largestDelta = 0;
    for (let from = 0; from < texts; from += BATCH) {
      const some = prompts.slice(from, Math.min(texts, from + BATCH));
      const asked = some.map((prompt, at) => ({
        prompt,
        settings: {
          ...greedy(count),
          seed: hex(seedOf(from + at)),
          temperature: kind === "greedy" ? 0 : TEMPERATURE,
        },
      }));
      const made = await open.call("generate", runtime, asked);
      for (const [at, tokens] of made.tokens.entries()) {
        const wanted = expected[kind][from + at] as Naive;
        const position = wanted.tokens.findIndex((token, index) => tokens[index] !== token);
        if (position >= 0 || tokens.length !== wanted.tokens.length)
          diverging.push({ prompt: from + at, position, margin: wanted.margins[position] as number });
        const same = position < 0 ? wanted.tokens.length : position;
        for (let index = 0; index < same; index++) {
          const stated = made.logProbabilities[at]?.[index] as number;
          largestDelta = Math.max(largestDelta, Math.abs(stated - (wanted.logProbabilities[index] as number)));
        }
      }
      process.stderr.write(`${runtime}, ${kind}: ${from + some.length} of ${texts}\n`);
    }
    return { runtime, kind, texts, identical: texts - diverging.length, largestDelta, diverging };
  };
  const rows = [];
  if (onWasm + sampled > 0) await open.call("load", "wasm", shakespeare("wasm"));
  if (onWasm > 0) rows.push(await compare("wasm", "greedy", onWasm));
  if (sampled > 0) rows.push(await compare("wasm", "sampled", sampled));
  if (onWebgpu > 0) {
    await open.call("load", "webgpu", shakespeare("webgpu"));
    rows.push(await compare("webgpu", "greedy", onWebgpu));
  }
  const margins = expected.greedy.flatMap(({ margins }) => margins);
  console.log(
    JSON.stringify(
      {
        bench: "identity",
        browser: await open.browser.version(),
        model: `shakespeare fp32, ${values.prompt} tokens in, ${count} out`,
        distinctPrompts: new Set(prompts.map(String)).size,
        smallestGreedyMargin: margins.reduce((least, margin) => Math.min(least, margin), Number.POSITIVE_INFINITY),
        rows,
      },
      null,
      2,
    ),
  );
} finally {
  await open.close();
}
