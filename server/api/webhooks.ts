import type { Request, Response } from "express";
import type { z } from "zod";
import { problemSchema } from "../../shared/api.ts";
import { KIB } from "../../shared/limits.ts";
import {
  deliveriesSchema,
  deliverySchema,
  newWebhookSchema,
  webhookRequestSchema,
  webhookSchema,
  webhooksSchema,
} from "../../shared/webhook-api.ts";
import type { Delivery, WebhookRecord } from "../store/webhook-store.ts";
import type { WebhookDesk } from "../webhooks/desk.ts";
import { customerOf } from "./auth.ts";
import { type Body, type Endpoint, segment } from "./endpoint.ts";
import { unwrap } from "./error-reply.ts";
import { parseJson } from "./json-text.ts";
import { check } from "./validation.ts";

const tag = "Webhooks";
const problem = { description: "problem", type: "application/problem+json", schema: problemSchema };
const refusals = { 401: problem, 403: problem, 404: problem };
const body: Body = {
  type: "application/json",
  limitBytes: 16 * KIB,
  tooLarge: "body-too-large",
  schema: webhookRequestSchema,
};
const DELIVERIES_SHOWN = 100;

/** Where a customer is told what happened to its answers later. */
export function webhooks(desk: WebhookDesk): Endpoint[] {
  const own = async (request: Request, response: Response): Promise<WebhookRecord> =>
    unwrap(await desk.find(customerOf(response), segment(request, "webhook")));
  const asked = (request: Request) => unwrap(check(webhookRequestSchema, unwrap(parseJson(request.body as Buffer))));
  const row = (
    of: Pick<Endpoint, "method" | "path" | "summary" | "replies" | "handle"> & { body?: Body },
  ): Endpoint => ({
    tag,
    access: "key",
    ...of,
    replies: { ...refusals, ...of.replies },
  });
  return [
    row({
      method: "post",
      path: "/api/v1/webhooks",
      summary: "Have events sent to a URL; the reply has the secret that signs them",
      body,
      replies: { 201: { description: "created", schema: newWebhookSchema }, 400: problem, 409: problem },
      handle: async (request, response) => {
        const customer = customerOf(response);
        const webhook = unwrap(await desk.create(customer, asked(request)));
        const reply = { ...webhookReply(webhook), secret: webhook.secret };
        response.status(201).location(`/api/v1/webhooks/${webhook.id}`).json(reply);
      },
    }),
    row({
      method: "get",
      path: "/api/v1/webhooks",
      summary: "Your webhooks, oldest first",
      replies: { 200: { description: "webhooks", schema: webhooksSchema } },
      handle: async (_request, response) => {
        response.json({ data: (await desk.list(customerOf(response))).map(webhookReply) });
      },
    }),
    row({
      method: "get",
      path: "/api/v1/webhooks/:webhook",
      summary: "One webhook",
      replies: { 200: { description: "webhook", schema: webhookSchema } },
      handle: async (request, response) => void response.json(webhookReply(await own(request, response))),
    }),
    row({
      method: "put",
      path: "/api/v1/webhooks/:webhook",
      summary: "Change where and what; the secret stays",
      body,
      replies: { 200: { description: "changed", schema: webhookSchema }, 400: problem },
      handle: async (request, response) => {
        const webhook = await own(request, response);
        response.json(webhookReply(unwrap(await desk.change(webhook, asked(request)))));
      },
    }),
    row({
      method: "delete",
      path: "/api/v1/webhooks/:webhook",
      summary: "Remove a webhook with its deliveries",
      replies: { 204: { description: "removed" } },
      handle: async (request, response) => {
        await desk.remove(await own(request, response));
        response.status(204).end();
      },
    }),
    row({
      method: "post",
      path: "/api/v1/webhooks/:webhook/test",
      summary: "Send an event of type webhook.test now",
      replies: { 200: { description: "how it went", schema: deliverySchema } },
      handle: async (request, response) => {
        response.json(deliveryReply(await desk.test(await own(request, response))));
      },
    }),
    row({
      method: "get",
      path: "/api/v1/webhooks/:webhook/deliveries",
      summary: `The newest ${DELIVERIES_SHOWN} deliveries`,
      replies: { 200: { description: "deliveries", schema: deliveriesSchema } },
      handle: async (request, response) => {
        const found = await desk.deliveries(await own(request, response), DELIVERIES_SHOWN);
        response.json({ data: found.map(deliveryReply) });
      },
    }),
    row({
      method: "post",
      path: "/api/v1/webhooks/:webhook/deliveries/:delivery/redeliver",
      summary: "Send the same event once more, now",
      replies: { 200: { description: "how it went", schema: deliverySchema } },
      handle: async (request, response) => {
        const webhook = await own(request, response);
        response.json(deliveryReply(unwrap(await desk.redeliver(webhook, segment(request, "delivery")))));
      },
    }),
  ];
}

const webhookReply = ({ id, url, events, createdAt }: WebhookRecord): z.input<typeof webhookSchema> => ({
  id,
  url,
  events,
  created_at: createdAt,
});

const deliveryReply = (delivery: Delivery): z.input<typeof deliverySchema> => {
  const { id, event, type, state, attempts, at, dueAt, status, error } = delivery;
  return { id, event, type, state, attempts, at, due_at: state === "pending" ? dueAt : null, status, error };
};
