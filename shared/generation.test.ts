import { describe, expect, it } from "vitest";
import { startGeneration } from "./generation.ts";
import { assert } from "./result.ts";
import { logProbabilityOf } from "./sampling.ts";
import { startScoring } from "./scoring.ts";
import { type Tensor, toNumbers } from "./tensor.ts";
import { type GenerationSettings, settingsTensor, textTensors, tokensIn, tokenTensor } from "./text-generation.ts";
import type { TextBounds, TextJob } from "./text-job.ts";

const vocabulary = 11;
const bounds: TextBounds = { contextLength: 64, vocabulary };
const settings = (more: Partial<GenerationSettings> = {}): Tensor =>
  settingsTensor({
    seed: "00000000000000ff",
    maxTokens: 20,
    stopTokens: [],
    temperature: 0.9,
    topK: 0,
    topP: 1,
    bias: [],
    presencePenalty: 0,
    frequencyPenalty: 0,
    topLogProbabilities: 0,
    grammar: null,
    ...more,
  });
const prompt = tokenTensor(textTensors.prompt, [3, 1, 4, 1, 5]);

/** Logits that depend on the whole text before them, as a decoder's do. */
function logitsAfter(text: Int32Array, out: Float32Array): void {
  let state = 1;
  for (const token of text) state = (Math.imul(state, 31) + token + 7) >>> 0;
  for (let token = 0; token < out.length; token++) out[token] = (Math.imul(state, 2 * token + 3) >>> 20) / 800;
}

/** Runs a job as an engine does, and counts the positions that it ran. */
function drive(job: TextJob, atMost: number, from = 0, width = vocabulary): number {
  let cached = from;
  let ran = 0;
  for (let ask = job.next(cached, atMost); ask; ask = job.next(cached, atMost)) {
    const end = cached + ask.tokens.length;
    expect(ask.tokens.length).toBeGreaterThan(0);
    expect(ask.tokens).toEqual(job.text.subarray(cached, end));
    const logits = new Float32Array(ask.wanted * width);
    for (let row = 0; row < ask.wanted; row++) {
      const before = job.text.subarray(0, end - ask.wanted + row + 1);
      logitsAfter(before, logits.subarray(row * width, (row + 1) * width));
    }
    ran += ask.tokens.length;
    cached = end;
    const fault = job.accept(logits);
    assert(fault === null, fault ?? "");
  }
  return ran;
}

function made(inputs: Tensor[], atMost = 3, of = bounds) {
  const job = startGeneration(inputs, of);
  assert(job.ok, job.ok ? "" : job.error);
  drive(job.value, atMost, 0, of.vocabulary);
  const outputs = job.value.outputs();
  return { job: job.value, outputs, tokens: [...tokensIn(outputs, textTensors.tokens)] };
}
const numbers = (tensors: Tensor[], name: string) => [...toNumbers(tensors.find((one) => one.name === name) as Tensor)];

describe("a generation", () => {
  it("is the same however its prompt is cut into chunks", () => {
    const whole = made([prompt, settings()], 64);
    expect(whole.tokens).toHaveLength(20);
    expect(whole.job.finished).toBe("length");
    for (const atMost of [1, 2, 5]) expect(made([prompt, settings()], atMost).outputs).toEqual(whole.outputs);
  });

  it("states the log-probabilities of the raw logits", () => {
    const { tokens, outputs } = made([prompt, settings({ temperature: 2, bias: [[4, 3]], topK: 3 })]);
    const row = new Float32Array(vocabulary);
    logitsAfter(Int32Array.of(3, 1, 4, 1, 5), row);
    expect(numbers(outputs, textTensors.logProbabilities)[0]).toBeCloseTo(
      logProbabilityOf(row, tokens[0] as number),
      6,
    );
  });

  it("goes on from any prefix as if never interrupted, penalties included", () => {
    const asked = settings({ frequencyPenalty: 0.6, presencePenalty: 0.3, topLogProbabilities: 2 });
    const whole = made([prompt, asked]);
    for (let cut = 0; cut <= 20; cut++) {
      const rest = made([prompt, asked, tokenTensor(textTensors.prefix, whole.tokens.slice(0, cut))]);
      expect(rest.tokens).toEqual(whole.tokens.slice(cut));
      expect(rest.job.since(0).tokens).toEqual(Int32Array.from(whole.tokens.slice(cut)));
    }
    // The counts matter: without the prefix's, another text comes out.
    const plain = made([prompt, settings()]);
    expect(plain.tokens).not.toEqual(whole.tokens);
  });

  it("ends with the stop token, in the output, and at the context's end", () => {
    const { tokens } = made([prompt, settings()]);
    const stop = tokens[6] as number;
    const stopped = made([prompt, settings({ stopTokens: [stop] })]);
    expect(stopped.tokens).toEqual(tokens.slice(0, tokens.indexOf(stop) + 1));
    expect(stopped.job.finished).toBe("stop");
    const short = made([prompt, settings()], 3, { ...bounds, contextLength: 9 });
    expect(short.tokens).toEqual(tokens.slice(0, 4));
    expect(short.job.finished).toBe("length");
    const over = made([prompt, settings({ stopTokens: [stop] }), tokenTensor(textTensors.prefix, stopped.tokens)]);
    expect(over.tokens).toEqual([]);
  });

  it("asks the grammar at each place, and ends where nothing may follow", () => {
    // Just enough of a tokenizer: each printable character is a token.
    const characters = Array.from({ length: 95 }, (_, at) => Uint8Array.of(32 + at));
    const spelled = (tokens: number[]) => String.fromCharCode(...tokens.map((token) => 32 + token));
    const of: TextBounds = { contextLength: 64, vocabulary: 95, tokenBytes: () => characters };
    const asked = (more: Partial<GenerationSettings> = {}) =>
      settings({ grammar: { kind: "json-schema", schema: { enum: ["yes", "no", "perhaps"] } }, ...more });
    const { tokens, job, outputs } = made([prompt, asked()], 3, of);
    expect(["yes", "no", "perhaps"]).toContain(JSON.parse(spelled(tokens)));
    expect(job.finished).toBe("stop");
    const rest = made([prompt, asked(), tokenTensor(textTensors.prefix, tokens.slice(0, 2))], 3, of);
    expect(rest.tokens).toEqual(tokens.slice(2));
    const scored = startScoring(
      [prompt, asked(), tokenTensor(textTensors.tokens, tokens), tokenTensor(textTensors.from, [0])],
      of,
    );
    assert(scored.ok, scored.ok ? "" : scored.error);
    drive(scored.value, 64, 0, 95);
    expect(numbers(scored.value.outputs(), textTensors.margins)).toEqual(tokens.map(() => 0));
    expect(numbers(scored.value.outputs(), textTensors.logProbabilities)).toEqual(
      numbers(outputs, textTensors.logProbabilities),
    );
  });

  it("gives the top tokens in falling order", () => {
    const { outputs, tokens } = made([prompt, settings({ topLogProbabilities: 3, temperature: 0 })]);
    const top = numbers(outputs, textTensors.topTokens);
    const logProbabilities = numbers(outputs, textTensors.topLogProbabilities);
    expect(outputs.find(({ name }) => name === textTensors.topTokens)?.shape).toEqual([20, 3]);
    for (const [at, token] of tokens.entries()) {
      expect(top[3 * at]).toBe(token);
      expect(logProbabilities[3 * at]).toBeGreaterThanOrEqual(logProbabilities[3 * at + 1] as number);
      expect(logProbabilities[3 * at + 1]).toBeGreaterThanOrEqual(logProbabilities[3 * at + 2] as number);
    }
  });

  it("says what is wrong with its inputs", () => {
    const fault = (...inputs: Tensor[]) => {
      const job = startGeneration(inputs, bounds);
      return job.ok ? "" : job.error;
    };
    expect(fault(settings())).toBe("prompt: expected at least one token, got none");
    expect(fault(prompt)).toMatch(/^settings: expected/);
    expect(fault(prompt, { ...settings(), data: new Uint8Array(3) })).toMatch(/^settings: /);
    expect(fault(tokenTensor("prompt", [1, 11]), settings())).toBe("prompt[1]: expected 0 to 10, got 11");
    expect(fault(prompt, settings(), tokenTensor("prefix", [-1]))).toBe("prefix[0]: expected 0 to 10, got -1");
    expect(fault({ ...prompt, dtype: "int64" }, settings())).toMatch(/^prompt: expected int32/);
    expect(fault(tokenTensor("prompt", Array(65).fill(1)), settings())).toMatch(/at most 64 tokens/);
    expect(fault(prompt, settings({ grammar: { kind: "json" } }))).toMatch(/^settings.grammar: /);
  });

  it("fails where no token can be drawn", () => {
    const job = startGeneration([prompt, settings()], bounds);
    assert(job.ok, "starts");
    job.value.next(0, 64);
    expect(job.value.accept(new Float32Array(vocabulary).fill(Number.NaN))).toMatch(/^no token can be drawn/);
  });
});

describe("a scoring", () => {
  const asked = settings({ temperature: 0.7, topP: 0.8, frequencyPenalty: 0.4, topLogProbabilities: 2 });
  const text = made([prompt, asked]);
  const score = (tokens: number[], from: number, atMost: number, cached = 0) => {
    const job = startScoring(
      [prompt, asked, tokenTensor(textTensors.tokens, tokens), tokenTensor(textTensors.from, [from])],
      bounds,
    );
    assert(job.ok, job.ok ? "" : job.error);
    const ran = drive(job.value, atMost, Math.min(cached, job.value.reusable));
    return { outputs: job.value.outputs(), ran };
  };

  it("finds every honest draw to have won, with the log-probabilities that were stated", () => {
    for (const atMost of [1, 4, 64]) {
      for (const from of [0, 1, 7, 19]) {
        const { outputs, ran } = score(text.tokens, from, atMost);
        expect(ran).toBe(5 + 19);
        expect(numbers(outputs, textTensors.margins)).toEqual(text.tokens.slice(from).map(() => 0));
        for (const name of [textTensors.logProbabilities]) {
          expect(numbers(outputs, name)).toEqual(numbers(text.outputs, name).slice(from));
        }
        const tops = numbers(text.outputs, textTensors.topTokens).slice(2 * from);
        expect(numbers(outputs, textTensors.topTokens)).toEqual(tops);
      }
    }
  });

  it("runs only what a cache has not", () => {
    expect(score(text.tokens, 10, 64, 1000).ran).toBe(5 + 19 - (5 + 10 - 1));
  });

  it("finds the token that was not drawn", () => {
    const forged = text.tokens.with(8, ((text.tokens[8] as number) + 1) % vocabulary);
    const margins = numbers(score(forged, 0, 4).outputs, textTensors.margins);
    expect(margins.slice(0, 8)).toEqual(Array(8).fill(0));
    expect(margins[8]).toBeGreaterThan(0);
  });

  it("says what is wrong with its inputs", () => {
    const fault = (tokens: number[], from: number) => {
      const job = startScoring(
        [prompt, asked, tokenTensor(textTensors.tokens, tokens), tokenTensor(textTensors.from, [from])],
        bounds,
      );
      return job.ok ? "" : job.error;
    };
    expect(fault([1, 2], 2)).toBe("from: expected 0 to 1, an index of tokens, got 2");
    expect(fault([1, 99], 0)).toBe("tokens[1]: expected 0 to 10, got 99");
    expect(fault(Array(60).fill(1), 0)).toMatch(/at most 64/);
  });
});
