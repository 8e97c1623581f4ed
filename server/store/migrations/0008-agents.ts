import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/** Agents of customers, what they know, and what their use came to by day. The same SQL for both databases. */
const schema = [
  // settings: JSON, with the headers for its tool servers.
  `create table agents (
    customer text not null,
    name text not null,
    settings text not null,
    knowledge_hash text,
    created_at bigint not null,
    updated_at bigint not null,
    primary key (customer, name)
  )`,
  // vector: float32 little-endian, base64.
  `create table agent_passages (
    customer text not null,
    name text not null,
    position bigint not null,
    title text,
    body text not null,
    vector text not null,
    primary key (customer, name, position)
  )`,
  // cost: nano-USDC. day: UTC, 2026-01-31.
  `create table agent_usage (
    customer text not null,
    name text not null,
    day text not null,
    requests bigint not null,
    prompt_tokens bigint not null,
    completion_tokens bigint not null,
    tool_calls bigint not null,
    cost bigint not null,
    primary key (customer, name, day)
  )`,
];

export const agents: Migration = {
  async up(db) {
    for (const statement of schema) await sql.raw(statement).execute(db);
  },
};
