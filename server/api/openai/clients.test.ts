import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateObject, generateText, jsonSchema, streamText, tool } from "ai";
import OpenAI, { APIError, toFile } from "openai";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { failure } from "../../../shared/errors.ts";
import { keys, startApi, type TestApi } from "../scripted-gateway.ts";
import { bard, textScript, vectors } from "../scripted-text.ts";

/** The clients that people use, against this API with a scripted model. */

let api: TestApi;
let openai: OpenAI;
let vercel: ReturnType<typeof createOpenAICompatible>;
beforeAll(async () => {
  api = await startApi({}, [bard, vectors]);
  openai = new OpenAI({ baseURL: `${api.url}/v1`, apiKey: keys.ann, maxRetries: 0 });
  vercel = createOpenAICompatible({
    name: "tabgrid",
    baseURL: `${api.url}/v1`,
    apiKey: keys.ann,
    includeUsage: true,
    supportsStructuredOutputs: true,
  });
});
afterAll(() => api.close());
beforeEach(() => {
  Object.assign(api.script.text, textScript());
});

const messages = [{ role: "user" as const, content: "Speak" }];
const weather = {
  type: "function" as const,
  function: { name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } } },
};

describe("the openai package", () => {
  it("chats, whole and as a stream, with usage and log-probabilities", async () => {
    const whole = await openai.chat.completions.create({ model: "bard", messages, logprobs: true, top_logprobs: 1 });
    expect(whole.choices[0]?.message.content).toBe("To be, or not to be");
    expect(whole.choices[0]?.logprobs?.content).toHaveLength(19);
    expect(whole._request_id).toMatch(/^req_/);
    const runner = openai.chat.completions.stream({ model: "bard", messages, stream_options: { include_usage: true } });
    let text = "";
    runner.on("content", (delta) => {
      text += delta;
    });
    const final = await runner.finalChatCompletion();
    expect([text, final.choices[0]?.message.content]).toEqual(["To be, or not to be", "To be, or not to be"]);
    expect(final.usage?.completion_tokens).toBe(20);
  });

  it("runs functions to their end", async () => {
    api.script.text.says = ({ prompt }) =>
      Buffer.from(prompt).includes("sunny")
        ? "It is sunny."
        : '<tool_call>{"name":"weather","arguments":{"city":"Rome"}}</tool_call>';
    const asked: string[] = [];
    const run = (city: string): string => {
      asked.push(city);
      return "sunny";
    };
    const runner = openai.chat.completions.runTools({
      model: "bard",
      messages,
      tools: [
        {
          ...weather,
          function: {
            ...weather.function,
            description: "of a city",
            parse: (text: string): { city: string } => JSON.parse(text),
            function: ({ city }: { city: string }) => run(city),
          },
        },
      ],
    });
    expect(await runner.finalContent()).toBe("It is sunny.");
    expect(asked).toEqual(["Rome"]);
  });

  it("parses structured output and forced calls, also as a stream", async () => {
    api.script.text.says = '{"city": "Rome"}';
    const schema = {
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
      additionalProperties: false,
    };
    const parsed = await openai.chat.completions.parse({
      model: "bard",
      messages,
      response_format: { type: "json_schema", json_schema: { name: "place", schema, strict: true } },
    });
    expect(parsed.choices[0]?.message.parsed).toEqual({ city: "Rome" });
    const streamed = openai.chat.completions.stream({
      model: "bard",
      messages,
      tools: [weather],
      tool_choice: "required",
    });
    const calls = (await streamed.finalMessage()).tool_calls ?? [];
    expect(
      calls.map((call) => (call.type === "function" ? [call.function.name, call.function.arguments] : [])),
    ).toEqual([["weather", '{"city": "Rome"}']]);
  });

  it("responds, whole and as a stream", async () => {
    expect((await openai.responses.create({ model: "bard", input: "Speak" })).output_text).toBe("To be, or not to be");
    const stream = openai.responses.stream({ model: "bard", input: "Speak" });
    const final = await stream.finalResponse();
    expect([final.status, final.output_text]).toEqual(["completed", "To be, or not to be"]);
  });

  it("embeds, by base64 unless told otherwise", async () => {
    const plain = await openai.embeddings.create({ model: "vectors", input: ["hello", "a"] });
    const float = await openai.embeddings.create({ model: "vectors", input: ["hello", "a"], encoding_format: "float" });
    expect(plain.data.map(({ embedding }) => embedding)).toEqual([
      [5, 104, 111, 1],
      [1, 97, 97, 1],
    ]);
    expect(float.data).toEqual(plain.data);
  });

  it("uploads, batches, polls and reads", async () => {
    const line = { custom_id: "a", method: "POST", url: "/v1/chat/completions", body: { model: "bard", messages } };
    const file = await openai.files.create({
      file: await toFile(Buffer.from(JSON.stringify(line)), "a.jsonl"),
      purpose: "batch",
    });
    const made = await openai.batches.create({
      input_file_id: file.id,
      endpoint: "/v1/chat/completions",
      completion_window: "24h",
    });
    await expect
      .poll(async () => (await openai.batches.retrieve(made.id)).status, { timeout: 30_000 })
      .toBe("completed");
    const { output_file_id } = await openai.batches.retrieve(made.id);
    const answer = JSON.parse(await (await openai.files.content(output_file_id as string)).text());
    expect(answer.response.body.choices[0].message.content).toBe("To be, or not to be");
    const batches: string[] = [];
    for await (const batch of openai.batches.list()) batches.push(batch.id);
    const files: string[] = [];
    for await (const one of openai.files.list()) files.push(one.id);
    expect([batches, files.includes(file.id)]).toEqual([[made.id], true]);
    expect(await openai.files.delete(file.id)).toMatchObject({ deleted: true });
  });

  it("throws its own errors, with code and parameter, also in the middle of a stream", async () => {
    const chat = (body: object) => openai.chat.completions.create({ model: "bard", messages, ...body });
    await expect(chat({ model: "none" })).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    await expect(chat({ voice: "x" })).rejects.toMatchObject({
      status: 400,
      code: "unsupported_parameter",
      param: "voice",
    });
    await expect(chat({ voice: "x" })).rejects.toBeInstanceOf(OpenAI.BadRequestError);
    const stranger = new OpenAI({ baseURL: `${api.url}/v1`, apiKey: "nobody-0123456789" });
    await expect(stranger.models.list()).resolves.toBeDefined();
    await expect(stranger.files.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
    api.script.text.beforePart = async () => failure("insufficient-balance", "no money");
    await expect(chat({})).rejects.toMatchObject({ status: 402, code: "insufficient_quota" });
    api.script.text.beforePart = async (index) => (index === 2 ? failure("execution-failed", "all left") : null);
    const stream = await openai.chat.completions.create({ model: "bard", messages, stream: true });
    const read = async () => {
      for await (const _ of stream);
    };
    const error = await read().catch((thrown) => thrown);
    expect(error).toBeInstanceOf(APIError);
    expect(error).toMatchObject({ code: "execution_failed", error: { message: "all left" } });
  });

  describe("tries again", () => {
    let limited: TestApi;
    afterEach(() => limited.close());
    it("after a 429, when it was told to", async () => {
      limited = await startApi({ rateLimits: { perKey: 2, perAddress: 100, windowSeconds: 1 } });
      const statuses: number[] = [];
      const client = new OpenAI({
        baseURL: `${limited.url}/v1`,
        apiKey: keys.ann,
        maxRetries: 5,
        fetch: async (...request) => {
          const response = await fetch(...request);
          statuses.push(response.status);
          return response;
        },
      });
      for (let asked = 0; asked < 3; asked++) await client.models.list();
      expect(statuses.slice(0, 3)).toEqual([200, 200, 429]);
      expect(statuses.at(-1)).toBe(200);
    });
  });
});

describe("the Vercel AI SDK", () => {
  const prompt = "Speak";
  it("generates and streams text, with usage", async () => {
    const model = vercel("bard");
    const whole = await generateText({ model, prompt, stopSequences: ["not"] });
    expect([whole.text, whole.finishReason]).toEqual(["To be, or ", "stop"]);
    const stream = streamText({ model, prompt });
    let text = "";
    for await (const part of stream.textStream) text += part;
    expect(text).toBe("To be, or not to be");
    expect((await stream.usage).outputTokens).toBe(20);
  });

  it("calls functions and generates objects", async () => {
    api.script.text.says = '<tool_call>{"name":"weather","arguments":{"city":"Rome"}}</tool_call>';
    const inputSchema = jsonSchema<{ city: string }>(weather.function.parameters as never);
    const called = await generateText({ model: vercel("bard"), prompt, tools: { weather: tool({ inputSchema }) } });
    expect(called.toolCalls).toMatchObject([{ toolName: "weather", input: { city: "Rome" } }]);
    const stream = streamText({ model: vercel("bard"), prompt, tools: { weather: tool({ inputSchema }) } });
    expect(await stream.toolCalls).toMatchObject([{ toolName: "weather", input: { city: "Rome" } }]);
    api.script.text.says = '{"city": "Rome"}';
    expect((await generateObject({ model: vercel("bard"), prompt, schema: inputSchema })).object).toEqual({
      city: "Rome",
    });
    expect(api.script.text.asked.at(-1)?.settings.grammar).toMatchObject({ kind: "json-schema" });
  });

  it("embeds", async () => {
    const { embeddings, usage } = await embedMany({ model: vercel.embeddingModel("vectors"), values: ["hello", "a"] });
    expect(embeddings[0]).toEqual([5, 104, 111, 1]);
    expect(usage.tokens).toBe(6);
  });
});
