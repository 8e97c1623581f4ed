import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/** What validators attested of miners: their signed words for as long as they are kept, and the sums of every day. */
const schema = [
  `create table attestations (
    witness text primary key,
    at bigint not null,
    validator_owner text not null,
    owner text not null,
    proof text not null
  )`,
  `create index attestations_at on attestations (at)`,
  `create index attestations_owner on attestations (owner, at)`,
  // `day` is that of UTC, 2026-11-21.
  `create table availability (
    day text not null,
    owner text not null,
    model text not null,
    present bigint not null,
    absent bigint not null,
    round_trip_ms bigint not null,
    primary key (day, owner, model)
  )`,
];

export const attestations: Migration = {
  async up(db) {
    for (const statement of schema) await sql.raw(statement).execute(db);
  },
};
