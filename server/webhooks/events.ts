import { type CustomerId, receiptOf, type TaskId } from "../../shared/ids.ts";
import type { EventType } from "../../shared/webhook-api.ts";
import type { StakeLoss } from "../cases/case-collateral.ts";
import type { CaseDecided, ReceiptRevised } from "../core/events.ts";
import { canonicalJson } from "../economy/receipts.ts";
import type { WebhookEvent } from "../store/webhook-store.ts";

/** Standard Webhooks: `type`, `timestamp` and `data`. */
export const eventBody = (type: string, at: number, data: object): string =>
  canonicalJson({ type, timestamp: new Date(at).toISOString(), data });

const eventOf = (name: string, customer: CustomerId, type: EventType, at: number, data: object): WebhookEvent => ({
  id: `evt_${name}`,
  customer,
  type,
  at,
  body: eventBody(type, at, data),
});

/** A delivered answer was refuted: its receipt has a revision, and its customer has the price back. */
export function revisedEvent({ task, customer, at, state, reason }: ReceiptRevised): WebhookEvent {
  const data = { receipt: receiptOf(task), task, state, reason };
  return eventOf(`${task.slice(2)}_${state}`, customer, "receipt.revised", at, data);
}

/** A ruling, as its parties hear of it: nothing of who ruled, of the reviewer's words or of the evidence. */
type Ruled = Pick<CaseDecided, "case" | "at" | "ruling">;

/** To the customer whose report it was. */
export function reportDecidedEvent({ case: id, at, ruling }: Ruled, task: TaskId, customer: CustomerId): WebhookEvent {
  const data = { case: id, kind: "report", ruling, receipt: receiptOf(task) };
  return eventOf(id.slice(2), customer, "case.decided", at, data);
}

/** To a customer whose stake, delegated to the one it was about, was slashed. */
export function stakeSlashedEvent({ case: id, at, ruling }: Ruled, loss: StakeLoss): WebhookEvent {
  const { customer, domain, validator, slashed } = loss;
  const data = { case: id, kind: "stake", ruling, domain, validator, slashed: slashed.toString() };
  return eventOf(`${id.slice(2)}_${domain}_${customer}`, customer, "case.decided", at, data);
}
