import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Naive, type NaiveTexts, openNaive } from "../../bench/naive-texts.ts";
import { type OpenTextPage, openTextPage, shakespeare } from "../../bench/text-browser.ts";
import type { PageModel, PageText } from "../../bench/text-page/main.ts";
import { greedy, promptsOf } from "../../bench/text-prompts.ts";
import golden from "../../models/shakespeare/golden.json" with { type: "json" };

/** The engine in a real worker, beside a reference without cache, batch or edited graph. All of it: npm run bench -- identity. */
const COUNT = 12;
const prompts = promptsOf(12, 12);
const seeds = prompts.map((_, at) => (BigInt(at + 1) * 0x9e3779b97f4a7c15n) % 2n ** 64n);
const asked = (temperature: number, more: Partial<PageText["settings"]> = {}): PageText[] =>
  prompts.map((prompt, at) => ({
    prompt,
    settings: {
      ...greedy(COUNT),
      temperature,
      seed: (seeds[at] as bigint).toString(16).padStart(16, "0"),
      ...more,
    },
  }));
const folder = join(import.meta.dirname, "../../models/shakespeare");
const oldStyle = join(import.meta.dirname, "../../../shared/data/models/tiny_random_gpt2_past.onnx");

let open: OpenTextPage;
let naive: NaiveTexts;
let expected: Naive[];
let sampled: Naive[];

beforeAll(async () => {
  naive = await openNaive(readFileSync(join(folder, "model.onnx")));
  expected = await naive.generate(prompts, seeds, COUNT, 0);
  sampled = await naive.generate(prompts, seeds, COUNT, 0.7);
  open = await openTextPage();
  await open.call("load", "wasm", shakespeare("wasm"));
});
afterAll(async () => {
  await open?.close();
  await naive?.close();
});

const tokensOf = (texts: readonly Naive[]) => texts.map(({ tokens }) => tokens);
const far = (a: readonly number[], b: readonly number[]) =>
  a.reduce((most, value, at) => Math.max(most, Math.abs(value - (b[at] as number))), 0);

describe("the text engine on WASM", () => {
  it("writes what the reference writes, greedy and sampled, many at once", async () => {
    const made = await open.call("generate", "wasm", asked(0));
    expect(made.tokens).toEqual(tokensOf(expected));
    for (const [at, list] of made.logProbabilities.entries())
      expect(far(list, (expected[at] as Naive).logProbabilities)).toBeLessThan(1e-4);
    expect((await open.call("generate", "wasm", asked(0.7))).tokens).toEqual(tokensOf(sampled));
  });

  it("writes the same alone, and in a batch that others join and leave", async () => {
    const uneven = asked(0.7).map((one, at) => ({
      prompt: one.prompt.slice(at % 5),
      settings: { ...one.settings, maxTokens: 3 + ((at * 5) % 17) },
    }));
    const together = await open.call("generate", "wasm", uneven);
    for (const [at, one] of uneven.entries()) {
      const alone = await open.call("generate", "wasm", [one]);
      expect(alone.tokens[0]).toEqual(together.tokens[at]);
      expect(alone.tokens[0]).toHaveLength(one.settings.maxTokens);
      expect(far(alone.logProbabilities[0] as number[], together.logProbabilities[at] as number[])).toBeLessThan(1e-4);
    }
  });

  it("goes on from any prefix as if never interrupted", async () => {
    const [one] = asked(0.7) as [PageText];
    const whole = (sampled[0] as Naive).tokens;
    for (const cut of [1, 5, COUNT - 1]) {
      const rest = await open.call("generate", "wasm", [{ ...one, prefix: whole.slice(0, cut) }]);
      expect(rest.tokens[0]).toEqual(whole.slice(cut));
    }
  });

  it("judges an honest text as won, from anywhere, and a forged token as lost", async () => {
    const [one] = asked(0.7) as [PageText];
    const { tokens, logProbabilities } = sampled[0] as Naive;
    for (const from of [0, 4, COUNT - 1]) {
      const score = await open.call("score", "wasm", one, tokens, from);
      expect(Math.max(...score.margins)).toBeLessThan(1e-3);
      expect(far(score.logProbabilities, logProbabilities.slice(from))).toBeLessThan(1e-4);
    }
    const forged = tokens.with(3, ((tokens[3] as number) + 1) % 1024);
    expect((await open.call("score", "wasm", one, forged, 0)).margins[3]).toBeGreaterThan(1e-3);
  });

  it("ends a cancelled text between two tokens with what it has", async () => {
    const [one] = asked(0, { maxTokens: 900 }) as [PageText];
    const tokens = await open.call("cancelAfter", "wasm", one, 8);
    expect(tokens.length).toBeGreaterThanOrEqual(8);
    expect(tokens.length).toBeLessThan(900);
    expect(tokens.slice(0, 8)).toEqual((expected[0] as Naive).tokens.slice(0, 8));
  });

  it("answers the graph's plain run as before", async () => {
    const [vector] = golden.vectors;
    const decode = (text: string, dtype: string): number[] => {
      const bytes = Buffer.from(text, "base64");
      const { buffer } = new Uint8Array(bytes);
      return dtype === "int64" ? Array.from(new BigInt64Array(buffer), Number) : [...new Float32Array(buffer)];
    };
    const inputs = (vector?.inputs ?? []).map(({ name, dtype, shape, data }) => ({
      name,
      dtype: dtype as "float32",
      shape,
      data: decode(data, dtype),
    }));
    const outputs = await open.call("run", "wasm", inputs);
    expect(outputs.map(({ name }) => name).sort()).toEqual(vector?.outputs.map(({ name }) => name).sort());
    for (const { name, dtype, shape, data } of vector?.outputs ?? []) {
      const got = outputs.find((one) => one.name === name);
      expect(got?.shape).toEqual(shape);
      expect(far(got?.data ?? [], decode(data, dtype))).toBeLessThan(1e-4);
    }
  });

  it.each(["model_quantized.onnx", "model_q4.onnx"])("runs %s, near the full one", async (file) => {
    await open.call("load", file, shakespeare("wasm", file));
    const score = await open.call("score", file, asked(0)[0] as PageText, (expected[0] as Naive).tokens, 0);
    expect(far(score.logProbabilities, (expected[0] as Naive).logProbabilities)).toBeLessThan(0.5);
    const made = await open.call("generate", file, asked(0));
    expect(made.tokens.every((tokens) => tokens.length === COUNT)).toBe(true);
  });

  it.skipIf(!existsSync(oldStyle))(
    "runs an export with keys and values in one tensor (skipped where ../shared/data is not there)",
    async () => {
      const facts = { ...shakespeare("wasm").text, vocabulary: 1000, contextLength: 512 };
      const model: PageModel = { runtime: "wasm", graph: readFileSync(oldStyle).toString("base64"), text: facts };
      await open.call("load", "gpt2", model);
      const several = asked(0.7).map((one) => ({ ...one, prompt: one.prompt.map((token) => token % 1000) }));
      const together = await open.call("generate", "gpt2", several);
      for (const [at, one] of several.slice(0, 3).entries()) {
        const score = await open.call("score", "gpt2", one, together.tokens[at] as number[], 0);
        expect(Math.max(...score.margins)).toBeLessThan(1e-3);
        expect(far(score.logProbabilities, together.logProbabilities[at] as number[])).toBeLessThan(1e-4);
      }
    },
  );
});

describe("the text engine on the software WebGPU adapter", () => {
  it("writes what the reference writes, in one batch", async () => {
    await open.call("load", "webgpu", shakespeare("webgpu"));
    const made = await open.call("generate", "webgpu", asked(0).slice(0, 4));
    expect(made.tokens).toEqual(tokensOf(expected).slice(0, 4));
    const score = await open.call("score", "webgpu", asked(0)[0] as PageText, (expected[0] as Naive).tokens, 0);
    expect(far(score.logProbabilities, (expected[0] as Naive).logProbabilities)).toBeLessThan(1e-3);
  });
});
