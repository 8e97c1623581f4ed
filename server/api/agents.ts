import type { Request, Response } from "express";
import type { z } from "zod";
import { agentRequestSchema, agentSchema, agentsSchema, agentUsageSchema } from "../../shared/agent-api.ts";
import { problemSchema } from "../../shared/api.ts";
import { limits } from "../../shared/limits.ts";
import { agentPrefix } from "../agents/conversation.ts";
import type { AgentDesk } from "../agents/desk.ts";
import type { AgentRecord } from "../store/agent-store.ts";
import { customerOf } from "./auth.ts";
import { type Body, type Endpoint, segment } from "./endpoint.ts";
import { notFound, unwrap } from "./error-reply.ts";
import { hangUpSignal } from "./hang-up.ts";
import { parseJson } from "./json-text.ts";
import { microText } from "./price-text.ts";
import { check } from "./validation.ts";

const tag = "Agents";
const problem = { description: "problem", type: "application/problem+json", schema: problemSchema };
const refusals = { 401: problem, 403: problem, 404: problem };
const body: Body = {
  type: "application/json",
  limitBytes: limits.textBodyBytes,
  tooLarge: "body-too-large",
  schema: agentRequestSchema,
};

/** Agents of customers: a model with instructions, tools and knowledge, callable under a name. */
export function agents(desk: AgentDesk): Endpoint[] {
  const own = async (request: Request, response: Response): Promise<AgentRecord> => {
    const name = segment(request, "agent");
    const agent = unwrap(await desk.find(customerOf(response), name));
    // Somebody else's public one may be called, not looked into.
    if (agent.customer !== customerOf(response)) throw notFound("unknown-agent", "agent", name);
    return agent;
  };
  const asked = (request: Request) => unwrap(check(agentRequestSchema, unwrap(parseJson(request.body as Buffer))));
  const row = (
    of: Pick<Endpoint, "method" | "path" | "summary" | "replies" | "handle"> & { body?: Body; isBillable?: boolean },
  ): Endpoint => ({ tag, access: "key", ...of, replies: { ...refusals, ...of.replies } });
  return [
    row({
      method: "post",
      path: "/api/v1/agents",
      summary: "Deploy an agent; its knowledge is embedded at your cost",
      isBillable: true,
      body,
      replies: { 201: { description: "deployed", schema: agentSchema }, 400: problem, 402: problem, 409: problem },
      handle: async (request, response) => {
        const agent = unwrap(await desk.create(customerOf(response), asked(request), hangUpSignal(response)));
        response.status(201).location(`/api/v1/agents/${agent.name}`).json(agentReply(agent));
      },
    }),
    row({
      method: "get",
      path: "/api/v1/agents",
      summary: "Your agents, by name",
      replies: { 200: { description: "agents", schema: agentsSchema } },
      handle: async (_request, response) => {
        response.json({ data: (await desk.list(customerOf(response))).map(agentReply) });
      },
    }),
    row({
      method: "get",
      path: "/api/v1/agents/:agent",
      summary: "One of your agents",
      replies: { 200: { description: "agent", schema: agentSchema } },
      handle: async (request, response) => void response.json(agentReply(await own(request, response))),
    }),
    row({
      method: "put",
      path: "/api/v1/agents/:agent",
      summary: "Change an agent; knowledge is embedded again where it changed",
      isBillable: true,
      body,
      replies: { 200: { description: "changed", schema: agentSchema }, 400: problem, 402: problem },
      handle: async (request, response) => {
        const agent = await own(request, response);
        response.json(agentReply(unwrap(await desk.change(agent, asked(request), hangUpSignal(response)))));
      },
    }),
    row({
      method: "delete",
      path: "/api/v1/agents/:agent",
      summary: "Remove an agent with its knowledge; its usage stays",
      replies: { 204: { description: "removed" } },
      handle: async (request, response) => {
        await desk.remove(await own(request, response));
        response.status(204).end();
      },
    }),
    row({
      method: "get",
      path: "/api/v1/agents/:agent/usage",
      summary: "What an agent was used for, by day, newest first",
      replies: { 200: { description: "usage", schema: agentUsageSchema } },
      handle: async (request, response) => {
        const used = await desk.usage(await own(request, response));
        const data = used.map(({ day, requests, promptTokens, completionTokens, toolCalls, cost }) => ({
          day,
          requests,
          prompt_tokens: promptTokens,
          completion_tokens: completionTokens,
          tool_calls: toolCalls,
          cost: microText(cost),
        }));
        response.json({ data } satisfies z.input<typeof agentUsageSchema>);
      },
    }),
  ];
}

function agentReply(agent: AgentRecord): z.input<typeof agentSchema> {
  const { name, customer, settings, knowledge, createdAt, updatedAt } = agent;
  return {
    object: "agent",
    name,
    owner: customer,
    callable_as: settings.public ? `${agentPrefix}${customer}/${name}` : `${agentPrefix}${name}`,
    ...settings,
    tools: settings.tools.map(({ headers, ...tool }) => ({ ...tool, header_names: Object.keys(headers ?? {}) })),
    knowledge,
    created_at: createdAt,
    updated_at: updatedAt,
  };
}
