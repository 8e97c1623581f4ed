import type { Kysely, Transaction } from "kysely";
import type { CustomerId } from "../../shared/ids.ts";
import type { Millis } from "../../shared/time.ts";
import type { Engine } from "./engine.ts";
import type { Tables } from "./tables.ts";

export interface WebhookRecord {
  id: string;
  customer: CustomerId;
  url: string;
  /** `whsec_` and base64, as Standard Webhooks has it. */
  secret: string;
  events: string[];
  createdAt: Millis;
}

/** Written in the commit of what it tells of. */
export interface WebhookEvent {
  id: string;
  customer: CustomerId;
  type: string;
  /** JSON text, signed and sent as it is. */
  body: string;
  at: Millis;
}

/**
 * One event to one webhook.
 *
 *   pending    its next attempt is due at `dueAt`
 *   delivered  the receiver answered 2xx
 *   failed     the last attempt failed, or the webhook is gone
 */
export interface Delivery {
  id: string;
  webhook: string;
  /** The `webhook-id` that the receiver sees: the same for every attempt, and when it is delivered again. */
  event: string;
  type: string;
  body: string;
  state: "pending" | "delivered" | "failed";
  attempts: number;
  at: Millis;
  dueAt: Millis;
  /** Of the last answer; null where none came. */
  status: number | null;
  error: string | null;
}

export interface WebhookShelf {
  engine: Engine;
  read<T>(work: (db: Kysely<Tables>) => Promise<T>): Promise<T>;
  write<T>(work: (trx: Transaction<Tables>) => Promise<T>): Promise<T>;
}

const replaceWebhook = "on conflict (id) do update set url = excluded.url, events = excluded.events";
const replaceDelivery = `on conflict (id) do update set ${["state", "attempts", "due_at", "status", "error"]
  .map((column) => `${column} = excluded.${column}`)
  .join(", ")}`;

export async function insertEvents(trx: Transaction<Tables>, engine: Engine, events: readonly WebhookEvent[]) {
  const rows = events.map(({ at, ...event }) => ({ ...event, at: BigInt(at), fanned: 0n }));
  await engine.insertRows(trx, "webhook_events", rows, "on conflict (id) do nothing");
}

export class WebhookStore {
  readonly #shelf: WebhookShelf;

  constructor(shelf: WebhookShelf) {
    this.#shelf = shelf;
  }

  save({ createdAt, events, ...webhook }: WebhookRecord): Promise<void> {
    const row = { ...webhook, events: JSON.stringify(events), created_at: BigInt(createdAt) };
    return this.#shelf.write((trx) => this.#shelf.engine.insertRows(trx, "webhooks", [row], replaceWebhook));
  }

  /** Its deliveries go with it. */
  remove(id: string): Promise<void> {
    return this.#shelf.write(async (trx) => {
      await trx.deleteFrom("webhook_deliveries").where("webhook", "=", id).execute();
      await trx.deleteFrom("webhooks").where("id", "=", id).execute();
    });
  }

  /** Oldest first. */
  of(customer: CustomerId): Promise<WebhookRecord[]> {
    return this.#shelf.read(async (db) => {
      const query = db.selectFrom("webhooks").selectAll().where("customer", "=", customer);
      return (await query.orderBy("created_at").orderBy("id").execute()).map(webhookRecord);
    });
  }

  get(id: string): Promise<WebhookRecord | null> {
    return this.#shelf.read(async (db) => {
      const row = await db.selectFrom("webhooks").selectAll().where("id", "=", id).executeTakeFirst();
      return row ? webhookRecord(row) : null;
    });
  }

  /** Makes deliveries of the events that have none yet, one for each webhook that wants them. */
  fanOut(newId: (event: string, webhook: string) => string): Promise<void> {
    return this.#shelf.write(async (trx) => {
      const events = await trx.selectFrom("webhook_events").selectAll().where("fanned", "=", 0n).limit(100).execute();
      for (const event of events) {
        const found = await trx.selectFrom("webhooks").selectAll().where("customer", "=", event.customer).execute();
        const wanted = found.map(webhookRecord).filter(({ events: types }) => types.includes(event.type));
        const rows = wanted.map(({ id }) =>
          deliveryRow({
            id: newId(event.id, id),
            webhook: id,
            event: event.id,
            type: event.type,
            body: event.body,
            state: "pending",
            attempts: 0,
            at: Number(event.at),
            dueAt: Number(event.at),
            status: null,
            error: null,
          }),
        );
        await this.#shelf.engine.insertRows(trx, "webhook_deliveries", rows, "on conflict (id) do nothing");
        await trx.updateTable("webhook_events").set({ fanned: 1n }).where("id", "=", event.id).execute();
      }
    });
  }

  put(delivery: Delivery): Promise<void> {
    const row = deliveryRow(delivery);
    return this.#shelf.write((trx) => this.#shelf.engine.insertRows(trx, "webhook_deliveries", [row], replaceDelivery));
  }

  /** Pending ones whose time has come, longest due first. */
  due(now: Millis, limit: number): Promise<Delivery[]> {
    return this.#shelf.read(async (db) => {
      const query = db.selectFrom("webhook_deliveries").selectAll().where("state", "=", "pending");
      const rows = await query
        .where("due_at", "<=", BigInt(now))
        .orderBy("due_at")
        .orderBy("id")
        .limit(limit)
        .execute();
      return rows.map(delivery);
    });
  }

  delivery(id: string): Promise<Delivery | null> {
    return this.#shelf.read(async (db) => {
      const row = await db.selectFrom("webhook_deliveries").selectAll().where("id", "=", id).executeTakeFirst();
      return row ? delivery(row) : null;
    });
  }

  /** Newest first. */
  deliveries(webhook: string, limit: number): Promise<Delivery[]> {
    return this.#shelf.read(async (db) => {
      const query = db.selectFrom("webhook_deliveries").selectAll().where("webhook", "=", webhook);
      return (await query.orderBy("at", "desc").orderBy("id").limit(limit).execute()).map(delivery);
    });
  }
}

const webhookRecord = ({ created_at, events, customer, ...row }: Tables["webhooks"]): WebhookRecord => ({
  ...row,
  customer: customer as CustomerId,
  events: JSON.parse(events),
  createdAt: Number(created_at),
});

const deliveryRow = ({ attempts, at, dueAt, status, ...rest }: Delivery): Tables["webhook_deliveries"] => ({
  ...rest,
  attempts: BigInt(attempts),
  at: BigInt(at),
  due_at: BigInt(dueAt),
  status: status === null ? null : BigInt(status),
});

const delivery = ({ attempts, at, due_at, status, state, ...row }: Tables["webhook_deliveries"]): Delivery => ({
  ...row,
  state: state as Delivery["state"],
  attempts: Number(attempts),
  at: Number(at),
  dueAt: Number(due_at),
  status: status === null ? null : Number(status),
});
