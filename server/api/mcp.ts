import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import type { Request, Response } from "express";
import { z } from "zod";
import { problemSchema } from "../../shared/api.ts";
import { failure, type TabgridError, TabgridFailure } from "../../shared/errors.ts";
import type { CustomerId, TaskId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { chatRequestSchema, embeddingRequestSchema } from "../../shared/openai-api.ts";
import { serviceLevels } from "../../shared/pricing.ts";
import { agentPrefix } from "../agents/conversation.ts";
import type { AgentDesk } from "../agents/desk.ts";

import { customerOf } from "./auth.ts";
import type { Endpoint } from "./endpoint.ts";
import { unwrap } from "./error-reply.ts";
import { hangUpSignal } from "./hang-up.ts";
import { encodeAnswer } from "./infer-reply.ts";
import { decodeInfer } from "./infer-request.ts";
import { parseJson } from "./json-text.ts";
import { answerChat } from "./openai/chat.ts";
import type { OpenAiContext } from "./openai/context.ts";
import { answerEmbedding } from "./openai/embeddings.ts";
import { readParameters } from "./openai/parameters.ts";
import { microText } from "./price-text.ts";

/**
 * The hub as an MCP server (Model Context Protocol 2025-06-18, streamable HTTP without sessions): other people's agents
 * call the grid with the API key that its HTTP API takes, and pay alike. One POST, one JSON answer.
 */
export function mcp(context: OpenAiContext, agents: AgentDesk | null, version: string): Endpoint[] {
  const problem = { description: "problem", type: "application/problem+json", schema: problemSchema };
  return [
    {
      method: "post",
      path: "/mcp",
      tag: "MCP",
      summary: "Model Context Protocol: list_models, chat, embed, run_model, job_status, and your agents",
      access: "key",
      body: { type: "application/json", limitBytes: limits.textBodyBytes, tooLarge: "body-too-large" },
      replies: {
        200: { description: "JSON-RPC 2.0 reply", schema: z.looseObject({ jsonrpc: z.literal("2.0") }) },
        202: { description: "notification taken" },
        ...{ 400: problem, 401: problem, 403: problem },
      },
      handle: async (request, response) => {
        refuseForeignPages(request);
        const customer = customerOf(response);
        const message = unwrap(parseJson(request.body as Buffer));
        const server = new McpServer({ name: "tabgrid", version });
        await addTools(server, { context, agents, customer, signal: hangUpSignal(response) });
        const transport = new StreamableHTTPServerTransport({
          sessionIdGenerator: undefined,
          enableJsonResponse: true,
        });
        response.on("close", () => void server.close());
        await server.connect(transport as never);
        await transport.handleRequest(request, response as Response, message);
      },
    },
  ];
}

/** A page of another site that reached this hub by a name of its own must not act with a key that it found. */
function refuseForeignPages({ headers: { origin, host } }: Request): void {
  if (origin === undefined || (URL.canParse(origin) && new URL(origin).host === host)) return;
  const detail = { field: "origin", expected: `none, or this hub's (${host})`, got: origin.slice(0, 200) };
  throw new TabgridFailure(failure("forbidden", `origin: expected ${detail.expected}, got ${detail.got}`, detail));
}

interface Caller {
  context: OpenAiContext;
  agents: AgentDesk | null;
  customer: CustomerId;
  signal: AbortSignal;
}

const levels = z.enum(serviceLevels).optional().describe("fast: verdict after the answer; verified: before it");
const sampling = {
  max_tokens: z.int().min(1).optional(),
  temperature: z.number().min(0).max(2).optional(),
  seed: z.int().optional(),
  service_level: levels,
};
const conversation = {
  messages: z
    .array(z.object({ role: z.enum(["system", "user", "assistant"]), content: z.string() }))
    .min(1)
    .max(limits.messagesMax),
};

async function addTools(server: McpServer, caller: Caller): Promise<void> {
  const { context, agents, customer, signal } = caller;
  const { gateway } = context;
  server.registerTool(
    "list_models",
    { description: "Models of this grid: id, version, task, miners online, inputs and outputs", inputSchema: {} },
    async () => {
      const models = gateway.models().map(({ manifest, miners }) => ({
        id: manifest.id,
        version: manifest.version,
        title: manifest.title,
        task: manifest.task,
        online_miners: miners,
        context_length: manifest.text?.contextLength ?? manifest.embedding?.contextLength ?? null,
        inputs: manifest.inputs.filter(({ name }) => !name.startsWith("past_key_values")),
        outputs: manifest.outputs.filter(({ name }) => !name.startsWith("present")),
      }));
      return told({ models });
    },
  );
  server.registerTool(
    "chat",
    {
      description: "Answers a conversation with a text model, or with an agent as `agent:NAME`",
      inputSchema: { model: z.string(), ...conversation, ...sampling },
    },
    async (given) => said(await chat(caller, given)),
  );
  server.registerTool(
    "embed",
    {
      description: "Vectors of texts by an embedding model",
      inputSchema: {
        model: z.string(),
        input: z.union([z.string(), z.array(z.string()).min(1).max(limits.embeddingInputsMax)]),
        dimensions: z.int().min(1).optional(),
      },
    },
    async (given) => {
      const body = readParameters(embeddingRequestSchema, given);
      const reply = body.ok ? await answerEmbedding(context, { customer, body: body.value, signal }) : body;
      return reply.ok ? told(reply.value) : refused(reply.error);
    },
  );
  server.registerTool(
    "run_model",
    {
      description: "Runs any model on tensors, in the shapes of the Open Inference Protocol 2",
      inputSchema: {
        model: z.string(),
        version: z.string().optional(),
        inputs: z
          .array(
            z.object({
              name: z.string(),
              datatype: z.string().describe("FP32, INT64, UINT8, BOOL, …"),
              shape: z.array(z.int().nonnegative()),
              data: z.array(z.unknown()).describe("row-major"),
            }),
          )
          .min(1),
        service_level: levels,
      },
    },
    async ({ model, version, inputs, service_level }) => {
      const found = gateway.model(model, version);
      if (!found) return refused(failure("unknown-model", `no model ${model}`, { field: "model", got: model }));
      const { manifest } = found;
      const json = JSON.stringify({ inputs, parameters: service_level ? { service_level } : {} });
      const decoded = decodeInfer(Buffer.from(json), undefined, manifest);
      if (!decoded.ok) return refused(decoded.error);
      const { request } = decoded.value;
      const ids = { customer, model: manifest.id, version: manifest.version };
      const answer = await gateway.infer({ ...request, ...ids }, signal);
      if (!answer.ok) return refused(answer.error);
      const { body } = encodeAnswer(answer.value, request.id, request.outputs, () => false);
      return { content: [{ type: "text" as const, text: Buffer.from(body).toString("utf8") }] };
    },
  );
  server.registerTool(
    "job_status",
    { description: "State, price and timeline of one of your tasks", inputSchema: { task: z.string() } },
    async ({ task: id }) => {
      const task = await gateway.task(id as TaskId);
      if (task?.customer !== customer) return refused(failure("unknown-task", `no task ${id}`, { field: "task" }));
      return told({ ...task, price: microText(task.price) });
    },
  );
  for (const { name, settings } of (await agents?.list(customer)) ?? []) {
    server.registerTool(
      `agent_${name.replaceAll("-", "_")}`,
      { description: settings.instructions.slice(0, 500) || `The agent ${name}`, inputSchema: conversation },
      async (given) => said(await chat(caller, { ...given, model: `${agentPrefix}${name}` })),
    );
  }
}

async function chat({ context, customer, signal }: Caller, given: Record<string, unknown>) {
  const body = readParameters(chatRequestSchema, given);
  return body.ok ? answerChat(context, { customer, body: body.value, signal }) : body;
}

/** The text for the model that asked, all of the reply beside it. */
function said(reply: Awaited<ReturnType<typeof chat>>) {
  if (!reply.ok) return refused(reply.error);
  const text = reply.value.choices[0]?.message.content ?? "";
  return { content: [{ type: "text" as const, text }], structuredContent: { ...reply.value } };
}

const told = (value: object) => ({
  content: [{ type: "text" as const, text: JSON.stringify(value) }],
  structuredContent: { ...value },
});

/** An error of the tool, not of the protocol: the model that called it can read what to do otherwise. */
const refused = ({ code, message, field, retryAfter }: TabgridError) => ({
  isError: true,
  content: [{ type: "text" as const, text: JSON.stringify({ error: { code, message, field, retryAfter } }) }],
});
