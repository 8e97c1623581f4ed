import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/** Where customers want to be told, what there is to tell, and each attempt to. The same SQL for both databases. */
const schema = [
  `create table webhooks (
    id text primary key,
    customer text not null,
    url text not null,
    secret text not null,
    events text not null,
    created_at bigint not null
  )`,
  `create index webhooks_customer on webhooks (customer, created_at, id)`,
  // Written with what it tells of; fanned: deliveries were made of it.
  `create table webhook_events (
    id text primary key,
    customer text not null,
    type text not null,
    body text not null,
    at bigint not null,
    fanned bigint not null
  )`,
  `create index webhook_events_new on webhook_events (at, id) where fanned = 0`,
  // state: pending, delivered, failed. due_at: of the next attempt.
  `create table webhook_deliveries (
    id text primary key,
    webhook text not null,
    event text not null,
    type text not null,
    body text not null,
    state text not null,
    attempts bigint not null,
    at bigint not null,
    due_at bigint not null,
    status bigint,
    error text
  )`,
  `create index webhook_deliveries_due on webhook_deliveries (due_at, id) where state = 'pending'`,
  `create index webhook_deliveries_webhook on webhook_deliveries (webhook, at, id)`,
];

export const webhooks: Migration = {
  async up(db) {
    for (const statement of schema) await sql.raw(statement).execute(db);
  },
};
