import { cpSync, existsSync, mkdirSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { assert } from "../shared/result.ts";
import { median, rounded } from "./median-of.ts";
import { openTextPage, shakespeare } from "./text-browser.ts";
import type { Generated } from "./text-page/bare.worker.ts";
import { greedy, promptsOf } from "./text-prompts.ts";

/**
 * Tokens per second and time to the first token of this engine, of @huggingface/transformers and of a bare onnxruntime-web
 * loop: same files, one page, in turns, each in its own worker; one request, and eight at once. Tokens in, tokens out, greedy.
 */
const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "15" },
    tokens: { type: "string", default: "128" },
    runtime: { type: "string", default: "wasm" },
  },
});
const rounds = Number(values.rounds);
const count = Number(values.tokens);
assert(Number.isInteger(rounds) && rounds > 0, "--rounds is a positive integer");
assert(Number.isInteger(count) && count > 1, "--tokens is an integer above 1");
const runtime = values.runtime === "webgpu" ? "webgpu" : "wasm";
const EIGHT = 8;

const peers = join(import.meta.dirname, "peers");
const files = join(import.meta.dirname, "../models/shakespeare");
if (!existsSync(join(peers, "node_modules"))) {
  console.error(
    "The peers are not installed. In bench/peers: ONNXRUNTIME_NODE_INSTALL=skip npm ci --ignore-scripts (474 MB; once).",
  );
  process.exit(1);
}

const open = await openTextPage(peers, (outDir) => {
  const folder = join(outDir, "shakespeare/resolve/main");
  mkdirSync(join(folder, "onnx"), { recursive: true });
  for (const file of ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"])
    cpSync(join(files, file), join(folder, file));
  cpSync(join(files, "model.onnx"), join(folder, "onnx/model.onnx"));
});
try {
  const prompts = promptsOf(EIGHT * (rounds + 2), 32);
  await open.call("load", "engine", shakespeare(runtime));
  await open.call("load", "checker", shakespeare(runtime));
  const peer = (name: string, ...given: unknown[]): Promise<Generated> =>
    open.page.evaluate(
      (key, all) =>
        (globalThis as unknown as { page: Record<string, (...g: unknown[]) => unknown> }).page[key]?.(...all),
      name,
      given,
    ) as Promise<Generated>;
  await peer("loadPeers", runtime);

  const engine = async (asked: number[][]): Promise<Generated> => {
    const settings = greedy(count);
    const { tokens, ms, firstMs } = await open.call(
      "generate",
      "engine",
      asked.map((prompt) => ({ prompt, settings })),
    );
    return { tokens, ms, firstMs: median(firstMs) };
  };
  const inSequence = async (asked: number[][]): Promise<Generated> => {
    const all: Generated[] = [];
    for (const prompt of asked) all.push(await peer("transformers", [prompt], count));
    const begun = all.map((_, at) => all.slice(0, at).reduce((sum, { ms }) => sum + ms, 0));
    return {
      tokens: all.flatMap(({ tokens }) => tokens),
      ms: all.reduce((sum, { ms }) => sum + ms, 0),
      firstMs: median(all.map(({ firstMs }, at) => (begun[at] as number) + firstMs)),
    };
  };
  /** One pass over prompt and output, as a checker makes it, by a worker that has not seen the text before. */
  const check = async (prompt: number[], tokens: number[]): Promise<number> => {
    const seen = await open.call("score", "checker", { prompt, settings: greedy(count) }, tokens, 0);
    assert(
      seen.margins.every((margin) => margin <= 1e-3),
      "the check agrees with the text",
    );
    return seen.ms;
  };
  const ways: Record<string, { texts: number; make(asked: number[][]): Promise<Generated> }> = {
    engine: { texts: 1, make: engine },
    transformers: { texts: 1, make: (asked) => peer("transformers", asked, count) },
    bare: { texts: 1, make: (asked) => peer("bare", asked, count) },
    engineEight: { texts: EIGHT, make: engine },
    transformersSequence: { texts: EIGHT, make: inSequence },
    transformersBatch: { texts: EIGHT, make: (asked) => peer("transformers", asked, count) },
    bareBatch: { texts: EIGHT, make: (asked) => peer("bare", asked, count) },
  };
  const lists = (): Record<string, number[]> =>
    Object.fromEntries([...Object.keys(ways), "check"].map((name) => [name, []]));
  const [took, first] = [lists(), lists()];
  let diverging = 0;
  for (let round = -2; round < rounds; round++) {
    const asked = prompts.slice((round + 2) * EIGHT, (round + 3) * EIGHT);
    const names = Object.keys(ways);
    const made = new Map<string, Generated>();
    for (const name of round % 2 === 0 ? names : names.reverse()) {
      const { texts, make } = ways[name] as (typeof ways)[string];
      made.set(name, await make(asked.slice(0, texts)));
    }
    const [one, eight] = [made.get("engine"), made.get("engineEight")] as [Generated, Generated];
    const checkMs = await check(asked[0] as number[], one.tokens[0] as number[]);
    if (round < 0) continue; // warms up
    for (const [name, { ms, firstMs, tokens }] of made) {
      took[name]?.push(ms);
      first[name]?.push(firstMs);
      const expected = tokens.length === 1 ? one.tokens : eight.tokens;
      diverging += tokens.filter((row, at) => String(row) !== String(expected[at])).length;
    }
    took.check?.push(checkMs);
  }
  const ratio = (slow: string, fast: string) =>
    rounded(median((took[slow] ?? []).map((ms, round) => ms / (took[fast]?.[round] as number))));
  const row = (name: string) => {
    const ms = median(took[name] ?? []);
    const firstMs = median(first[name] ?? []);
    const texts = ways[name]?.texts ?? 1;
    return {
      ms: rounded(ms),
      firstTokenMs: rounded(firstMs),
      tokensPerSecond: Math.round((1000 * texts * count) / ms),
      decodeTokensPerSecond: texts === 1 ? Math.round((1000 * (count - 1)) / (ms - firstMs)) : undefined,
    };
  };
  console.log(
    JSON.stringify(
      {
        bench: "text",
        browser: await open.browser.version(),
        cpus: cpus().length,
        model: `shakespeare fp32, ${runtime}, 1 thread, 32 tokens in, ${count} out, greedy`,
        rounds,
        one: { engine: row("engine"), transformers: row("transformers"), bare: row("bare") },
        eight: {
          engine: row("engineEight"),
          transformersInSequence: row("transformersSequence"),
          transformersBatch: row("transformersBatch"),
          bareBatch: row("bareBatch"),
        },
        ratios: {
          oneAgainstTransformers: ratio("transformers", "engine"),
          oneAgainstBare: ratio("bare", "engine"),
          eightAgainstTransformersInSequence: ratio("transformersSequence", "engineEight"),
          eightAgainstTransformersBatch: ratio("transformersBatch", "engineEight"),
          eightAgainstBareBatch: ratio("bareBatch", "engineEight"),
        },
        checkShareOfGenerating: ratio("check", "engine"),
        textsThatDifferFromTheEngine: diverging,
      },
      null,
      2,
    ),
  );
} finally {
  await open.close();
}
