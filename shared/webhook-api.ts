import { z } from "zod";

/** What a webhook may ask for. */
const eventTypeSchema = z.enum(["receipt.revised", "case.decided"]);
export type EventType = z.infer<typeof eventTypeSchema>;

/** Bodies of `/api/v1/webhooks`. */
export const webhookRequestSchema = z.strictObject({
  url: z.string().min(1).max(2_000),
  events: z.array(eventTypeSchema).min(1).max(8),
});
export const webhookSchema = z.object({
  id: z.string(),
  url: z.string(),
  events: z.array(z.string()),
  created_at: z.number(),
});
export const newWebhookSchema = webhookSchema.extend({
  secret: z.string().meta({ description: "signs the deliveries; shown this once" }),
});
export const webhooksSchema = z.object({ data: z.array(webhookSchema) });

export const deliverySchema = z.object({
  id: z.string(),
  event: z.string().meta({ description: "webhook-id of every attempt" }),
  type: z.string(),
  state: z.enum(["pending", "delivered", "failed"]),
  attempts: z.number(),
  at: z.number(),
  due_at: z.number().nullable().meta({ description: "of the next attempt, while pending" }),
  status: z.number().nullable().meta({ description: "the receiver's last answer" }),
  error: z.string().nullable(),
});
export const deliveriesSchema = z.object({ data: z.array(deliverySchema) });
