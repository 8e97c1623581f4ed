import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { failure } from "../../../shared/errors.ts";
import { completionReplySchema, openAiModelSchema, responsesReplySchema } from "../../../shared/openai-api.ts";
import { bearer, keys, startApi, type TestApi } from "../scripted-gateway.ts";
import { bard, textScript, vectors } from "../scripted-text.ts";

let api: TestApi;
beforeAll(async () => {
  api = await startApi({}, [bard, vectors]);
});
afterAll(() => api.close());
beforeEach(() => {
  Object.assign(api.script.text, textScript());
});

const post = (path: string, body: object) =>
  api.fetch(`/v1/${path}`, { method: "POST", headers: bearer(keys.ann), body: JSON.stringify(body) });
const complete = async (body: object) => {
  const json = await (await post("completions", { model: "bard", prompt: "Speak", ...body })).json();
  return completionReplySchema.strict().parse(json);
};
const events = async (response: Response): Promise<{ event: string | null; data: string }[]> =>
  (await response.text())
    .split("\n\n")
    .filter((part) => part.includes("data: "))
    .map((part) => ({ event: /^event: (.*)$/m.exec(part)?.[1] ?? null, data: /^data: (.*)$/m.exec(part)?.[1] ?? "" }));

describe("a completion", () => {
  it("goes on from a text for as long as asked, or 16 tokens", async () => {
    const reply = await complete({});
    expect(reply.choices).toEqual([{ index: 0, text: "To be, or not to", logprobs: null, finish_reason: "length" }]);
    expect(reply.usage).toEqual({ prompt_tokens: 5, completion_tokens: 16, total_tokens: 21 });
    expect((await complete({ max_tokens: 100 })).choices[0]).toMatchObject({
      text: "To be, or not to be",
      finish_reason: "stop",
    });
  });

  it("takes several prompts, as text or tokens, and several answers of each", async () => {
    api.script.text.says = ({ prompt, choice }) => `${Buffer.from(prompt)}${choice}`;
    expect((await complete({ prompt: ["a", "b"], n: 2 })).choices.map(({ text }) => text)).toEqual([
      "a0",
      "a1",
      "b0",
      "b1",
    ]);
    expect((await complete({ prompt: [[65, 66], [67]] })).choices.map(({ text }) => text)).toEqual(["AB0", "C0"]);
    expect((await complete({ prompt: [65, 66] })).choices.map(({ text }) => text)).toEqual(["AB0"]);
  });

  it("tells the log-probabilities in the old shape", async () => {
    const { choices } = await complete({ logprobs: 2, max_tokens: 3 });
    expect(choices[0]?.logprobs).toEqual({
      tokens: ["T", "o", " "],
      token_logprobs: [-0.5, -0.5, -0.5],
      top_logprobs: [
        { T: -0.5, U: -1 },
        { o: -0.5, p: -1 },
        { " ": -0.5, "!": -1 },
      ],
      text_offset: [0, 1, 2],
    });
    expect((await complete({ logprobs: 0, max_tokens: 1 })).choices[0]?.logprobs?.top_logprobs).toBeNull();
  });

  it("streams", async () => {
    const all = await events(await post("completions", { model: "bard", prompt: "Speak", stream: true, stop: "not" }));
    expect(all.at(-1)?.data).toBe("[DONE]");
    const chunks = all.slice(0, -1).map(({ data }) => completionReplySchema.strict().parse(JSON.parse(data)));
    expect(chunks.map(({ choices }) => choices[0]?.text).join("")).toBe("To be, or ");
    expect(chunks.at(-1)).toMatchObject({ choices: [{ finish_reason: "stop" }], tabgrid: { answers: [{ index: 0 }] } });
  });
});

describe("a response", () => {
  const respond = async (body: object) => {
    const json = await (await post("responses", { model: "bard", input: "Speak", ...body })).json();
    return responsesReplySchema.strict().parse(json);
  };

  it("is a chat in other shapes", async () => {
    const reply = await respond({ instructions: "Be brief", metadata: { a: "b" }, max_output_tokens: 50 });
    expect(reply).toMatchObject({
      object: "response",
      status: "completed",
      store: false,
      metadata: { a: "b" },
      output: [
        {
          type: "message",
          role: "assistant",
          status: "completed",
          content: [{ type: "output_text", text: "To be, or not to be" }],
        },
      ],
      usage: { input_tokens: 40, output_tokens: 20, total_tokens: 60 },
      tabgrid: { answers: [{ receipt: "r_0" }] },
    });
    expect(Buffer.from(api.script.text.asked[0]?.prompt ?? []).toString()).toBe(
      "system: Be brief\nuser: Speak\nassistant: ",
    );
  });

  it("takes items, with earlier calls and their results", async () => {
    await respond({
      input: [
        { role: "user", content: [{ type: "input_text", text: "What time?" }] },
        { type: "function_call", call_id: "call_1", name: "time", arguments: "{}", status: "completed", id: "fc_1" },
        { type: "function_call_output", call_id: "call_1", output: "noon" },
        { type: "message", role: "assistant", content: [{ type: "output_text", text: "Noon", annotations: [] }] },
      ],
    });
    expect(Buffer.from(api.script.text.asked[0]?.prompt ?? []).toString()).toBe(
      'user: What time?\nassistant: [{"id":"call_1","name":"time","arguments":"{}"}]\ntool: noon\nassistant: Noon\nassistant: ',
    );
  });

  it("is incomplete where its tokens did not suffice", async () => {
    expect(await respond({ max_output_tokens: 5 })).toMatchObject({
      status: "incomplete",
      incomplete_details: { reason: "max_output_tokens" },
      output: [{ status: "incomplete", content: [{ text: "To be" }] }],
    });
  });

  it("streams the events of a text, numbered", async () => {
    const all = await events(await post("responses", { model: "bard", input: "Speak", stream: true }));
    const told = all.map(({ data }) => JSON.parse(data));
    expect(told.map(({ sequence_number }) => sequence_number)).toEqual(told.map((_, index) => index));
    expect(all.map(({ event }) => event)).toEqual(told.map(({ type }) => type));
    const types = told.map(({ type }) => type).filter((type, index, list) => type !== list[index - 1]);
    expect(types).toEqual([
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.delta",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.completed",
    ]);
    const deltas = told.filter(({ type }) => type === "response.output_text.delta");
    expect(deltas.map(({ delta }) => delta).join("")).toBe("To be, or not to be");
    expect(told.at(-1).response.output[0].content[0].text).toBe("To be, or not to be");
  });

  it("streams the events of a call", async () => {
    api.script.text.says = '{"zone": "CET"}';
    const tools = [{ type: "function", name: "time", parameters: { type: "object" } }];
    const body = { model: "bard", input: "?", stream: true, tools, tool_choice: "required" };
    const told = (await events(await post("responses", body))).map(({ data }) => JSON.parse(data));
    const added = told.find(({ type }) => type === "response.output_item.added");
    expect(added.item).toMatchObject({ type: "function_call", name: "time", arguments: "", status: "in_progress" });
    const done = told.find(({ type }) => type === "response.function_call_arguments.done");
    expect(done).toMatchObject({ name: "time", arguments: '{"zone": "CET"}', item_id: added.item.id });
    expect(told.at(-1).response).toMatchObject({
      status: "completed",
      output: [{ type: "function_call", status: "completed" }],
    });
  });

  it("that fails in the middle says so", async () => {
    api.script.text.beforePart = async (index) => (index === 2 ? failure("execution-failed", "all left") : null);
    const told = (await events(await post("responses", { model: "bard", input: "?", stream: true }))).map(({ data }) =>
      JSON.parse(data),
    );
    expect(told.at(-1)).toMatchObject({
      type: "response.failed",
      response: { status: "failed", error: { code: "execution_failed", message: "all left" } },
    });
  });
});

it("a text model says its context and what a million of its tokens cost, an embedding model its dimensions", async () => {
  const model = async (id: string) =>
    openAiModelSchema.strict().parse(await (await api.fetch(`/v1/models/${id}`)).json());
  expect(await model("bard")).toMatchObject({
    task: "text-generation",
    context_length: 4_096,
    online_miners: 3,
    price: null,
    // 5,000,000 FLOP a token at 0.02 µUSDC per GFLOP.
    token_price: { input: "10", output: "100" },
  });
  expect(await model("vectors")).toMatchObject({
    task: "embedding",
    context_length: 64,
    dimensions: 4,
    token_price: null,
  });
});
