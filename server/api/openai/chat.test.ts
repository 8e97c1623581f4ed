import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { failure } from "../../../shared/errors.ts";
import { type ChatChunk, chatChunkSchema, chatReplySchema, quoteSchema } from "../../../shared/openai-api.ts";
import { bearer, keys, startApi, type TestApi } from "../scripted-gateway.ts";
import { bard, textScript } from "../scripted-text.ts";

let api: TestApi;
beforeAll(async () => {
  api = await startApi({}, [bard]);
});
afterAll(() => api.close());
beforeEach(() => {
  Object.assign(api.script.text, textScript());
});

const post = (body: object, headers: Record<string, string> = {}, signal?: AbortSignal) =>
  api.fetch("/v1/chat/completions", {
    method: "POST",
    headers: { ...bearer(keys.ann), "content-type": "application/json", ...headers },
    body: JSON.stringify({ model: "bard", messages: [{ role: "user", content: "Speak" }], ...body }),
    signal,
  });
const chat = async (body: object = {}) => {
  const response = await post(body);
  const json = await response.json();
  expect(response.status, JSON.stringify(json)).toBe(200);
  return { reply: chatReplySchema.strict().parse(json), headers: response.headers };
};

/** The chunks of a stream, and what ended it. */
async function stream(body: object = {}) {
  const response = await post({ stream: true, ...body });
  const lines = (await response.text()).split("\n\n").filter((line) => line !== "");
  const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
  const last = data.at(-1) as string;
  const chunks = data.slice(0, -1).map((line) => chatChunkSchema.strict().parse(JSON.parse(line)));
  return { response, chunks, last, comments: lines.filter((line) => line.startsWith(":")) };
}
const textOf = (chunks: ChatChunk[], index = 0) =>
  chunks.map(({ choices }) => choices.find((choice) => choice.index === index)?.delta.content ?? "").join("");

describe("a chat", () => {
  it("is answered, with what it used, cost and rests on", async () => {
    const { reply, headers } = await chat();
    const [choice] = reply.choices;
    expect(choice?.message).toEqual({ role: "assistant", content: "To be, or not to be", refusal: null });
    expect(choice?.finish_reason).toBe("stop");
    const prompt = "user: Speak\nassistant: ".length;
    expect(reply.usage).toEqual({ prompt_tokens: prompt, completion_tokens: 20, total_tokens: prompt + 20 });
    expect(reply.tabgrid).toMatchObject({
      price: "0.43",
      answers: [{ receipt: "r_0", basis: "pending", model: "bard@1" }],
    });
    expect(headers.get("x-tabgrid-receipt")).toBe("r_0");
    expect(headers.get("x-tabgrid-basis")).toBe("pending");
    expect(headers.get("x-tabgrid-price")).toBe("0.43");
    expect(api.script.text.asked[0]).toMatchObject({ customer: "c_ann", requestSeed: null, level: null });
  });

  it("hands on every setting", async () => {
    await chat({
      temperature: 0.5,
      top_p: 0.9,
      top_k: 7,
      presence_penalty: 1,
      frequency_penalty: -1,
      logit_bias: { 65: -100 },
      seed: 42,
      max_completion_tokens: 9,
      service_level: "verified",
      user: "u",
      metadata: { a: "b" },
      n: 2,
    });
    const { asked } = api.script.text;
    expect(asked.map(({ choice }) => choice)).toEqual([0, 1]);
    expect(asked[0]).toMatchObject({
      requestSeed: 42n,
      level: "verified",
      settings: {
        temperature: 0.5,
        topP: 0.9,
        topK: 7,
        presencePenalty: 1,
        frequencyPenalty: -1,
        bias: [[65, -100]],
        maxTokens: 9,
        stopTokens: [256],
        grammar: null,
      },
    });
  });

  it("takes parts of text, functions' results and every role", async () => {
    await chat({
      messages: [
        { role: "developer", content: "Be brief" },
        {
          role: "user",
          content: [
            { type: "text", text: "a" },
            { type: "text", text: "b" },
          ],
          name: "Ann",
        },
        {
          role: "assistant",
          content: null,
          refusal: null,
          tool_calls: [{ id: "call_1", type: "function", function: { name: "f", arguments: "{}" } }],
        },
        { role: "tool", content: "4", tool_call_id: "call_1" },
      ],
    });
    const prompt = Buffer.from(api.script.text.asked[0]?.prompt ?? []).toString();
    expect(prompt).toBe(
      'developer: Be brief\nuser: ab\nassistant: [{"id":"call_1","name":"f","arguments":"{}"}]\ntool: 4\nassistant: ',
    );
  });

  it("is cut at the most tokens, and has as many as the context leaves", async () => {
    expect((await chat({ max_tokens: 5 })).reply.choices[0]).toMatchObject({
      message: { content: "To be" },
      finish_reason: "length",
    });
    await chat({ messages: [{ role: "user", content: "x".repeat(4_000) }] });
    expect(api.script.text.asked[1]?.settings.maxTokens).toBe(4_096 - 4_000 - "user: \nassistant: ".length);
  });

  it("ends at a stop string across tokens, which ends its generation too", async () => {
    api.script.text.says = `${"To be or ".repeat(3)}END${" and more".repeat(50)}`;
    const { reply } = await chat({ stop: ["END", "never"] });
    expect(reply.choices[0]).toMatchObject({ message: { content: "To be or ".repeat(3) }, finish_reason: "stop" });
    const delivered = "To be or To be or To be or END".length;
    expect(api.script.text.delivered).toEqual([delivered]);
    expect(reply.usage.completion_tokens).toBe(delivered);
    const streamed = await stream({ stop: "END" });
    expect(textOf(streamed.chunks)).toBe("To be or ".repeat(3));
  });

  it("keeps characters whole that lie across tokens", async () => {
    api.script.text.says = "Zwölf Boxkämpfer 🥊 jagen";
    api.script.text.partTokens = 1;
    expect((await chat()).reply.choices[0]?.message.content).toBe("Zwölf Boxkämpfer 🥊 jagen");
    const { chunks } = await stream();
    expect(textOf(chunks)).toBe("Zwölf Boxkämpfer 🥊 jagen");
  });

  it("gives the log-probability of each token that was let go, with the likeliest", async () => {
    api.script.text.says = "Hallö END";
    const { reply } = await chat({ logprobs: true, top_logprobs: 2, stop: "END" });
    const content = reply.choices[0]?.logprobs?.content ?? [];
    expect(Buffer.from(content.flatMap(({ bytes }) => bytes)).toString()).toBe("Hallö ");
    expect(content[0]).toMatchObject({ token: "H", logprob: -0.5, bytes: [72] });
    expect(content[0]?.top_logprobs.map(({ token, logprob }) => [token, logprob])).toEqual([
      ["H", -0.5],
      ["I", -1],
    ]);
    const { chunks } = await stream({ logprobs: true, stop: "END" });
    const streamed = chunks.flatMap(({ choices }) => choices[0]?.logprobs?.content ?? []);
    expect(streamed.map(({ token }) => token)).toEqual(content.map(({ token }) => token));
    expect((await chat()).reply.choices[0]?.logprobs).toBeNull();
  });

  it("says what it would cost at most, and does nothing", async () => {
    const quoted = quoteSchema.strict().parse(await (await post({ dry_run: true, max_tokens: 100, n: 2 })).json());
    const prompt = "user: Speak\nassistant: ".length;
    expect(quoted).toMatchObject({
      price: String((2 * (prompt + 100) * 10) / 1_000),
      usage: { completion_tokens: 200 },
    });
    expect(api.script.text.asked).toEqual([]);
  });

  it("counts tokens, beside requests, against the key", async () => {
    const { headers } = await chat({ max_tokens: 10 });
    expect(Number(headers.get("x-ratelimit-limit-tokens"))).toBeGreaterThan(0);
    expect(Number(headers.get("x-ratelimit-remaining-tokens"))).toBeLessThan(
      Number(headers.get("x-ratelimit-limit-tokens")),
    );
    expect(headers.get("x-ratelimit-reset-tokens")).toMatch(/^\d+\.\d{3}s$/);
  });
});

describe("a stream", () => {
  it("tells the answer as it comes, its end, and on request what it used", async () => {
    const { response, chunks, last } = await stream({ stream_options: { include_usage: true } });
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    expect(response.headers.get("cache-control")).toContain("no-transform");
    expect(last).toBe("[DONE]");
    expect(textOf(chunks)).toBe("To be, or not to be");
    expect(chunks[0]?.choices[0]?.delta.role).toBe("assistant");
    expect(chunks.filter(({ choices }) => choices[0]?.delta.role)).toHaveLength(1);
    expect(chunks.at(-2)).toMatchObject({
      choices: [{ finish_reason: "stop" }],
      usage: null,
      tabgrid: { price: "0.43" },
    });
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 20 } });
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  });

  it("has a choice in every chunk unless usage was asked for", async () => {
    const { chunks } = await stream({ n: 2 });
    expect(chunks.every(({ choices }) => choices.length === 1)).toBe(true);
    expect([textOf(chunks, 0), textOf(chunks, 1)]).toEqual(["To be, or not to be", "To be, or not to be"]);
    const ends = chunks.filter(({ choices }) => choices[0]?.finish_reason);
    expect(ends.map(({ choices, tabgrid }) => [choices[0]?.index, tabgrid?.answers[0]?.index])).toEqual([
      [0, 0],
      [1, 1],
    ]);
  });

  it("that fails before its first token is an error with a status", async () => {
    api.script.text.beforePart = async () => failure("no-capable-miner", "no tab serves bard now");
    const response = await post({ stream: true });
    expect(response.status).toBe(503);
    expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(Number(response.headers.get("retry-after-ms"))).toBeGreaterThan(0);
    expect(await response.json()).toEqual({
      error: { message: "no tab serves bard now", type: "server_error", param: null, code: "no_capable_miner" },
    });
  });

  it("that fails in the middle ends with an error event", async () => {
    api.script.text.beforePart = async (index) => (index === 2 ? failure("execution-failed", "all left") : null);
    const { chunks, last } = await stream();
    expect(textOf(chunks)).toBe("To be,");
    expect(JSON.parse(last)).toEqual({
      error: { message: "all left", type: "server_error", param: null, code: "execution_failed" },
    });
  });

  it("that the caller leaves ends its generation", async () => {
    const left = new AbortController();
    api.script.text.says = "word ".repeat(800);
    api.script.text.beforePart = async (index, signal) => {
      if (index === 3) {
        left.abort();
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
      }
      return null;
    };
    await expect(post({ stream: true }, {}, left.signal).then((all) => all.text())).rejects.toThrow();
    await expect.poll(() => api.script.text.delivered[0], { timeout: 30_000 }).toBe(12);
  });
});

describe("functions", () => {
  const tools = [
    { type: "function", function: { name: "weather", description: "of a city", parameters: { type: "object" } } },
    {
      type: "function",
      function: { name: "time", parameters: { type: "object", properties: { zone: { type: "string" } } } },
    },
  ];

  it("are called, where the model chooses to", async () => {
    api.script.text.says = '<tool_call>{"name": "weather", "arguments": {"city": "Rome"}}</tool_call>';
    const { reply } = await chat({ tools });
    expect(reply.choices[0]).toMatchObject({
      message: {
        content: null,
        tool_calls: [{ type: "function", function: { name: "weather", arguments: '{"city":"Rome"}' } }],
      },
      finish_reason: "tool_calls",
    });
    const prompt = Buffer.from(api.script.text.asked[0]?.prompt ?? []).toString();
    expect(prompt.split("\n")[0]).toBe(JSON.stringify(tools[0]?.function));
  });

  it("are told in the system message where the template knows none", async () => {
    api.script.text.knowsTools = false;
    await chat({
      tools,
      messages: [
        { role: "system", content: "Be brief" },
        { role: "user", content: "?" },
      ],
    });
    const prompt = Buffer.from(api.script.text.asked[0]?.prompt ?? []).toString();
    expect(prompt).toMatch(/^system: Be brief\n\nYou may call functions/);
    expect(prompt).toContain(JSON.stringify(tools[1]?.function));
    expect(prompt).toContain("<tool_call>");
  });

  it("that are forced bind the text, and stream their arguments", async () => {
    api.script.text.says = '{"zone": "CET"}';
    const choice = { type: "function", function: { name: "time" } };
    const { chunks } = await stream({ tools, tool_choice: choice });
    const calls = chunks.flatMap(({ choices }) => choices[0]?.delta.tool_calls ?? []);
    expect(calls[0]).toMatchObject({ index: 0, type: "function", function: { name: "time", arguments: "" } });
    expect(calls.slice(1).every((call) => call.id === undefined && call.index === 0)).toBe(true);
    expect(calls.length).toBeGreaterThan(3);
    expect(calls.map((call) => call.function.arguments).join("")).toBe('{"zone": "CET"}');
    expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe("tool_calls");
    expect(api.script.text.asked[0]?.settings.grammar).toEqual({
      kind: "json-schema",
      schema: { ...tools[1]?.function.parameters, additionalProperties: false },
    });
  });
});

describe("structured output", () => {
  it("binds the text to JSON, or to a schema", async () => {
    api.script.text.says = "{}";
    await chat({ response_format: { type: "json_object" } });
    const schema = { type: "object", properties: { a: { type: "number" } } };
    await chat({ response_format: { type: "json_schema", json_schema: { name: "a", strict: true, schema } } });
    await chat({ response_format: { type: "text" } });
    expect(api.script.text.asked.map(({ settings }) => settings.grammar)).toEqual([
      { kind: "json-schema", schema: { type: "object" } },
      { kind: "json-schema", schema },
      null,
    ]);
  });
});
