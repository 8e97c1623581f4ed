import type { z } from "zod";
import { openAiErrorSchema, openAiModelSchema, openAiModelsSchema } from "../../shared/api.ts";
import type { Gateway, ModelStatus } from "../gateway.ts";
import { type Endpoint, segment } from "./endpoint.ts";
import { notFound } from "./error-reply.ts";
import { priceHint } from "./price-text.ts";

const tag = "OpenAI's shapes";

/** What OpenAI's clients list: the newest version of every model, by its id. */
export function openAi(gateway: Gateway): Endpoint[] {
  return [
    {
      method: "get",
      path: "/v1/models",
      tag,
      summary: "The newest version of every model",
      access: "open",
      replies: { 200: { description: "models", schema: openAiModelsSchema } },
      handle: (_request, response) => {
        const ids = new Set(gateway.models().map(({ manifest }) => manifest.id));
        const data = [...ids].flatMap((id) => gateway.model(id) ?? []).map(modelOf);
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
      handle: (request, response) => {
        const asked = segment(request, "model");
        const [id = "", version] = asked.split("@");
        const found = gateway.model(id, version);
        if (!found) throw notFound("unknown-model", "model", asked);
        response.json(modelOf(found));
      },
    },
  ];
}

function modelOf({ manifest, publishedAt, miners }: ModelStatus): z.input<typeof openAiModelSchema> {
  return {
    id: manifest.id,
    object: "model",
    created: Math.floor(publishedAt / 1000),
    owned_by: manifest.creator,
    version: manifest.version,
    task: manifest.task,
    online_miners: miners,
    price: priceHint(manifest),
  };
}
