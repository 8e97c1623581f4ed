import { randomBytes } from "node:crypto";
import { failure, type TabgridError } from "../../shared/errors.ts";
import type { CustomerId } from "../../shared/ids.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import type { Clock } from "../../shared/time.ts";
import type { Delivery, WebhookRecord, WebhookStore } from "../store/webhook-store.ts";
import { checkUrl, resolvePublic } from "./addresses.ts";
import { eventBody } from "./events.ts";
import { send } from "./send.ts";

/**
 * Webhooks of customers, and their deliveries: made of the events that commits left, attempted until the receiver takes
 * them or ten attempts failed. At least once: a receiver tells repetitions by `webhook-id`.
 */
export interface WebhookDeskParts {
  store: WebhookStore;
  clock: Clock;
  /** Lets webhooks go to this machine itself, over plain HTTP: for tests. */
  loopback: boolean;
  warn(message: string, detail: Record<string, unknown>): void;
}

/** After the nth failed attempt; each is drawn out by up to a tenth. */
const RETRY_MS = [5_000, 60_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 50_400_000, 72_000_000];
const POLL_MS = 1_000;
const AT_ONCE = 8;
export const WEBHOOKS_MOST = 20;

export class WebhookDesk {
  readonly #parts: WebhookDeskParts;
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(parts: WebhookDeskParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#timer = setTimeout(() => {
      this.#running = this.deliverDue()
        .catch((error: Error) => this.#parts.warn("webhooks could not be delivered", { error: error.message }))
        .then(() => {
          if (!this.#closed) this.start();
        });
    }, POLL_MS);
    this.#timer.unref();
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer) clearTimeout(this.#timer);
    await this.#running;
  }

  async create(
    customer: CustomerId,
    asked: { url: string; events: string[] },
  ): Promise<Result<WebhookRecord, TabgridError>> {
    const allowed = await this.#allowed(asked.url);
    if (!allowed.ok) return allowed;
    if ((await this.#parts.store.of(customer)).length >= WEBHOOKS_MOST) {
      const expected = `at most ${WEBHOOKS_MOST} webhooks`;
      return err(failure("wrong-state", `expected ${expected}`, { field: "webhooks", expected }));
    }
    const webhook: WebhookRecord = {
      id: `wh_${randomBytes(16).toString("base64url")}`,
      customer,
      url: asked.url,
      events: asked.events,
      secret: `whsec_${randomBytes(32).toString("base64")}`,
      createdAt: this.#parts.clock.now(),
    };
    await this.#parts.store.save(webhook);
    return ok(webhook);
  }

  list = (customer: CustomerId): Promise<WebhookRecord[]> => this.#parts.store.of(customer);

  /** Somebody else's is as unknown as one that never was. */
  async find(customer: CustomerId, id: string): Promise<Result<WebhookRecord, TabgridError>> {
    const webhook = await this.#parts.store.get(id);
    if (webhook?.customer === customer) return ok(webhook);
    return err(failure("unknown-webhook", `no webhook ${id}`, { field: "webhook", got: id }));
  }

  async change(
    webhook: WebhookRecord,
    asked: { url: string; events: string[] },
  ): Promise<Result<WebhookRecord, TabgridError>> {
    const allowed = await this.#allowed(asked.url);
    if (!allowed.ok) return allowed;
    const changed = { ...webhook, ...asked };
    await this.#parts.store.save(changed);
    return ok(changed);
  }

  remove = ({ id }: WebhookRecord): Promise<void> => this.#parts.store.remove(id);

  deliveries = ({ id }: WebhookRecord, limit: number): Promise<Delivery[]> => this.#parts.store.deliveries(id, limit);

  /** An event that says nothing, sent at once. */
  async test(webhook: WebhookRecord): Promise<Delivery> {
    const at = this.#parts.clock.now();
    const event = `evt_${randomBytes(16).toString("base64url")}`;
    const body = eventBody("webhook.test", at, { webhook: webhook.id });
    return this.#attempt(freshDelivery(webhook.id, event, "webhook.test", body, at), webhook, false);
  }

  /** The same event once more, as a delivery of its own. */
  async redeliver(webhook: WebhookRecord, id: string): Promise<Result<Delivery, TabgridError>> {
    const before = await this.#parts.store.delivery(id);
    if (before?.webhook !== webhook.id) {
      return err(failure("unknown-delivery", `no delivery ${id} of ${webhook.id}`, { field: "delivery", got: id }));
    }
    const { event, type, body } = before;
    return ok(
      await this.#attempt(freshDelivery(webhook.id, event, type, body, this.#parts.clock.now()), webhook, false),
    );
  }

  /** One round: new events become deliveries, and those whose time has come are attempted. */
  async deliverDue(): Promise<void> {
    const { store, clock } = this.#parts;
    await store.fanOut((event, webhook) => `dlv_${event.slice(4)}_${webhook.slice(3)}`);
    const due = await store.due(clock.now(), AT_ONCE);
    await Promise.all(
      due.map(async (delivery) => {
        const webhook = await store.get(delivery.webhook);
        if (webhook) await this.#attempt(delivery, webhook, true);
        else await store.put({ ...delivery, state: "failed", error: "the webhook was removed" });
      }),
    );
  }

  async #attempt(delivery: Delivery, webhook: WebhookRecord, retries: boolean): Promise<Delivery> {
    const { store, clock, loopback } = this.#parts;
    const { status, error } = await send(webhook, delivery, clock.now(), loopback);
    const attempts = delivery.attempts + 1;
    const wait = retries ? RETRY_MS[attempts - 1] : undefined;
    const state = error === null ? "delivered" : wait === undefined ? "failed" : "pending";
    const dueAt = clock.now() + (wait ?? 0) * (1 + Math.random() / 10);
    const attempted: Delivery = { ...delivery, attempts, state, dueAt: Math.ceil(dueAt), status, error };
    await store.put(attempted);
    return attempted;
  }

  async #allowed(text: string): Promise<Result<null, TabgridError>> {
    const { loopback } = this.#parts;
    const url = checkUrl(text, loopback);
    if (!url.ok) return url;
    const address = await resolvePublic(url.value, loopback);
    if (address.ok) return ok(null);
    const expected = "a host at public addresses";
    return err(
      failure("invalid-request", `url: expected ${expected}, but ${address.error}`, { field: "url", expected }),
    );
  }
}

function freshDelivery(webhook: string, event: string, type: string, body: string, at: number): Delivery {
  const id = `dlv_${randomBytes(16).toString("base64url")}`;
  return { id, webhook, event, type, body, state: "pending", attempts: 0, at, dueAt: at, status: null, error: null };
}
