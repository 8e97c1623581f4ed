import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer, { type Browser, type BrowserContext, type Page } from "puppeteer";
import { build } from "vite";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { manifestSchema } from "../../models/manifest.ts";
import { chromiumFlags, findChromium } from "../../server/cli/chromium.mjs";
import { type Connection, root, ScriptedHub, wire } from "../../server/e2e/scripted-hub.ts";
import type { WireTensor } from "../../shared/protocol.ts";
import { viewOf as numbersOf } from "../../shared/tensor.ts";
import {
  type GenerationSettings,
  settingsTensor,
  textTensors,
  tokensIn,
  tokenTensor,
} from "../../shared/text-generation.ts";
import type { MinerView } from "./contract.ts";

/** Texts in a real tab against a scripted hub: many at once, streamed, interrupted, through lost links and devices. */

const model = (file: string) => readFileSync(join(root, "models/shakespeare", file));
const published = manifestSchema.parse(JSON.parse(model("manifest.json").toString()));
const manifest = {
  ...published,
  task: "text-generation" as const,
  text: published.text ?? {
    contextLength: 512,
    vocabulary: 1024,
    bos: null,
    eos: [0],
    work: { token: 3_500_000, pair: 3_000, alpha: 0.5 },
  },
};
const KEY = `${manifest.id}@${manifest.version}`;

const settings = (change: Partial<GenerationSettings> = {}): GenerationSettings => ({
  seed: "00000000000000a1",
  maxTokens: 40,
  stopTokens: [],
  temperature: 0.8,
  topK: 0,
  topP: 0.95,
  bias: [],
  presencePenalty: 0,
  frequencyPenalty: 0,
  topLogProbabilities: 0,
  grammar: null,
  ...change,
});
const prompt = tokenTensor(textTensors.prompt, [50, 51, 52, 53]);
const ask = (change?: Partial<GenerationSettings>): WireTensor[] => [
  wire(prompt),
  wire(settingsTensor(settings(change))),
];
const LONG = { maxTokens: 480 };

let folder = "";
let browser: Browser;
let hub: ScriptedHub;
let context: BrowserContext;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "tabgrid-page-"));
  const output = { outDir: folder, emptyOutDir: true, reportCompressedSize: false, chunkSizeWarningLimit: 1000 };
  await build({ configFile: join(root, "vite.config.ts"), logLevel: "warn", build: output });
  const executablePath = findChromium();
  browser = await puppeteer.launch({
    ...(executablePath ? { executablePath } : {}),
    args: chromiumFlags({ software: true }),
  });
});
afterAll(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  hub = new ScriptedHub(folder);
  hub.file = model("model.onnx");
  hub.others.set("tokenizer.json", model("tokenizer.json"));
  hub.manifest = manifest;
  await hub.listen();
  context = await browser.createBrowserContext();
});
afterEach(async () => {
  await context.close();
  await hub.close();
  expect(hub.faults).toEqual([]);
});

async function until<T>(
  what: string,
  look: () => T | undefined | null | false | Promise<T | undefined | null | false>,
) {
  const giveUpAt = Date.now() + 120_000;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > giveUpAt) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A tab that has prepared the text model. */
async function ready(runtime: "wasm" | "software" = "wasm"): Promise<{ page: Page; connection: Connection }> {
  const page = await context.newPage();
  page.on("pageerror", (error) => hub.faults.push(String(error)));
  await page.goto(`${hub.origin}/?runtime=${runtime}&frames=ignore`);
  await (await page.waitForSelector("[data-testid=start]"))?.click();
  const connection = await until("a hello", () => hub.connections.find(({ hello }) => hello));
  connection.prepare([], KEY);
  await until("prepared", () => {
    expect(connection.said.prepareFailed).toEqual([]);
    return connection.said.prepared.length;
  });
  return { page, connection };
}

const viewOf = (page: Page): Promise<MinerView | null> => page.evaluate(() => globalThis.tabgridView ?? null);
const streamed = (assignment: string): number[] => hub.streams.get(assignment)?.tokens ?? [];
const resultOf = (connection: Connection, assignment: string) => {
  const outputs = connection
    .result(assignment)
    ?.outputs.map((one) => ({ ...one, data: Uint8Array.from(one.data ?? []) }));
  return {
    tokens: [...tokensIn(outputs ?? [], textTensors.tokens)],
    logProbabilities: outputs
      ?.filter(({ name }) => name === textTensors.logProbabilities)
      .flatMap((one) => [...(numbersOf(one) as Float32Array)]),
  };
};

describe("texts in a tab", () => {
  it("several at once, streamed as they come, each the same alone, all of them in the result", async () => {
    const { page, connection } = await ready();
    await until("slots for several texts", () => connection.said.status.some(({ slots }) => slots === 8));
    connection.assign({ a_1: ask(), a_2: ask({ seed: "00000000000000a2" }) }, KEY, "generate");
    connection.assign({ a_3: ask(LONG) }, KEY, "generate");
    const view = await until("a running text in the view", async () => {
      const seen = await viewOf(page);
      return seen?.current.some(({ text }) => text && text.tokens > 20) && seen;
    });
    expect(view.state).toBe("working");
    await until("three results", () => connection.results.length === 3);
    for (const [assignment, count] of [
      ["a_1", 40],
      ["a_2", 40],
      ["a_3", 480],
    ] as const) {
      const { tokens, logProbabilities } = resultOf(connection, assignment);
      expect(tokens).toHaveLength(count);
      expect(streamed(assignment)).toEqual(tokens);
      expect(hub.streams.get(assignment)?.logProbabilities).toEqual(logProbabilities);
    }
    expect(streamed("a_2")).not.toEqual(streamed("a_1"));
    // Not each by itself, and not all at the end.
    const told = connection.said.tokens.flatMap(({ items }) => items.map(({ assignment }) => assignment));
    const messages = told.filter((assignment) => assignment === "a_3");
    expect(messages.length).toBeGreaterThan(4);
    expect(messages.length).toBeLessThan(480);
    // Texts went on side by side.
    expect(told.indexOf("a_3")).toBeLessThan(told.lastIndexOf("a_1"));

    connection.assign({ a_4: ask() }, KEY, "generate");
    await until("the same text alone", () => connection.result("a_4"));
    expect(streamed("a_4")).toEqual(streamed("a_1"));
    await until("the chain's signature", () => connection.signed === 4);
  });

  it("shows what it is at: tokens so far, and how fast", async () => {
    const { page, connection } = await ready();
    connection.assign({ a_1: ask(LONG) }, KEY, "generate");
    const said = await until("the line", () =>
      page.$eval("[data-testid=text-progress]", (line) => line.textContent).catch(() => null),
    );
    expect(said).toMatch(/^(reading the prompt|1 token|[\d,]+ tokens(, [\d,.]+ per second)?)$/);
    await until("the result", () => connection.result("a_1"));
  });

  it("goes on from another's tokens, and judges a text as it was made", async () => {
    const { connection } = await ready();
    connection.assign({ a_1: ask() }, KEY, "generate");
    await until("the whole text", () => connection.result("a_1"));
    const { tokens, logProbabilities = [] } = resultOf(connection, "a_1");
    const prefix = tokenTensor(textTensors.prefix, tokens.slice(0, 15));
    connection.assign({ a_2: [...ask(), wire(prefix)] }, KEY, "generate");
    await until("its end", () => connection.result("a_2"));
    expect(resultOf(connection, "a_2").tokens).toEqual(tokens.slice(15));
    expect(streamed("a_2")).toEqual(tokens.slice(15));

    const output = tokenTensor(textTensors.tokens, tokens);
    const from = tokenTensor(textTensors.from, [10]);
    connection.assign({ a_3: [...ask(), wire(output), wire(from)] }, KEY, "score");
    await until("the judgement", () => connection.result("a_3"));
    const judged = resultOf(connection, "a_3").logProbabilities ?? [];
    expect(judged).toHaveLength(30);
    for (const [i, value] of judged.entries())
      expect(Math.abs(value - (logProbabilities[i + 10] as number))).toBeLessThan(1e-3);
    expect(hub.streams.has("a_3")).toBe(false);
  });

  it("ends a cancelled text between two tokens, while others go on in the same worker", async () => {
    const { page, connection } = await ready();
    connection.assign({ a_1: ask(LONG), a_2: ask({ ...LONG, seed: "00000000000000a2" }) }, KEY, "generate");
    await until("both under way", () => streamed("a_1").length > 1 && streamed("a_2").length > 1);
    connection.socket.emit("cancel", { assignments: ["a_1"] });
    await until("only one under way", async () => (await viewOf(page))?.current.length === 1);
    await until("the other's result", () => connection.result("a_2"));
    expect(streamed("a_2")).toHaveLength(480);
    expect(streamed("a_1").length).toBeLessThan(480);
    expect(connection.result("a_1")).toBeUndefined();
    expect(connection.said.failed).toEqual([]);
  });

  it("gives a text back at pause, in the middle of it", async () => {
    const { page, connection } = await ready();
    connection.assign({ a_1: ask(LONG) }, KEY, "generate");
    await until("some tokens", () => streamed("a_1").length > 1);
    await page.evaluate(() => globalThis.tabgridMiner?.pause());
    await until("it back", () => connection.said.failed.length);
    expect(connection.said.failed).toMatchObject([{ assignments: ["a_1"], fault: "paused" }]);
    await page.evaluate(() => globalThis.tabgridMiner?.resume());
    connection.assign({ a_2: ask() }, KEY, "generate");
    await until("another text", () => connection.result("a_2"));
  });

  it("makes a text through a lost connection, and tells it again from its first token", async () => {
    const { connection } = await ready();
    connection.assign({ a_1: ask(LONG) }, KEY, "generate");
    await until("some tokens", () => streamed("a_1").length > 1);
    hub.keep = ["a_1"];
    connection.socket.disconnect(true);
    const second = await until("the second hello", () => hub.connections.slice(1).find(({ hello }) => hello));
    await until("the result", () => second.result("a_1"));
    expect(streamed("a_1")).toEqual(resultOf(second, "a_1").tokens);
    expect(streamed("a_1")).toHaveLength(480);
    const told = second.said.tokens;
    if (told.length > 0) expect(told[0]?.items[0]?.position).toBe(0);
  });

  it("on WebGPU: the same tokens at T = 0; a lost device fails the text in the middle, and the next one is made", async () => {
    const greedy = { temperature: 0, maxTokens: 12 };
    const { connection } = await ready("software");
    connection.assign({ a_1: ask(greedy), a_2: ask({ ...greedy, maxTokens: 480 }) }, KEY, "generate");
    await until("a text", () => connection.result("a_1"));
    const devtools = await browser.target().createCDPSession();
    const { processInfo } = await devtools.send("SystemInfo.getProcessInfo");
    process.kill(processInfo.find(({ type }) => type === "GPU")?.id as number);
    await until("the failure", () => connection.said.failed.length);
    expect(connection.said.failed).toMatchObject([{ assignments: ["a_2"], fault: "device-lost" }]);
    expect(streamed("a_2").slice(0, 12)).toEqual(streamed("a_1").slice(0, streamed("a_2").length));
    connection.assign({ a_3: ask(greedy) }, KEY, "generate");
    await until("the next text", () => connection.result("a_3"));
    expect(streamed("a_3")).toEqual(streamed("a_1"));
  });
});
