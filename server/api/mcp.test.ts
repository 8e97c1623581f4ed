import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bearer, keys, mixedRequest, startApi, type TestApi } from "./scripted-gateway.ts";
import { bard, DIMENSIONS, vectors } from "./scripted-text.ts";

let api: TestApi;
let client: Client;
beforeAll(async () => {
  api = await startApi({}, [bard, vectors]);
  client = new Client({ name: "test", version: "1" });
  const transport = new StreamableHTTPClientTransport(new URL(`${api.url}/mcp`), {
    requestInit: { headers: bearer(keys.ann) },
  });
  await client.connect(transport as never);
});
afterAll(async () => {
  await client.close();
  await api.close();
});

const call = async (name: string, given: Record<string, unknown> = {}) => {
  const { content, isError } = await client.callTool({ name, arguments: given });
  const [{ text }] = content as [{ text: string }];
  return { text, isError: isError ?? false };
};

describe("the hub as an MCP server", () => {
  it("lists its tools, and the caller's agents among them", async () => {
    const names = async () => (await client.listTools()).tools.map(({ name }) => name);
    expect(await names()).toEqual(["list_models", "chat", "embed", "run_model", "job_status"]);
    await api.fetch("/api/v1/agents", {
      method: "POST",
      headers: bearer(keys.ann),
      body: JSON.stringify({ name: "my-poet", model: "bard", instructions: "Rhyme." }),
    });
    expect(await names()).toContain("agent_my_poet");
    expect(await call("agent_my_poet", { messages: [{ role: "user", content: "?" }] })).toEqual({
      text: "To be, or not to be",
      isError: false,
    });
  });

  it("answers with what the grid answers", async () => {
    expect(JSON.parse((await call("list_models")).text).models).toContainEqual(
      expect.objectContaining({ id: "bard", task: "text-generation", context_length: 4_096 }),
    );
    const chat = await call("chat", { model: "bard", messages: [{ role: "user", content: "Hi" }], max_tokens: 5 });
    expect(chat.text).toBe("To be");
    expect(api.script.text.asked.at(-1)).toMatchObject({ customer: "c_ann", settings: { maxTokens: 5 } });
    const embedded = JSON.parse((await call("embed", { model: "vectors", input: ["a", "b"] })).text);
    expect(embedded.data[1].embedding).toHaveLength(DIMENSIONS);
    const run = JSON.parse((await call("run_model", { model: "mixed", ...mixedRequest() })).text);
    expect(run).toMatchObject({ model_name: "mixed", outputs: [{ name: "pixels_out" }, { name: "ids_out" }, {}] });
    expect(JSON.parse((await call("job_status", { task: "t_ann" })).text)).toMatchObject({ task: "t_ann" });
  });

  it.each([
    ["chat", { model: "nobody", messages: [{ role: "user", content: "?" }] }, "unknown-model"],
    ["chat", { model: "agent:nobody", messages: [{ role: "user", content: "?" }] }, "unknown-agent"],
    ["embed", { model: "bard", input: "a" }, "invalid-request"],
    [
      "run_model",
      { model: "nobody", inputs: [{ name: "a", datatype: "FP32", shape: [1], data: [1] }] },
      "unknown-model",
    ],
    [
      "run_model",
      { model: "mixed", inputs: [{ name: "a", datatype: "FP32", shape: [1], data: [1] }] },
      "unknown-tensor",
    ],
    ["job_status", { task: "t_bob" }, "unknown-task"],
  ])("tells the model that called %s %j what was wrong", async (name, given, code) => {
    const { text, isError } = await call(name, given);
    expect([isError, JSON.parse(text).error.code]).toEqual([true, code]);
  });

  it("refuses arguments that do not fit, strangers, other sites' pages, and what is no JSON-RPC", async () => {
    expect((await call("chat", { model: 1 })).text).toMatch(/Invalid arguments/);
    const post = (headers: Record<string, string>, body = "{}") =>
      api.fetch("/mcp", {
        method: "POST",
        headers: { accept: "application/json, text/event-stream", "content-type": "application/json", ...headers },
        body,
      });
    expect((await post({})).status).toBe(401);
    expect((await post({ ...bearer(keys.ann), origin: "https://evil.example" })).status).toBe(403);
    expect((await post(bearer(keys.ann), "nonsense")).status).toBe(400);
    expect((await post(bearer(keys.ann), "{}")).status).toBe(400);
    expect((await post(bearer(keys.operator))).status).toBe(403);
    const got = await api.fetch("/mcp", { headers: bearer(keys.ann) });
    expect([got.status, got.headers.get("allow")]).toEqual([405, expect.stringContaining("POST")]);
  });
});
