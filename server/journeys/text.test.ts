import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { limits } from "../../shared/limits.ts";
import { assert } from "../../shared/result.ts";
import { concatRows, type Tensor } from "../../shared/tensor.ts";
import { textTensors, tokensIn, tokenTensor } from "../../shared/text-generation.ts";
import { loadConfig } from "../config.ts";
import type { TextPart, TextRequest } from "../gateway/gateway.ts";
import type { ModelFiles } from "../reference/messages.ts";
import { createReferenceNode } from "../reference/node.ts";
import { createRegistry } from "../registry/registry.ts";
import { WireMiner } from "../sim/wire-miner.ts";
import { type RunningHub, startHub } from "../start-hub.ts";

/** Texts on a running hub: over real sockets, made by miners that run the built-in model, checked and paid. */

const PIECE = 8;
const PATIENT_MS = 30_000;
const builtInDir = fileURLToPath(new URL("../../models", import.meta.url));
const engine = createReferenceNode();
const registry = createRegistry({ dataDir: "/nonexistent", builtInDir, reference: engine });
let key: Parameters<typeof registry.modelFiles>[0];
let dataDir: string;
let hub: RunningHub;
let miners: WireMiner[] = [];

beforeAll(async () => {
  const models = await registry.load();
  const { manifest } = models.find((model) => model.manifest.id === "shakespeare") as (typeof models)[0];
  key = `${manifest.id}@${manifest.version}` as typeof key;
  dataDir = await mkdtemp(join(tmpdir(), "tabgrid-text-"));
  const config = loadConfig({ TABGRID_DATA: dataDir, TABGRID_PORT: "0" });
  assert(config.ok, "the default settings are valid");
  hub = await startHub({
    config: config.value,
    log: pino({ level: "silent" }),
    version: "test",
    clientDir: null,
    fatal: (error) => expect.fail(String(error)),
  });
}, 60_000);

afterEach(async () => {
  await Promise.all(miners.map((miner) => miner.drop()));
  miners = [];
});

afterAll(async () => {
  await hub?.close();
  await engine.close();
  await rm(dataDir, { recursive: true, force: true });
});

const filesOf = (graph = "model.onnx"): ModelFiles => {
  const files = registry.modelFiles(key);
  assert(files, "the built-in model has files");
  return { ...files, key: graph, graphPath: join(builtInDir, "shakespeare", graph) };
};

/** A miner that writes in pieces of eight tokens; `graph` may be another edition, `dies` ends it before a piece. */
async function mine(graph = "model.onnx", dies: (made: number, miner: WireMiner) => boolean = () => false) {
  const miner: WireMiner = new WireMiner({
    url: hub.url,
    compute: async (model, inputs) => {
      const files = registry.modelFiles(model as typeof key);
      assert(files, model);
      const run = await engine.run(files, inputs, PATIENT_MS);
      assert(run.ok, "the model runs");
      return run.value.outputs;
    },
    text: async (mode, inputs, emit) => {
      if (mode === "score") return ask("score", inputs, graph);
      const prefix = [...tokensIn(inputs, textTensors.prefix)];
      const question = inputs.slice(0, 2);
      let whole: Tensor[] = [];
      for (;;) {
        const made = whole.length > 0 ? tokensIn(whole, textTensors.tokens) : new Int32Array(0);
        if (dies(made.length, miner)) {
          await miner.drop();
          return new Promise(() => undefined);
        }
        const known = [...prefix, ...made];
        const part = await ask(
          "generate",
          known.length > 0 ? [...question, tokenTensor(textTensors.prefix, known)] : question,
          graph,
        );
        whole = whole.length > 0 ? concatRows(whole, part) : part;
        if (tokensIn(part, textTensors.tokens).length > 0) emit(part);
        if (tokensIn(part, textTensors.tokens).length < PIECE) return whole;
      }
    },
  });
  miners.push(miner);
  await miner.connect();
  const isAble = () => hub.state.roster.able(key).some(({ id }) => id === miner.welcome?.session);
  await expect.poll(isAble, { timeout: PATIENT_MS }).toBe(true);
  return miner;
}

async function ask(mode: "generate" | "score", inputs: Tensor[], graph: string): Promise<Tensor[]> {
  const run = await engine.text(mode, filesOf(graph), inputs, PIECE, PATIENT_MS);
  assert(run.ok, run.ok ? "" : `${run.error.code}: ${run.error.message}`);
  return run.value.outputs;
}

const request = (more: Partial<TextRequest> & { maxTokens?: number } = {}): TextRequest => ({
  customer: "first" as TextRequest["customer"],
  model: "shakespeare",
  prompt: Int32Array.from([40, 41, 42, 43]),
  settings: {
    maxTokens: more.maxTokens ?? 40,
    stopTokens: [],
    temperature: 0.8,
    topK: 0,
    topP: 1,
    bias: [],
    presencePenalty: 0,
    frequencyPenalty: 0,
    topLogProbabilities: 0,
    grammar: null,
  },
  requestSeed: 7n,
  choice: 0,
  level: null,
  deadlineMs: null,
  ...more,
});

async function generate(asked: TextRequest, onPart: (part: TextPart) => boolean = () => true, signal = never()) {
  const tokens: number[] = [];
  const parts: number[] = [];
  const answer = await hub.gateway.generate(
    asked,
    (part) => {
      tokens.push(...part.tokens);
      parts.push(part.tokens.length);
      return onPart(part);
    },
    signal,
  );
  return { answer, tokens, parts };
}
const told = (answer: { ok: boolean; error?: { message: string } }): string => answer.error?.message ?? "it is ok";
const never = (): AbortSignal => new AbortController().signal;

/** All that a text set in motion is settled: the books balance, and its receipt stands. */
async function settled(task: string) {
  await expect
    .poll(async () => (await hub.gateway.task(task as never))?.state, { timeout: 40_000 })
    .toMatch(/settled|failed|cancelled/);
  expect(await hub.gateway.imbalance()).toEqual({ USDC: 0n, DN: 0n });
  const receipt = await hub.gateway.receipt(task.replace("t_", "r_") as never);
  return receipt && JSON.parse(receipt.leaf);
}

describe("a text with no tab open", () => {
  test("comes from the reference node, streamed, the same for the same seed, and is receipted", {
    timeout: 60_000,
  }, async () => {
    const first = await generate(request());
    assert(first.answer.ok, told(first.answer));
    expect(first.answer.value).toMatchObject({ basis: "reference", finish: "length", outputTokens: 40, seed: "7" });
    expect(first.tokens).toHaveLength(40);
    expect(first.parts.length).toBeGreaterThan(1);
    const again = await generate(request());
    expect(again.tokens).toEqual(first.tokens);
    const other = await generate(request({ choice: 1 }));
    expect(other.tokens).not.toEqual(first.tokens);
    const leaf = await settled(first.answer.value.task);
    expect(leaf).toMatchObject({ basis: "reference", text: { promptTokens: 4, outputTokens: 40, seed: "7" } });
  });

  test("is cancelled in the middle and charged for what was taken", { timeout: 60_000 }, async () => {
    const long = request({ maxTokens: 400 });
    const quote = await hub.gateway.quoteText(long);
    const controller = new AbortController();
    const { answer, tokens } = await generate(
      long,
      () => {
        controller.abort();
        return true;
      },
      controller.signal,
    );
    assert(answer.ok && quote.ok, told(answer));
    expect(answer.value).toMatchObject({ finish: "cancelled", outputTokens: tokens.length });
    expect(tokens.length).toBeLessThan(400);
    expect(answer.value.price).toBeLessThanOrEqual(quote.value.price);
    const leaf = await settled(answer.value.task);
    expect(BigInt(leaf.price)).toBe(answer.value.price);
  });
});

describe("a text by miners", () => {
  test("streams from one, is checked by the other, and both are paid", { timeout: 90_000 }, async () => {
    await Promise.all([mine(), mine()]);
    const { answer, tokens, parts } = await generate(request({ maxTokens: 64 }));
    assert(answer.ok, told(answer));
    expect(tokens).toHaveLength(64);
    expect(parts.length).toBeGreaterThan(3);
    const leaf = await settled(answer.value.task);
    expect(["checked", "reference"]).toContain(leaf.basis);
    expect(leaf.executions[0]).toMatchObject({ role: "primary", accepted: true, signed: true, tokens: [0, 64] });
    expect(miners.flatMap(({ refusals }) => refusals)).toEqual([]);
  });

  test("verified, is released as it is checked", { timeout: 90_000 }, async () => {
    await Promise.all([mine(), mine()]);
    const { answer, tokens, parts } = await generate(request({ maxTokens: 160, level: "verified" }));
    assert(answer.ok, told(answer));
    expect(["checked", "reference"]).toContain(answer.value.basis);
    expect(tokens).toHaveLength(160);
    expect(parts.length).toBeGreaterThan(1);
    await settled(answer.value.task);
  });

  test("of whom one dies in mid-stream is one stream, the same as without that", { timeout: 90_000 }, async () => {
    const whole = await generate(request({ maxTokens: 64, requestSeed: 99n }));
    let killed = 0;
    const once = (made: number) => made === 24 && killed++ === 0;
    await Promise.all([mine("model.onnx", once), mine("model.onnx", once)]);
    const { answer, tokens } = await generate(request({ maxTokens: 64, requestSeed: 99n }));
    assert(answer.ok, told(answer));
    expect(killed).toBeGreaterThan(0);
    expect(tokens).toEqual(whole.tokens);
    const leaf = await settled(answer.value.task);
    const makers = leaf.executions.filter(({ role }: { role: string }) => role === "primary");
    // What was on its way when the connection ended may be lost with it: those tokens are made again.
    const [[from, met], [next, to]] = makers.map((one: { tokens: number[] }) => one.tokens);
    expect([from, to, makers.length]).toEqual([0, 64, 2]);
    expect(next).toBe(met);
    expect(met).toBeGreaterThan(0);
    expect(met).toBeLessThanOrEqual(24);
  });

  test("that swaps in the q4 file is found, and never paid", { timeout: 90_000 }, async () => {
    const cheat = await mine("model_q4.onnx");
    const { answer } = await generate(request({ maxTokens: 64, level: "verified", requestSeed: 5n }));
    assert(answer.ok || answer.error.code === "execution-failed", told(answer));
    const owner = cheat.welcome?.owner as never;
    await expect
      .poll(() => hub.state.roster.standings.get(owner)?.history.filter(({ kind }) => kind === "mismatch").length)
      .toBeGreaterThan(0);
    expect((await hub.gateway.account(`miner:${owner}:held` as never))?.balance ?? 0n).toBe(0n);
  });

  test("that sends tokens nobody authenticated is refused", { timeout: 60_000 }, async () => {
    const miner = await mine();
    miner.automatic = false;
    const assigned = once(miner, "assigned");
    const controller = new AbortController();
    const running = generate(request({ requestSeed: 6n }), () => true, controller.signal);
    const [{ items }] = await assigned;
    const { assignment } = items[0];
    const part = await ask("generate", items[0].inputs, "model.onnx");
    miner.stream(assignment, part, { mac: Buffer.alloc(32) });
    await expect.poll(() => miner.refusals.length).toBe(1);
    miner.stream(assignment, part); // after the one that was refused
    await expect.poll(() => miner.refusals.length).toBe(2);
    const odd = { tokens: Buffer.alloc(3), logProbabilities: Buffer.alloc(3), mac: Buffer.alloc(32) };
    miner.socket?.emit("tokens", { items: [{ assignment, position: 0, ...odd }] });
    await expect.poll(() => miner.refusals.length).toBe(3);
    expect(miner.refusals.map(({ event, error }) => [event, error.code])).toEqual([
      ["tokens", "bad-authentication"],
      ["tokens", "out-of-sequence"],
      ["tokens", "malformed-message"],
    ]);
    controller.abort();
    expect((await running).answer).toMatchObject({ ok: false, error: { code: "cancelled" } });
  });
});

describe("a text request that is refused", () => {
  test.each([
    ["an unknown model", { model: "nobody" }, "unknown-model", "model"],
    ["a model that makes no text", { model: "digits" }, "invalid-request", "model"],
    ["an empty prompt", { prompt: new Int32Array(0) }, "invalid-request", "prompt"],
    ["a token that the model has not", { prompt: Int32Array.of(1, 5_000) }, "invalid-request", "prompt"],
    ["nothing to be made", { maxTokens: 0 }, "invalid-request", "maxTokens"],
    ["a prompt that leaves no room", { prompt: new Int32Array(2_000).fill(5) }, "context-length-exceeded", "prompt"],
    ["a deadline that has passed", { deadlineMs: 0 }, "deadline-expired", "deadlineMs"],
  ])("%s", async (_, change, code, field) => {
    const { answer } = await generate(request(change));
    expect(answer).toMatchObject({ ok: false, error: { code, field } });
    expect(await hub.gateway.quoteText(request(change))).toMatchObject({ ok: false, error: { code } });
  });

  test("says the limit and the count where the context is too short", async () => {
    const { answer } = await generate(request({ prompt: new Int32Array(2_000).fill(5), maxTokens: 3 }));
    assert(!answer.ok, "it is refused");
    expect(answer.error.got).toBe("2003");
    expect(answer.error.expected).toMatch(/at most \d+ tokens/);
  });

  test("a balance that does not cover the most it may cost", async () => {
    const { answer } = await generate(request({ customer: "c_poor" as never }));
    expect(answer).toMatchObject({ ok: false, error: { code: "insufficient-balance" } });
  });
});

test("one message of tokens has a bound", () => {
  expect(limits.tokensPerItem).toBeGreaterThanOrEqual(PIECE);
});
