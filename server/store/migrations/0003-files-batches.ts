import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/** Uploaded files, batches of requests with the answer of each line, and replies kept for repeated requests. */
const schema = [
  // The content lies in the data folder, under the file's id.
  `create table files (
    id text primary key,
    customer text not null references customers (customer),
    filename text not null,
    purpose text not null,
    bytes bigint not null,
    created_at bigint not null
  )`,
  `create index files_customer on files (customer, created_at, id)`,

  `create table batches (
    id text primary key,
    customer text not null references customers (customer),
    created_at bigint not null,
    is_open bigint not null,
    record text not null
  )`,
  `create index batches_customer on batches (customer, created_at, id)`,
  `create index batches_open on batches (created_at, id) where is_open = 1`,

  // A line that has a row here was answered: it never runs again. Rows go once the batch's files are written.
  `create table batch_lines (
    batch text not null,
    line bigint not null,
    is_error bigint not null,
    reply text not null,
    primary key (batch, line)
  )`,

  // A null status: the first request of this key is still under way, in the hub that is named.
  `create table idempotency_keys (
    customer text not null,
    idempotency_key text not null,
    fingerprint text not null,
    hub text not null,
    created_at bigint not null,
    status bigint,
    headers text,
    body text,
    primary key (customer, idempotency_key)
  )`,
  `create index idempotency_keys_age on idempotency_keys (created_at)`,
];

export const filesBatches: Migration = {
  async up(db) {
    for (const statement of schema) await sql.raw(statement).execute(db);
  },
};
