import { z } from "zod";
import { limits } from "./limits.ts";
import { serviceLevels } from "./pricing.ts";

/** Agents under `/api/v1/agents`; one answers as model `agent:NAME` on `/v1/chat/completions`. */

export const agentNameSchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "lower-case letters, digits and '-', at most 63")
  .meta({ description: "callable as `agent:NAME`" });

const toolServer = {
  type: z.literal("mcp"),
  server_label: z
    .string()
    .regex(/^[A-Za-z0-9]{1,24}$/, "letters and digits, at most 24")
    .meta({ description: "tools are told to the model as `LABEL_TOOL`" }),
  server_url: z.string().max(2_048).meta({ description: "of an MCP server (streamable HTTP), https and public" }),
  allowed_tools: z.array(z.string().max(128)).max(limits.toolsMax).nullish().meta({ description: "all if absent" }),
};
const headerName = z.string().regex(/^[A-Za-z0-9-]{1,64}$/, "a header's name");
const headerValue = z.string().regex(/^[\x20-\x7e]{0,4096}$/, "visible ASCII, at most 4096");

const settings = {
  model: z.string().min(1).max(limits.nameChars).meta({ description: "a text model, `id` or `id@version`" }),
  instructions: z.string().max(limits.agentInstructionsChars).default(""),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  top_k: z.int().nonnegative().max(1_000_000).nullish(),
  max_tokens: z.int().min(1).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  service_level: z.enum(serviceLevels).nullish(),
  public: z.boolean().default(false).meta({ description: "others may call it, at their own cost" }),
};
const knowledgeText = z.strictObject({
  title: z.string().max(limits.nameChars).nullish(),
  text: z.string().min(1).max(limits.knowledgeChars),
});

export const agentRequestSchema = z
  .strictObject({
    name: agentNameSchema,
    ...settings,
    tools: z
      .array(
        z.strictObject({
          ...toolServer,
          headers: z
            .record(headerName, headerValue)
            .nullish()
            .meta({ description: "sent to the server, never shown; absent in a change: they stay" }),
        }),
      )
      .max(limits.agentServersMax)
      .default([]),
    knowledge: z
      .strictObject({
        model: z.string().min(1).max(limits.nameChars).meta({ description: "an embedding model" }),
        texts: z.array(knowledgeText).min(1).max(limits.knowledgeTextsMax),
      })
      .nullish()
      .meta({
        description:
          "embedded at the cost of its owner; the nearest passages are told with each question; absent in a change: it stays",
      }),
  })
  .refine(({ tools }) => new Set(tools.map((tool) => tool.server_label)).size === tools.length, {
    path: ["tools"],
    error: "each server_label once",
  })
  .refine(({ knowledge }) => charsOf(knowledge?.texts ?? []) <= limits.knowledgeChars, {
    path: ["knowledge", "texts"],
    error: `at most ${limits.knowledgeChars} characters together`,
  });
export type AgentRequest = z.output<typeof agentRequestSchema>;

const charsOf = (texts: readonly { text: string }[]): number => texts.reduce((sum, { text }) => sum + text.length, 0);

export const agentSchema = z.object({
  object: z.literal("agent"),
  name: agentNameSchema,
  owner: z.string(),
  callable_as: z.string(),
  ...settings,
  tools: z.array(
    z.object({ ...toolServer, header_names: z.array(z.string()).meta({ description: "values are never shown" }) }),
  ),
  knowledge: z.object({ model: z.string(), texts: z.number(), passages: z.number() }).nullable(),
  created_at: z.number().meta({ description: "Unix milliseconds" }),
  updated_at: z.number(),
});
export const agentsSchema = z.object({ data: z.array(agentSchema) });

export const agentUsageSchema = z.object({
  data: z.array(
    z.object({
      day: z.string().meta({ description: "UTC, 2026-01-31" }),
      requests: z.number(),
      prompt_tokens: z.number(),
      completion_tokens: z.number(),
      tool_calls: z.number(),
      cost: z.string().meta({ description: "µUSDC that its callers paid" }),
    }),
  ),
});
