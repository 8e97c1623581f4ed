import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openAiErrorSchema } from "../../../shared/api.ts";
import { failure } from "../../../shared/errors.ts";
import { bearer, keys, startApi, type TestApi } from "../scripted-gateway.ts";
import { bard, contextLength, textScript, vectors } from "../scripted-text.ts";

let api: TestApi;
beforeAll(async () => {
  api = await startApi({}, [bard, vectors]);
});
afterAll(() => api.close());
beforeEach(() => {
  Object.assign(api.script.text, textScript());
});

const messages = [{ role: "user", content: "Speak" }];
const bodies: Record<string, Record<string, unknown>> = {
  "chat/completions": { model: "bard", messages },
  completions: { model: "bard", prompt: "Speak" },
  embeddings: { model: "vectors", input: "a text" },
  responses: { model: "bard", input: "Speak" },
};
const chat = "chat/completions";

const post = (path: string, body: unknown, headers: Record<string, string> = bearer(keys.ann)) =>
  api.fetch(`/v1/${path}`, {
    method: "POST",
    headers,
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
const refusal = async (response: Response) => {
  const { error } = openAiErrorSchema.strict().parse(await response.json());
  return { status: response.status, headers: response.headers, ...error };
};

const tool = (parameters: object = {}) => ({ type: "function", function: { name: "f", parameters } });
const schemaFormat = (schema: object) => ({ type: "json_schema", json_schema: { name: "a", schema } });
const image = { type: "image_url", image_url: { url: "data:," } };

describe("a bad request names its parameter and runs nothing:", () => {
  type Row = [path: string, change: Record<string, unknown>, code: string, param: string, message: RegExp];
  const rows: Row[] = [
    [chat, { tempereture: 1 }, "unsupported_parameter", "tempereture", /no field of this name/],
    [chat, { functions: [] }, "unsupported_parameter", "functions", /no field/],
    [chat, { audio: {} }, "unsupported_parameter", "audio", /no field/],
    [chat, { store: true }, "unsupported_parameter", "store", /expected false/],
    [chat, { messages: undefined }, "invalid_request", "messages", /expected array, got nothing/],
    [chat, { messages: [] }, "invalid_request", "messages", /got an array of 0/],
    [chat, { messages: "Speak" }, "invalid_request", "messages", /expected array, got "Speak"/],
    [
      chat,
      { messages: [{ role: "wizard", content: "" }] },
      "invalid_request",
      "messages[0].role",
      /"system"\|"developer"/,
    ],
    [
      chat,
      { messages: [{ role: "user" }] },
      "invalid_request",
      "messages[0].content",
      /expected string or array, got nothing/,
    ],
    [
      chat,
      { messages: [{ role: "user", content: "a", mood: 1 }] },
      "unsupported_parameter",
      "messages[0].mood",
      /no field/,
    ],
    [
      chat,
      { messages: [{ role: "user", content: [image] }] },
      "unsupported_parameter",
      "messages[0].content[0].type",
      /"text"/,
    ],
    [
      chat,
      { messages: [{ role: "tool", content: "4" }] },
      "invalid_request",
      "messages[0].tool_call_id",
      /got nothing/,
    ],
    [chat, { temperature: 3 }, "invalid_request", "temperature", /<=2, got 3/],
    [chat, { temperature: "hot" }, "invalid_request", "temperature", /expected number, got "hot"/],
    [chat, { top_p: 0 }, "invalid_request", "top_p", />0, got 0/],
    [chat, { top_k: -1 }, "invalid_request", "top_k", />=0/],
    [chat, { presence_penalty: 3 }, "invalid_request", "presence_penalty", /<=2/],
    [chat, { frequency_penalty: -3 }, "invalid_request", "frequency_penalty", />=-2/],
    [chat, { logit_bias: { a: 1 } }, "invalid_request", "logit_bias.a", /a token's number/],
    [chat, { logit_bias: { 65: 101 } }, "invalid_request", "logit_bias.65", /<=100/],
    [chat, { logit_bias: { 999: 1 } }, "value_out_of_range", "logit_bias.999", /below 257/],
    [chat, { max_tokens: 0 }, "invalid_request", "max_tokens", />=1/],
    [chat, { max_completion_tokens: 1.5 }, "invalid_request", "max_completion_tokens", /expected int/],
    [chat, { n: 17 }, "invalid_request", "n", /<=16/],
    [chat, { seed: "a" }, "invalid_request", "seed", /expected number/],
    [chat, { stop: "" }, "invalid_request", "stop", /string/],
    [chat, { stop: ["a", 1] }, "invalid_request", "stop[1]", /expected string, got 1/],
    [chat, { stop: Array(17).fill("a") }, "invalid_request", "stop", /16/],
    [chat, { stream: "yes" }, "invalid_request", "stream", /expected boolean/],
    [chat, { stream_options: { include_usage: true } }, "invalid_request", "stream_options", /stream is not true/],
    [chat, { top_logprobs: 2 }, "invalid_request", "top_logprobs", /logprobs is true/],
    [chat, { logprobs: true, top_logprobs: 21 }, "invalid_request", "top_logprobs", /<=20/],
    [chat, { tools: [{ type: "web_search" }] }, "unsupported_parameter", "tools[0].type", /"function"/],
    [chat, { tools: [tool(), tool()] }, "invalid_request", "tools", /each function once, got f twice/],
    [chat, { tool_choice: "required" }, "invalid_request", "tool_choice", /no tools/],
    [chat, { tools: [tool()], tool_choice: "always" }, "invalid_request", "tool_choice", /"none"/],
    [
      chat,
      { tools: [tool()], tool_choice: { type: "function", function: { name: "g" } } },
      "invalid_request",
      "tool_choice",
      /one of f, got g/,
    ],
    [
      chat,
      { tools: [tool({ type: "string", pattern: "a" })], tool_choice: "required" },
      "unsupported_parameter",
      "the parameters of f.pattern",
      /keyword/,
    ],
    [chat, { response_format: { type: "xml" } }, "unsupported_parameter", "response_format.type", /"json_object"/],
    [
      chat,
      { response_format: { type: "json_schema" } },
      "invalid_request",
      "response_format.json_schema",
      /got nothing/,
    ],
    [
      chat,
      { response_format: schemaFormat({ type: "object", properties: { a: { multipleOf: 2 } } }) },
      "unsupported_parameter",
      "response_format.json_schema.schema.properties.a.multipleOf",
      /multipleOf/,
    ],
    [
      chat,
      { response_format: { type: "json_object" }, tools: [tool()] },
      "unsupported_parameter",
      "response_format",
      /call/,
    ],
    [chat, { service_level: "best" }, "invalid_request", "service_level", /"fast"/],
    [chat, { model: "digits-of-pi" }, "model_not_found", "model", /digits-of-pi does not exist/],
    [chat, { model: "bard@9" }, "model_not_found", "model", /bard@9/],
    [chat, { model: "mixed" }, "invalid_request", "model", /generates text, got mixed, whose task is tensor/],
    [chat, { model: undefined }, "invalid_request", "model", /got nothing/],
    [
      chat,
      { messages: [{ role: "user", content: "x".repeat(contextLength) }] },
      "context_length_exceeded",
      "messages",
      /context is 4096 tokens, but 4115 were asked for/,
    ],
    [
      chat,
      { max_tokens: contextLength },
      "context_length_exceeded",
      "messages",
      /23 of the messages and 4096 to generate/,
    ],

    ["completions", { suffix: "a" }, "unsupported_parameter", "suffix", /expected null/],
    ["completions", { echo: true }, "unsupported_parameter", "echo", /expected false/],
    ["completions", { best_of: 2 }, "unsupported_parameter", "best_of", /expected 1/],
    ["completions", { messages }, "unsupported_parameter", "messages", /no field/],
    ["completions", { prompt: undefined }, "invalid_request", "prompt", /got nothing/],
    ["completions", { prompt: "" }, "invalid_request", "prompt", /at least one token, got none/],
    ["completions", { prompt: [] }, "invalid_request", "prompt", /got an array of 0/],
    ["completions", { prompt: [1, 999] }, "value_out_of_range", "prompt[1]", /below 257, got 999/],
    ["completions", { prompt: [-1] }, "invalid_request", "prompt[0]", /-1/],
    ["completions", { prompt: ["a", "b"], n: 9 }, "invalid_request", "n", /at most 16 answers, got 18/],
    ["completions", { logprobs: 21 }, "invalid_request", "logprobs", /<=20/],
    ["completions", { logprobs: true }, "invalid_request", "logprobs", /expected number/],
    ["completions", { prompt: "x".repeat(5_000) }, "context_length_exceeded", "prompt", /context is 4096 tokens/],
    ["completions", { model: "vectors" }, "invalid_request", "model", /embedding/],

    ["embeddings", { temperature: 1 }, "unsupported_parameter", "temperature", /no field/],
    ["embeddings", { input: "" }, "invalid_request", "input", /text or tokens, got none/],
    ["embeddings", { input: ["a", ""] }, "invalid_request", "input[1]", /got none/],
    ["embeddings", { input: [] }, "invalid_request", "input", /got an array of 0/],
    ["embeddings", { input: 4 }, "invalid_request", "input", /got 4/],
    ["embeddings", { input: [[1], [300]] }, "value_out_of_range", "input[1][0]", /0 to 255, got 300/],
    ["embeddings", { input: Array(2_049).fill("a") }, "invalid_request", "input", /at most 2048 inputs, got 2049/],
    [
      "embeddings",
      { input: "x".repeat(65) },
      "context_length_exceeded",
      "input",
      /reads 64 tokens at once, but input has 65/,
    ],
    ["embeddings", { encoding_format: "hex" }, "invalid_request", "encoding_format", /"float"/],
    ["embeddings", { dimensions: 5 }, "value_out_of_range", "dimensions", /at most 4, got 5/],
    ["embeddings", { dimensions: 0 }, "invalid_request", "dimensions", />=1/],
    ["embeddings", { model: "bard" }, "invalid_request", "model", /makes embeddings, got bard/],

    ["responses", { store: true }, "unsupported_parameter", "store", /expected false/],
    ["responses", { previous_response_id: "resp_1" }, "unsupported_parameter", "previous_response_id", /expected null/],
    ["responses", { background: true }, "unsupported_parameter", "background", /expected false/],
    ["responses", { truncation: "auto" }, "unsupported_parameter", "truncation", /"disabled"/],
    ["responses", { conversation: "c" }, "unsupported_parameter", "conversation", /expected null/],
    ["responses", { include: [] }, "unsupported_parameter", "include", /no field/],
    ["responses", { tools: [{ type: "web_search" }] }, "unsupported_parameter", "tools[0].type", /"function"/],
    ["responses", { input: [] }, "invalid_request", "input", /got an array of 0/],
    ["responses", { input: undefined }, "invalid_request", "input", /got nothing/],
    [
      "responses",
      { input: [{ role: "user", content: [{ type: "input_image" }] }] },
      "unsupported_parameter",
      "input[0].content[0].type",
      /input_text/,
    ],
    ["responses", { input: "x".repeat(5_000) }, "context_length_exceeded", "input", /of the input/],
    [
      "responses",
      { text: { format: { type: "json_schema", name: "a", schema: { pattern: "" } } } },
      "unsupported_parameter",
      "text.format.schema.pattern",
      /pattern/,
    ],
  ];
  it.each(rows)("%s %j is %s in %s", async (path, change, code, param, message) => {
    const refused = await refusal(await post(path, { ...bodies[path], ...change }));
    expect(refused).toMatchObject({ code, param, type: "invalid_request_error" });
    expect(refused.message).toMatch(message);
    expect(refused.status).toBe(code === "model_not_found" ? 404 : 400);
    expect(api.script.text.asked).toEqual([]);
    expect(api.script.inferred).toEqual([]);
  });

  it.each(Object.keys(bodies))("%s without JSON, a key or an account that could pay", async (path) => {
    expect(await refusal(await post(path, '{"model": bard}'))).toMatchObject({ status: 400, code: "malformed_json" });
    expect(await refusal(await post(path, "[]"))).toMatchObject({ status: 400, param: "body" });
    expect(await refusal(await post(path, bodies[path], {}))).toMatchObject({ status: 401, code: "invalid_api_key" });
    const wrong = await refusal(await post(path, bodies[path], bearer(keys.operator)));
    expect(wrong).toMatchObject({ status: 403, type: "permission_error" });
    const huge = await refusal(await post(path, `"${"x".repeat(4 * 1024 * 1024)}"`));
    expect(huge).toMatchObject({ status: 413, code: "body_too_large" });
  });
});

describe("what the hub answers comes in the shape of the API:", () => {
  const failures = [
    [failure("insufficient-balance", "no money"), 402, "insufficient_quota", "insufficient_quota"],
    [failure("no-capable-miner", "no tab"), 503, "no_capable_miner", "server_error"],
    [failure("queue-full", "full", { retryAfter: 2.5 }), 503, "queue_full", "server_error"],
    [failure("deadline-missed", "late"), 504, "deadline_missed", "server_error"],
    [failure("execution-failed", "broke"), 502, "execution_failed", "server_error"],
  ] as const;
  for (const path of Object.keys(bodies)) {
    it.each(failures)(`${path}: $code`, async (failed, status, code, type) => {
      api.script.text.beforePart = async () => failed;
      api.script.infer = async () => ({ ok: false, error: failed });
      const refused = await refusal(await post(path, bodies[path]));
      api.script.infer = null;
      api.script.inferred.length = 0;
      expect(refused).toMatchObject({ status, code, type, message: failed.message });
      if (status === 503) {
        expect(refused.headers.get("retry-after-ms")).toBe(String((failed.retryAfter ?? 5) * 1_000));
        expect(refused.headers.get("retry-after")).toBe(String(Math.ceil(failed.retryAfter ?? 5)));
      }
    });
  }

  it("429 when a key's tokens of a minute are used up, told with what is left", async () => {
    const limited = await startApi({ rateLimits: { perKey: 100, perAddress: 100, tokensPerKey: 100 } }, [bard]);
    const ask = (max_tokens: number) =>
      limited.fetch("/v1/completions", {
        method: "POST",
        headers: bearer(keys.ann),
        body: JSON.stringify({ model: "bard", prompt: "Speak", max_tokens }),
      });
    const first = await ask(60);
    expect([first.status, first.headers.get("x-ratelimit-remaining-tokens")]).toEqual([200, "35"]);
    const refused = await refusal(await ask(90));
    expect(refused).toMatchObject({ status: 429, code: "rate_limit_exceeded", type: "rate_limit_error" });
    expect(Number(refused.headers.get("retry-after-ms"))).toBeGreaterThan(0);
    // The first used 25 of its 65: what it did not use is there again.
    const third = await ask(60);
    expect([third.status, third.headers.get("x-ratelimit-remaining-tokens")]).toEqual([200, "10"]);
    await limited.close();
  });
});
