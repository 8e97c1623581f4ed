import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import OpenAI from "openai";
import type { Browser } from "puppeteer";
import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import type { Receipts } from "../../shared/openai-api.ts";
import { launchChromium, Tab } from "./tabs.ts";
import { startTestHub, type TestHub } from "./test-hub.ts";

/**
 * Agents, and the hub as a tool of other people's agents, on a hub whose only miner is a tab of Chromium: it embeds what
 * an agent knows and what it is asked, and writes what it says.
 */

let test: TestHub;
let browser: Browser;
let openai: OpenAI;
let mcp: Client;
let tools: { server: Server; url: string; called: string[] };
const model = "shakespeare";

beforeAll(async () => {
  tools = await startTools();
  test = await startTestHub({ referenceServes: false, toolsOnLoopback: true });
  browser = await launchChromium();
  const { url, firstKey } = test.hub;
  openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: firstKey.value, maxRetries: 0 });
  mcp = new Client({ name: "test", version: "1" });
  const headers = { authorization: `Bearer ${firstKey.value}` };
  await mcp.connect(new StreamableHTTPClientTransport(new URL(`${url}/mcp`), { requestInit: { headers } }) as never);
  await Tab.open(browser, url, "wasm").then((tab) => tab.admitted("digits@1"));
});
afterAll(async () => {
  await mcp?.close();
  await browser?.close();
  await test?.close();
  tools?.server.closeAllConnections();
  tools?.server.close();
});

/** A customer's own tool server, which the hub calls for the agent. */
async function startTools() {
  const called: string[] = [];
  const server = createServer(async (request, response) => {
    const own = new McpServer({ name: "stage", version: "1" });
    const inputSchema = { act: z.enum(["one", "two"]) };
    own.registerTool("curtain", { description: "Raises it", inputSchema }, async ({ act }) => {
      called.push(act);
      return { content: [{ type: "text", text: `Act ${act} begins.` }] };
    });
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
    await own.connect(transport as never);
    await transport.handleRequest(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`, called };
}

async function agents(method: string, path = "", body?: object) {
  const response = await fetch(`${test.hub.url}/api/v1/agents${path}`, {
    method,
    headers: { authorization: `Bearer ${test.hub.firstKey.value}`, "content-type": "application/json" },
    ...(body && { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: response.status === 204 ? null : await response.json() };
}
const usage = async (name: string) =>
  (await agents("GET", `/${name}/usage`)).body.data[0] ?? { requests: 0, cost: "0" };
const receiptsIn = (reply: object) => (reply as { tabgrid: Receipts }).tabgrid;
const ask = (asked: string, content: string, system?: string) =>
  openai.chat.completions.create({
    model: asked,
    messages: [...(system ? [{ role: "system" as const, content: system }] : []), { role: "user", content }],
    temperature: 0,
    max_tokens: 16,
  });

const sea = "The sea is deep and the waves of the sea are cold.";
const crown = "The king wears a golden crown on his head.";
const guide = {
  name: "guide",
  model,
  instructions: "Speak of what is known.",
  temperature: 0,
  max_tokens: 16,
  knowledge: { model: "sentences", texts: [{ text: crown }, { title: "Sea", text: sea }] },
};

it("an agent tells its model what it knows of the question, and its usage grows", async () => {
  const { status, body } = await agents("POST", "", guide);
  expect([status, body]).toMatchObject([201, { callable_as: "agent:guide", knowledge: { texts: 2, passages: 2 } }]);
  const told = (...passages: string[]) =>
    `${guide.instructions}\n\nWhat is known that may help:${passages.map((text, at) => `\n[${at + 1}] ${text}`).join("")}`;
  const questions: [string, string][] = [
    ["How cold are the waves of the sea?", told(`Sea: ${sea}`, crown)],
    ["What does the king wear on his head?", told(crown, `Sea: ${sea}`)],
  ];
  let cost = 0;
  for (const [at, [question, system]] of questions.entries()) {
    const reply = await ask("agent:guide", question);
    // Greedy: the very text of the model when it is told the nearest passage first.
    const plain = await ask(model, question, system);
    expect(reply.choices[0]?.message.content).toBe(plain.choices[0]?.message.content);
    expect(reply.usage).toEqual(plain.usage);
    const { answers, price } = receiptsIn(reply);
    expect(answers.map((answer) => answer.model)).toEqual(["sentences@1", "shakespeare@1"]);
    cost += Number(price);
    expect(await usage("guide")).toMatchObject({ requests: at + 1, tool_calls: 0 });
    expect(Number((await usage("guide")).cost)).toBeCloseTo(cost);
  }
  expect(cost).toBeGreaterThan(0);
});

it("an agent calls its own tool and goes on with what that said", async () => {
  const server = { type: "mcp", server_label: "stage", server_url: tools.url };
  expect((await agents("POST", "", { name: "player", model, tools: [server] })).status).toBe(201);
  const reply = await openai.chat.completions.create({
    model: "agent:player",
    messages: [{ role: "user", content: "Begin" }],
    tool_choice: "required",
  });
  expect(tools.called).toHaveLength(1);
  expect(["one", "two"]).toContain(tools.called[0]);
  expect(reply.choices[0]?.message.tool_calls).toBeUndefined();
  expect(reply.choices[0]?.message.content?.length).toBeGreaterThan(0);
  expect(receiptsIn(reply).answers.map((answer) => answer.model)).toEqual(["shakespeare@1", "shakespeare@1"]);
  expect(await usage("player")).toMatchObject({ requests: 1, tool_calls: 1 });
});

it("an MCP client finds the grid's tools, completes a text, embeds, and asks the agent", async () => {
  const names = (await mcp.listTools()).tools.map(({ name }) => name);
  expect(names).toEqual(["list_models", "chat", "embed", "run_model", "job_status", "agent_guide", "agent_player"]);
  const call = async (name: string, given: Record<string, unknown>) => {
    const { content, isError } = await mcp.callTool({ name, arguments: given });
    expect(isError ?? false, JSON.stringify(content)).toBe(false);
    return (content as { text: string }[])[0]?.text ?? "";
  };
  const messages = [{ role: "user", content: "Speak of the sea" }];
  const said = await call("chat", { model, messages, temperature: 0, max_tokens: 16 });
  expect(said).toBe((await ask(model, "Speak of the sea")).choices[0]?.message.content);
  const { data } = JSON.parse(await call("embed", { model: "sentences", input: [sea] }));
  expect(data[0].embedding).toHaveLength(128);
  const before = (await usage("guide")).requests;
  const answer = await call("agent_guide", { messages });
  expect(answer).toBe((await ask("agent:guide", "Speak of the sea")).choices[0]?.message.content);
  expect((await usage("guide")).requests).toBe(before + 2);
});

it("an agent that is removed answers no more; nothing went wrong in the hub, and its books add up", async () => {
  expect((await agents("DELETE", "/guide")).status).toBe(204);
  await expect(ask("agent:guide", "?")).rejects.toMatchObject({ status: 404, code: "unknown_agent" });
  expect(test.faults).toEqual([]);
  expect(await test.hub.store.imbalance()).toEqual({ USDC: 0n, DN: 0n });
});
