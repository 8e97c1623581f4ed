import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { bearer, keys, startApi, type TestApi } from "./scripted-gateway.ts";
import { bard, vectors } from "./scripted-text.ts";

let api: TestApi;
let tools: { url: string; called: unknown[]; seen: (string | undefined)[]; server: Server };
let client: OpenAI;

/** A tool server of a customer: what the hub calls. */
async function startTools() {
  const called: unknown[] = [];
  const seen: (string | undefined)[] = [];
  const server = createServer(async (request, response) => {
    seen.push(request.headers["x-secret"] as string | undefined);
    const mcp = new McpServer({ name: "weather", version: "1" });
    const inputSchema = { city: z.string() };
    mcp.registerTool("look.up", { description: "Weather of a city", inputSchema }, async ({ city }) => {
      called.push(city);
      return { content: [{ type: "text", text: `${city}: rain` }] };
    });
    mcp.registerTool("delete_all", { description: "not allowed" }, async () => {
      called.push("deleted");
      return { content: [] };
    });
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
    await mcp.connect(transport as never);
    await transport.handleRequest(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`, called, seen, server };
}

beforeAll(async () => {
  api = await startApi({}, [bard, vectors]);
  tools = await startTools();
  client = new OpenAI({ baseURL: `${api.url}/v1`, apiKey: keys.ann, maxRetries: 0 });
});
afterAll(async () => {
  await api.close();
  tools.server.closeAllConnections();
  tools.server.close();
});
beforeEach(async () => {
  for (const { name } of (await send("GET", "")).body.data) await send("DELETE", `/${name}`);
  api.script.text.says = "To be";
  api.script.text.asked.length = 0;
  tools.called.length = 0;
});

const send = async (method: string, path: string, body?: unknown, key = keys.ann) => {
  const reply = await api.fetch(`/api/v1/agents${path}`, {
    method,
    headers: { "content-type": "application/json", ...bearer(key) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: reply.status, body: reply.status === 204 ? null : await reply.json() };
};
const promptOf = (index: number) => Buffer.from(api.script.text.asked[index]?.prompt ?? []).toString("utf8");
const ask = (model: string, content = "Hello?") =>
  client.chat.completions.create({ model, messages: [{ role: "user", content }] });
const weather = () => ({ type: "mcp", server_label: "weather", server_url: tools.url });

describe("agents", () => {
  it("are deployed, listed, changed, called and removed", async () => {
    const made = await send("POST", "", { name: "poet", model: "bard", instructions: "Rhyme.", temperature: 0.5 });
    expect(made).toMatchObject({ status: 201, body: { name: "poet", callable_as: "agent:poet", knowledge: null } });
    expect((await send("POST", "", { name: "poet", model: "bard" })).body).toMatchObject({ code: "agent-exists" });
    const reply = await ask("agent:poet");
    expect(reply).toMatchObject({ model: "agent:poet", choices: [{ message: { content: "To be" } }] });
    expect(promptOf(0)).toBe("system: Rhyme.\nuser: Hello?\nassistant: ");
    expect(api.script.text.asked[0]).toMatchObject({ customer: "c_ann", settings: { temperature: 0.5 } });
    expect((await client.models.list()).data.map(({ id }) => id)).toContain("agent:poet");
    expect((await client.models.retrieve("agent:poet")).id).toBe("agent:poet");
    const response = await client.responses.create({ model: "agent:poet", input: "Hello?" });
    expect([response.model, response.output_text]).toEqual(["agent:poet", "To be"]);
    api.script.text.asked.length = 1;
    expect((await send("PUT", "/poet", { name: "poet", model: "bard", instructions: "Be brief." })).status).toBe(200);
    await ask("agent:poet");
    expect(promptOf(1)).toContain("system: Be brief.");
    const { body: usage } = await send("GET", "/poet/usage");
    expect(usage.data).toMatchObject([{ requests: 3, tool_calls: 0 }]);
    expect(Number(usage.data[0].cost)).toBeGreaterThan(0);
    expect((await send("DELETE", "/poet")).status).toBe(204);
    await expect(ask("agent:poet")).rejects.toMatchObject({ status: 404, code: "unknown_agent", param: "model" });
    expect((await send("GET", "")).body).toEqual({ data: [] });
  });

  it("belong to their owner; a public one answers others at their cost and shows nothing", async () => {
    await send("POST", "", { name: "mine", model: "bard", instructions: "secret" });
    await send("POST", "", { name: "ours", model: "bard", public: true });
    const bob = new OpenAI({ baseURL: `${api.url}/v1`, apiKey: keys.bob, maxRetries: 0 });
    const body = { messages: [{ role: "user" as const, content: "?" }] };
    for (const model of ["agent:mine", "agent:c_ann/mine"]) {
      await expect(bob.chat.completions.create({ ...body, model })).rejects.toMatchObject({ code: "unknown_agent" });
    }
    await bob.chat.completions.create({ ...body, model: "agent:c_ann/ours" });
    expect(api.script.text.asked.at(-1)?.customer).toBe("c_bob");
    expect((await send("GET", "/mine", undefined, keys.bob)).status).toBe(404);
    expect((await send("DELETE", "/c_ann%2Fours", undefined, keys.bob)).status).toBe(404);
    expect((await bob.models.list()).data.map(({ id }) => id)).not.toContain("agent:mine");
  });

  it("tell the passage that is nearest to the question, embedded once and again when it changes", async () => {
    const texts = [{ title: "Moon", text: "aaaa" }, { text: "zzzz zzzz" }];
    const asked = { name: "sage", model: "bard", knowledge: { model: "vectors", texts } };
    expect((await send("POST", "", asked)).body).toMatchObject({ knowledge: { texts: 2, passages: 2 } });
    const embedded = api.script.inferred.length;
    await send("PUT", "/sage", { ...asked, instructions: "Know." });
    expect(api.script.inferred).toHaveLength(embedded);
    const reply = await ask("agent:sage", "aaaa");
    expect(api.script.inferred).toHaveLength(embedded + 1);
    expect(promptOf(0)).toMatch(/^system: Know\.\n\nWhat is known that may help:\n\[1\] Moon: aaaa\n/);
    const { tabgrid } = reply as unknown as { tabgrid: { answers: { model: string }[] } };
    expect(tabgrid.answers.map(({ model }) => model)).toEqual(["vectors@1", "bard@1"]);
    await send("PUT", "/sage", { ...asked, knowledge: { model: "vectors", texts: [{ text: "new" }] } });
    expect(api.script.inferred.length).toBeGreaterThan(embedded + 1);
    expect((await send("GET", "/sage")).body.knowledge).toEqual({ model: "vectors", texts: 1, passages: 1 });
    // What a change does not name stays; null removes it.
    const { knowledge: _, ...rest } = asked;
    await send("PUT", "/sage", { ...rest, instructions: "Tell." });
    await ask("agent:sage", "new?");
    expect(promptOf(1)).toMatch(/^system: Tell\.\n\nWhat is known that may help:\n\[1\] new\n/);
    expect((await send("PUT", "/sage", { ...rest, knowledge: null })).body.knowledge).toBeNull();
    await ask("agent:sage", "new?");
    expect(promptOf(2)).not.toContain("What is known");
  });

  it("call the tools of their servers and answer with what these said, whole and streamed", async () => {
    const server = { ...weather(), allowed_tools: ["look.up"], headers: { "x-secret": "s3cret" } };
    const { body } = await send("POST", "", { name: "guide", model: "bard", tools: [server] });
    expect(body.tools).toEqual([{ ...weather(), allowed_tools: ["look.up"], header_names: ["x-secret"] }]);
    expect(JSON.stringify((await send("GET", "/guide")).body)).not.toContain("s3cret");
    api.script.text.says = ({ prompt }) =>
      Buffer.from(prompt).toString("utf8").includes("Rome: rain")
        ? "It rains."
        : '<tool_call>{"name": "weather_look_up", "arguments": {"city": "Rome"}}</tool_call>';
    const reply = await ask("agent:guide");
    expect(reply.choices[0]).toMatchObject({ message: { content: "It rains." }, finish_reason: "stop" });
    expect(tools.called).toEqual(["Rome"]);
    expect(new Set(tools.seen)).toEqual(new Set(["s3cret"]));
    expect(promptOf(0)).not.toContain("delete_all");
    const stream = await client.chat.completions.create({
      model: "agent:guide",
      messages: [{ role: "user", content: "Hello?" }],
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("")).toBe("It rains.");
    expect(chunks.some(({ choices }) => choices[0]?.delta.tool_calls)).toBe(false);
    expect(chunks.at(-1)?.usage?.total_tokens).toBe(reply.usage?.total_tokens);
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
    expect((await send("GET", "/guide/usage")).body.data).toMatchObject([{ requests: 2, tool_calls: 2 }]);
    // Headers that a change does not name stay.
    await send("PUT", "/guide", { name: "guide", model: "bard", tools: [weather()] });
    await ask("agent:guide");
    expect(tools.seen.at(-1)).toBe("s3cret");
  });

  it("hand calls of the caller's own functions to the caller, and end after so many rounds", async () => {
    await send("POST", "", { name: "guide", model: "bard", tools: [weather()] });
    api.script.text.says = '<tool_call>{"name": "mine", "arguments": {}}</tool_call>';
    const mine = {
      type: "function" as const,
      function: { name: "mine", parameters: { type: "object", properties: {} } },
    };
    const messages = [{ role: "user" as const, content: "?" }];
    const handed = await client.chat.completions.create({ model: "agent:guide", messages, tools: [mine] });
    expect(handed.choices[0]).toMatchObject({
      finish_reason: "tool_calls",
      message: { tool_calls: [{ function: { name: "mine" } }] },
    });
    api.script.text.asked.length = 0;
    api.script.text.says = '<tool_call>{"name": "weather_look_up", "arguments": {"city": "Oslo"}}</tool_call>';
    const endless = await ask("agent:guide");
    expect(endless.choices[0]?.finish_reason).toBe("stop");
    expect(tools.called).toEqual(Array(7).fill("Oslo"));
    expect(api.script.text.asked).toHaveLength(8);
  });

  it("say which tool server does not answer", async () => {
    await send("POST", "", {
      name: "lost",
      model: "bard",
      tools: [{ type: "mcp", server_label: "gone", server_url: "http://127.0.0.1:9/mcp" }],
    });
    await expect(ask("agent:lost")).rejects.toMatchObject({ status: 502, message: expect.stringContaining("gone") });
  });

  const bad: [string, object, object][] = [
    ["a name with capitals", { name: "Poet" }, { field: "name" }],
    ["a model that there is not", { model: "nobody" }, { code: "unknown-model", field: "model" }],
    ["a model that generates no text", { model: "vectors" }, { field: "model" }],
    [
      "knowledge for a model without embeddings",
      { knowledge: { model: "bard", texts: [{ text: "a" }] } },
      { field: "knowledge.model" },
    ],
    ["no texts", { knowledge: { model: "vectors", texts: [] } }, { field: "knowledge.texts" }],
    [
      "a private address",
      { tools: [{ type: "mcp", server_label: "a", server_url: "https://10.0.0.1/" }] },
      { field: "tools[0].server_url" },
    ],
    [
      "a tool server without TLS",
      { tools: [{ type: "mcp", server_label: "a", server_url: "http://93.184.216.34/" }] },
      { field: "tools[0].server_url" },
    ],
    [
      "a label twice",
      {
        tools: ["/a", "/b"].map((path) => ({
          type: "mcp",
          server_label: "a",
          server_url: `https://93.184.216.34${path}`,
        })),
      },
      { field: "tools" },
    ],
    ["what it does not know", { colour: "red" }, { field: "colour" }],
    ["a temperature out of range", { temperature: 3 }, { field: "temperature" }],
  ];
  it.each(bad)("refuse %s", async (_, change, problem) => {
    const { status, body } = await send("POST", "", { name: "poet", model: "bard", ...change });
    expect({ status, body }).toMatchObject({
      status: expect.toSatisfy((code: number) => code >= 400 && code < 500),
      body: problem,
    });
    expect((await send("GET", "")).body).toEqual({ data: [] });
  });

  it("refuse n above 1", async () => {
    await send("POST", "", { name: "poet", model: "bard" });
    const messages = [{ role: "user" as const, content: "?" }];
    const two = client.chat.completions.create({ model: "agent:poet", messages, n: 2 });
    await expect(two).rejects.toMatchObject({ status: 400, code: "unsupported_parameter", param: "n" });
  });
});
