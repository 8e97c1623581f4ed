import type { Response } from "express";
import type { z } from "zod";
import type { Manifest } from "../../../models/manifest.ts";
import { openAiErrorSchema } from "../../../shared/api.ts";
import { type OpenAiModel, openAiModelSchema, openAiModelsSchema } from "../../../shared/openai-api.ts";
import { commonsTariff, priceOf } from "../../../shared/pricing.ts";
import { agentPrefix } from "../../agents/conversation.ts";
import type { AgentDesk } from "../../agents/desk.ts";
import type { Gateway, ModelStatus } from "../../gateway/gateway.ts";
import type { AgentRecord } from "../../store/agent-store.ts";
import { callerOf } from "../auth.ts";
import { type Endpoint, segment } from "../endpoint.ts";
import { notFound } from "../error-reply.ts";
import { microText, priceHint } from "../price-text.ts";
import { secondsOf } from "./context.ts";
import { tag } from "./tag.ts";

/** What OpenAI's clients list: the newest version of every model, by its id. */
export function models(gateway: Gateway, agents: AgentDesk | null): Endpoint[] {
  /** The caller's own, where it says who it is. */
  const ownAgents = async (response: Response): Promise<OpenAiModel[]> => {
    const customer = callerOf(response);
    return customer && agents ? (await agents.list(customer)).flatMap((agent) => agentModel(gateway, agent)) : [];
  };
  return [
    {
      method: "get",
      path: "/v1/models",
      tag,
      summary: "The newest version of every model",
      access: "open",
      replies: { 200: { description: "models", schema: openAiModelsSchema } },
      handle: async (_request, response) => {
        const ids = new Set(gateway.models().map(({ manifest }) => manifest.id));
        const data = [...ids].flatMap((id) => gateway.model(id) ?? []).map(modelOf);
        data.push(...(await ownAgents(response)));
        response.json({ object: "list", data } satisfies z.input<typeof openAiModelsSchema>);
      },
    },
    {
      method: "get",
      path: "/v1/models/:model",
      tag,
      summary: "One model, `id` or `id@version`",
      access: "open",
      replies: {
        200: { description: "model", schema: openAiModelSchema },
        404: { description: "unknown", schema: openAiErrorSchema },
      },
      handle: async (request, response) => {
        const asked = segment(request, "model");
        const agent = (await ownAgents(response)).find((one) => one.id === asked);
        if (agent) return void response.json(agent);
        const [id = "", version] = asked.split("@");
        const found = gateway.model(id, version);
        if (!found) throw notFound("unknown-model", "model", asked);
        response.json(modelOf(found));
      },
    },
  ];
}

function modelOf({ manifest, publishedAt, miners }: ModelStatus): OpenAiModel {
  const { text, embedding } = manifest;
  return {
    id: manifest.id,
    object: "model",
    created: secondsOf(publishedAt),
    owned_by: manifest.creator,
    version: manifest.version,
    task: manifest.task,
    context_length: text?.contextLength ?? embedding?.contextLength ?? null,
    dimensions: embedding?.dimensions ?? null,
    online_miners: miners,
    price: text ? null : priceHint(manifest),
    token_price: text ? tokenPrice(text.work) : null,
  };
}

/** As its model, which it answers with; none where that is gone. */
function agentModel(gateway: Gateway, { name, settings, createdAt, customer }: AgentRecord): OpenAiModel[] {
  const [id = "", version] = settings.model.split("@");
  const found = gateway.model(id, version);
  if (!found) return [];
  const created = secondsOf(createdAt);
  return [{ ...modelOf(found), id: `${agentPrefix}${name}`, created, owned_by: customer }];
}

const MILLION = 1_000_000;

/** Of a million tokens, so that rounding to whole µUSDC does not hide a small model's price. */
function tokenPrice({ token, alpha }: NonNullable<Manifest["text"]>["work"]): OpenAiModel["token_price"] {
  const price = (flop: number) => microText(priceOf(BigInt(Math.ceil(flop * MILLION)), "fast", commonsTariff));
  return { input: price(token * alpha), output: price(token) };
}
