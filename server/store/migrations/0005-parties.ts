import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/** What parties do with the economy: records by kind, and the commands that made them. The same SQL for both databases. */
const schema = [
  // The newest state of each record; what it was before stands in the audit log. body: exact-json.ts. `party`, `subject`
  // and `state` are what it is found by. from_epoch: since when, or from when, it holds; null where it is no setting.
  `create table party_records (
    kind text not null,
    id text not null,
    party text,
    subject text,
    state text not null,
    from_epoch bigint,
    at bigint not null,
    by_party text not null,
    body text not null,
    primary key (kind, id)
  )`,
  `create index party_records_party on party_records (kind, party, at, id)`,
  `create index party_records_subject on party_records (kind, subject, at, id)`,
  `create index party_records_at on party_records (kind, at, id)`,
  // A key answers once: the same again gives the same reply.
  `create table party_commands (
    key text primary key,
    input_hash text not null,
    reply text not null,
    at bigint not null
  )`,
  // Commands of all hubs wait for one another on this row.
  `create table party_turn (id bigint primary key)`,
  `insert into party_turn values (1)`,
];

export const parties: Migration = {
  async up(db) {
    for (const statement of schema) await sql.raw(statement).execute(db);
  },
};
