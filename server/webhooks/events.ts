import { receiptOf } from "../../shared/ids.ts";
import type { ReceiptRevised } from "../core/events.ts";
import { canonicalJson } from "../economy/receipts.ts";
import type { WebhookEvent } from "../store/webhook-store.ts";

/** What a webhook may ask for. */
export const eventTypes = ["receipt.revised"] as const;
export type EventType = (typeof eventTypes)[number];

/** Standard Webhooks: `type`, `timestamp` and `data`. */
export const eventBody = (type: string, at: number, data: object): string =>
  canonicalJson({ type, timestamp: new Date(at).toISOString(), data });

/** A delivered answer was refuted: its receipt has a revision, and its customer has the price back. */
export function revisedEvent({ task, customer, at, state, reason }: ReceiptRevised): WebhookEvent {
  const data = { receipt: receiptOf(task), task, state, reason };
  return {
    id: `evt_${task.slice(2)}_${state}`,
    customer,
    type: "receipt.revised",
    at,
    body: eventBody("receipt.revised", at, data),
  };
}
