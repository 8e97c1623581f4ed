import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateObject, generateText, jsonSchema, streamText, tool } from "ai";
import OpenAI, { toFile } from "openai";
import type { Browser } from "puppeteer";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Receipts } from "../../shared/openai-api.ts";
import { commonsSettings } from "../economy/domains.ts";
import { COMMONS } from "../settlement/domain-map.ts";
import { launchChromium, Tab } from "./tabs.ts";
import { startTestHub, type TestHub } from "./test-hub.ts";

/**
 * The clients that people use, on a hub whose only miners are tabs of Chromium: the reference node checks, and serves
 * nobody.
 */

let test: TestHub;
let browser: Browser;
let openai: OpenAI;
let vercel: ReturnType<typeof createOpenAICompatible>;
const embeddingModel = (): string | undefined =>
  test.hub.gateway.models().find(({ manifest }) => manifest.task === "embedding")?.manifest.id;
const model = "shakespeare";
const prompt = "ROMEO:\nIs the day so young?\n\nBENVOLIO:\n";
const patience = { timeout: 120_000, interval: 200 };

beforeAll(async () => {
  test = await startTestHub({ referenceServes: false });
  // Dear, so that whole µUSDC tell a short text of this small model from a long one.
  const settings = { ...commonsSettings, tariff: { ...commonsSettings.tariff, nanoPerGflop: 1_000_000n } };
  test.hub.domains.change(COMMONS, [{ from: 0, settings }]);
  browser = await launchChromium();
  const clients = { baseURL: `${test.hub.url}/v1`, apiKey: test.hub.firstKey.value };
  openai = new OpenAI({ ...clients, maxRetries: 0 });
  vercel = createOpenAICompatible({ ...clients, name: "tabgrid", includeUsage: true, supportsStructuredOutputs: true });
});
afterAll(async () => {
  await browser?.close();
  await test?.close();
});

/** What a task was charged, once it is settled: what left the customer's accounts under its name. */
async function charged(task: string): Promise<bigint> {
  const key = { authorization: `Bearer ${test.hub.firstKey.value}` };
  await expect
    .poll(
      async () => (await (await fetch(`${test.hub.url}/api/v1/tasks/${task}`, { headers: key })).json()).state,
      patience,
    )
    .toBe("settled");
  const entries = await (await fetch(`${test.hub.url}/api/v1/ledger/entries?task=${task}`, { headers: key })).json();
  const legs = entries.data.flatMap(
    (entry: { legs: { account: string; asset: string; amount: string }[] }) => entry.legs,
  );
  return legs
    .filter(
      ({ account, asset }: { account: string; asset: string }) => account.startsWith("customer:") && asset === "USDC",
    )
    .reduce((sum: bigint, { amount }: { amount: string }) => sum - BigInt(amount), 0n);
}
const receiptsIn = (reply: object) => (reply as { tabgrid: Receipts }).tabgrid;
const microOf = (price: string) => BigInt(Math.round(Number(price) * 1_000));
const greedy = { model, temperature: 0, max_tokens: 40 };

it("without a tab, the openai package throws a 503 that says why and when to come back", async () => {
  const error = await openai.completions.create({ ...greedy, prompt }).catch((thrown) => thrown);
  expect(error).toBeInstanceOf(OpenAI.InternalServerError);
  expect(error).toMatchObject({ status: 503, code: "no_capable_miner" });
  expect(Number(error.headers.get("retry-after-ms"))).toBeGreaterThan(0);
});

describe("with two tabs", () => {
  beforeAll(async () => {
    for (let at = 0; at < 2; at++)
      await Tab.open(browser, test.hub.url, "wasm").then((tab) => tab.admitted("digits@1"));
    // A tab loads what is asked for: the first request waits for it.
    await openai.completions.create({ ...greedy, prompt });
  });

  it("models are listed with their context, price and miners", async () => {
    const list = (await openai.models.list()).data as unknown as Record<string, unknown>[];
    expect(list.find(({ id }) => id === model)).toMatchObject({
      task: "text-generation",
      context_length: 512,
      online_miners: expect.toSatisfy((miners: number) => miners > 0),
      token_price: { input: expect.any(String), output: expect.any(String) },
    });
  });

  it("a completion is charged as its usage says, and quoted at most so", async () => {
    const quote = (await openai.completions.create({ ...greedy, prompt, dry_run: true } as never)) as unknown as {
      price: string;
    };
    const reply = await openai.completions.create({ ...greedy, prompt });
    expect(reply.choices[0]?.text.length).toBeGreaterThan(20);
    const { price, answers } = receiptsIn(reply);
    expect(microOf(price)).toBeLessThanOrEqual(microOf(quote.price));
    expect(reply.usage?.completion_tokens).toBe(40);
    expect(await charged(answers[0]?.task ?? "")).toBe(microOf(price));
  });

  it("a chat gives the same text whole and as a stream, with usage", async () => {
    const messages = [{ role: "user" as const, content: "Speak of the sea" }];
    const whole = await openai.chat.completions.create({ ...greedy, messages, logprobs: true, top_logprobs: 2 });
    const stream = openai.chat.completions.stream({ ...greedy, messages, stream_options: { include_usage: true } });
    let chunks = 0;
    let text = "";
    for await (const chunk of stream) {
      chunks++;
      text += chunk.choices[0]?.delta.content ?? "";
    }
    expect(text).toBe(whole.choices[0]?.message.content);
    // The first token goes at once, others as often as time allows.
    expect(chunks).toBeGreaterThan(2);
    expect((await stream.totalUsage()).completion_tokens).toBe(whole.usage?.completion_tokens);
    const tokens = whole.choices[0]?.logprobs?.content ?? [];
    expect(tokens.map(({ token }) => token).join("")).toBe(text);
    expect(tokens.every(({ logprob, top_logprobs }) => logprob <= 0 && logprob === top_logprobs[0]?.logprob)).toBe(
      true,
    );
  });

  it("a seed repeats a drawn text, n draws others, a verified one is checked before it is told", async () => {
    const ask = (more: object) => openai.completions.create({ model, prompt, max_tokens: 24, temperature: 1, ...more });
    const [first, again, other] = [await ask({ seed: 7 }), await ask({ seed: 7 }), await ask({ seed: 8 })];
    expect(again.choices[0]?.text).toBe(first.choices[0]?.text);
    expect(other.choices[0]?.text).not.toBe(first.choices[0]?.text);
    const many = await ask({ seed: 7, n: 2 });
    expect(many.choices[0]?.text).toBe(first.choices[0]?.text);
    expect(many.choices[1]?.text).not.toBe(first.choices[0]?.text);
    const checked = await ask({ seed: 7, service_level: "verified" });
    expect(checked.choices[0]?.text).toBe(first.choices[0]?.text);
    expect(receiptsIn(checked).answers[0]).toMatchObject({
      service_level: "verified",
      basis: expect.stringMatching(/checked|reference/),
    });
  });

  it("a stop string ends the text and its bill", async () => {
    const long = { ...greedy, prompt, max_tokens: 200 };
    const reply = await openai.completions.create(long);
    const whole = reply.choices[0]?.text ?? "";
    const stop = whole.slice(33, 38);
    const stopped = await openai.completions.create({ ...long, stop });
    expect(stopped.choices[0]).toMatchObject({ text: whole.slice(0, whole.indexOf(stop)), finish_reason: "stop" });
    // However far its tab was by then: no token is shorter than a letter.
    expect(stopped.usage?.completion_tokens).toBeLessThanOrEqual(whole.indexOf(stop) + stop.length);
    const { price, answers } = receiptsIn(stopped);
    expect(microOf(price)).toBeLessThan(microOf(receiptsIn(reply).price));
    expect(await charged(answers[0]?.task ?? "")).toBe(microOf(price));
  });

  it("an aborted stream stops the work and its bill", async () => {
    const quote = (await openai.completions.create({
      model,
      prompt,
      max_tokens: 400,
      dry_run: true,
    } as never)) as unknown as { price: string };
    const before = await test.hub.store.accounts({ limit: 100, after: null });
    const stream = await openai.completions.create({ model, prompt, max_tokens: 400, stream: true });
    // At the first token: how far a tab comes until the hub hears of it is a matter of its speed.
    for await (const _ of stream) break;
    const network = async () => (await (await fetch(`${test.hub.url}/api/v1/network`)).json()).in_flight;
    await expect.poll(network, patience).toBe(0);
    const customer = before.data.find(({ account }) => /^customer:[^:]+$/.test(account));
    const held = async () => (await test.hub.store.account(`${customer?.account}:held` as never))?.balance;
    await expect.poll(held, patience).toBe(0n);
    const after = await test.hub.store.account(customer?.account as never);
    const paid = (customer?.balance ?? 0n) - (after?.balance ?? 0n);
    expect(paid).toBeGreaterThan(0n);
    expect(paid).toBeLessThan((microOf(quote.price) * 3n) / 4n);
  });

  const schema = {
    type: "object" as const,
    properties: { mood: { enum: ["merry", "grave"] }, age: { type: "integer", minimum: 0, maximum: 99 } },
    required: ["mood", "age"],
    additionalProperties: false,
  };
  const isPerson = (value: unknown) => {
    const { mood, age } = value as { mood: string; age: number };
    expect(["merry", "grave"]).toContain(mood);
    expect(Number.isInteger(age) && age >= 0 && age <= 99).toBe(true);
  };

  it("even this small a model calls a function that it must, and gives structured output", async () => {
    const messages = [{ role: "user" as const, content: "Describe Romeo" }];
    const tools = [{ type: "function" as const, function: { name: "describe", parameters: schema } }];
    const called = await openai.chat.completions.create({
      model,
      messages,
      tools,
      tool_choice: "required",
    });
    const [call] = called.choices[0]?.message.tool_calls ?? [];
    expect([called.choices[0]?.finish_reason, call?.type]).toEqual(["tool_calls", "function"]);
    if (call?.type === "function") isPerson(JSON.parse(call.function.arguments));
    const stream = openai.chat.completions.stream({ model, messages, tools, tool_choice: "required" });
    const [streamed] = (await stream.finalMessage()).tool_calls ?? [];
    if (streamed?.type === "function") isPerson(JSON.parse(streamed.function.arguments));
    const response_format = { type: "json_schema" as const, json_schema: { name: "person", schema, strict: true } };
    const parsed = await openai.chat.completions.parse({ model, messages, response_format });
    isPerson(parsed.choices[0]?.message.parsed);
  });

  it("responses are given, whole and as a stream", async () => {
    const ask = { model, input: "Speak", max_output_tokens: 24, temperature: 0 };
    const whole = await openai.responses.create(ask);
    expect(whole.output_text.length).toBeGreaterThan(10);
    const streamed = await openai.responses.stream(ask).finalResponse();
    expect(streamed.output_text).toBe(whole.output_text);
    expect(streamed.usage).toEqual(whole.usage);
  });

  it("embeddings are made by tabs, like texts near each other", async ({ skip }) => {
    const embedding = embeddingModel();
    if (!embedding) return skip("this hub has no embedding model");
    const input = [
      "A cat sits on the mat.",
      "A kitten is sitting on a rug.",
      "Interest rates rose again this quarter.",
    ];
    const { data, usage } = await openai.embeddings.create({ model: embedding, input });
    const [a, b, c] = data.map((one) => one.embedding) as [number[], number[], number[]];
    const dot = (x: number[], y: number[]) => x.reduce((sum, value, at) => sum + value * (y[at] as number), 0);
    expect(dot(a, a)).toBeCloseTo(1, 3);
    expect(dot(a, b)).toBeGreaterThan(dot(a, c));
    expect(usage.prompt_tokens).toBeGreaterThan(10);
    const float = await openai.embeddings.create({
      model: embedding,
      input: input[0] as string,
      encoding_format: "float",
    });
    expect(dot(float.data[0]?.embedding ?? [], a)).toBeCloseTo(1, 3);
    const { embeddings } = await embedMany({ model: vercel.embeddingModel(embedding), values: input.slice(0, 2) });
    expect(dot(embeddings[1] as number[], b)).toBeCloseTo(1, 3);
  });

  it("a batch from a file is answered at a lower price", async () => {
    const line = (id: string, body: object) =>
      JSON.stringify({ custom_id: id, method: "POST", url: "/v1/completions", body });
    const lines = ["a", "b", "c"].map((id) => line(id, { ...greedy, max_tokens: 200, prompt }));
    const content = Buffer.from([...lines, line("bad", { model: "none", prompt })].join("\n"));
    const file = await openai.files.create({ file: await toFile(content, "requests.jsonl"), purpose: "batch" });
    const made = await openai.batches.create({
      input_file_id: file.id,
      endpoint: "/v1/completions",
      completion_window: "24h",
    });
    await expect.poll(async () => (await openai.batches.retrieve(made.id)).status, patience).toBe("completed");
    const batch = await openai.batches.retrieve(made.id);
    expect(batch.request_counts).toEqual({ total: 4, completed: 3, failed: 1 });
    const output = (await (await openai.files.content(batch.output_file_id as string)).text()).trimEnd().split("\n");
    const bodies = output.map((text) => JSON.parse(text).response.body);
    const now = await openai.completions.create({ ...greedy, max_tokens: 200, prompt });
    expect(bodies.map(({ choices }) => choices[0].text)).toEqual(Array(3).fill(now.choices[0]?.text));
    const half = (microOf(receiptsIn(now).price) / 2_000n) * 1_000n;
    expect([half, half + 1_000n]).toContain(microOf(receiptsIn(bodies[0]).price));
    const errors = JSON.parse(await (await openai.files.content(batch.error_file_id as string)).text());
    expect(errors).toMatchObject({ custom_id: "bad", response: { status_code: 404 } });
  });

  it("errors are typed, with code and parameter", async () => {
    const ask = (more: object, client = openai) => client.completions.create({ ...greedy, prompt, ...more });
    await expect(ask({ model: "none" })).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    await expect(ask({ voice: 1 })).rejects.toMatchObject({
      status: 400,
      code: "unsupported_parameter",
      param: "voice",
    });
    const long = ask({ prompt: "To be or not to be. ".repeat(200) });
    await expect(long).rejects.toMatchObject({
      code: "context_length_exceeded",
      message: expect.stringContaining("512"),
    });
    const made = await fetch(`${test.hub.url}/api/v1/customers`, {
      method: "POST",
      headers: { authorization: `Bearer ${test.hub.adminToken.value}` },
      body: JSON.stringify({ name: "Penniless" }),
    });
    const poor = new OpenAI({ baseURL: openai.baseURL, apiKey: (await made.json()).key, maxRetries: 0 });
    await expect(ask({}, poor)).rejects.toMatchObject({ status: 402, code: "insufficient_quota" });
  });

  it("the Vercel AI SDK generates, streams, calls a function and makes an object", async () => {
    const romeo = { model: vercel(model), prompt: "Speak", temperature: 0, maxOutputTokens: 24 };
    const whole = await generateText(romeo);
    const stream = streamText(romeo);
    let text = "";
    for await (const part of stream.textStream) text += part;
    expect(text).toBe(whole.text);
    expect(text.length).toBeGreaterThan(10);
    expect((await stream.usage).outputTokens).toBe(whole.usage.outputTokens);
    const inputSchema = jsonSchema<{ mood: string; age: number }>(schema as never);
    const tools = { describe: tool({ inputSchema }) };
    const called = await generateText({ ...romeo, maxOutputTokens: undefined, tools, toolChoice: "required" });
    isPerson(called.toolCalls[0]?.input);
    isPerson((await generateObject({ ...romeo, maxOutputTokens: undefined, schema: inputSchema })).object);
  });

  it("nothing went wrong in the hub, and its books add up", async () => {
    expect(test.faults).toEqual([]);
    expect(await test.hub.store.imbalance()).toEqual({ USDC: 0n, DN: 0n });
  });
});

it("the openai package comes back after a 429 when it was told to", async () => {
  const limited = await startTestHub({ rateLimits: { perKey: 2, perAddress: 100, windowSeconds: 2 } });
  const statuses: number[] = [];
  const client = new OpenAI({
    baseURL: `${limited.hub.url}/v1`,
    apiKey: limited.hub.firstKey.value,
    maxRetries: 5,
    fetch: async (...request) => {
      const response = await fetch(...request);
      statuses.push(response.status);
      return response;
    },
  });
  for (let asked = 0; asked < 3; asked++) await client.models.list();
  expect(statuses).toContain(429);
  expect(statuses.at(-1)).toBe(200);
  await limited.close();
});
