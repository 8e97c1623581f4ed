import { type Kysely, sql } from "kysely";
import type { Migration } from "kysely/migration";
import type { EngineKind } from "../engine.ts";

/**
 * The first schema, in SQL that both databases read. `clustered`: tables that are read along their key are stored in its
 * order where the database can do that.
 */
const schema = (clustered: string): string[] => [
  `create table settings (key text primary key, value text not null)`,

  `create table customers (customer text primary key, name text not null, created_at bigint not null)`,
  `create table api_keys (
    id text primary key,
    secret_hash text not null unique,
    name text not null,
    customer text not null references customers (customer),
    scopes text not null,
    created_at bigint not null,
    revoked_at bigint
  )`,
  `create index api_keys_customer on api_keys (customer)`,

  // Balances are the sums of the legs, kept so that the limit below can hold in the database itself.
  `create table accounts (
    account text primary key,
    asset text not null,
    overdraft bigint not null,
    balance bigint not null,
    entries bigint not null,
    constraint accounts_balance_limit check (balance >= 0 or overdraft = 1)
  ) ${clustered}`,

  // One chain per hub: hash covers the one before it and, through input_hash, the legs (server/economy/ledger.ts).
  `create table transfers (
    hub text not null,
    seq bigint not null,
    id text not null unique,
    kind text not null,
    at bigint not null,
    task text,
    input_hash text not null,
    hash text not null,
    primary key (hub, seq)
  ) ${clustered}`,
  `create index transfers_task on transfers (task)`,
  `create index transfers_at on transfers (at, hub, seq)`,
  `create table legs (
    hub text not null,
    seq bigint not null,
    account text not null,
    asset text not null,
    amount bigint not null,
    at bigint not null,
    primary key (hub, seq, account)
  ) ${clustered}`,
  `create index legs_account on legs (account, at, hub, seq)`,

  `create table holds (
    task text primary key,
    customer text not null,
    amount bigint not null,
    state text not null
  ) ${clustered}`,
  `create index holds_pending on holds (task) where state = 'pending'`,

  `create table tasks (
    task text primary key,
    customer text not null,
    model text not null,
    level text not null,
    state text not null,
    basis text,
    price bigint not null,
    work bigint not null,
    submitted_at bigint not null,
    ended_at bigint,
    error text,
    timeline text not null
  )`,

  `create table receipt_batches (root text primary key, size bigint not null, signature text not null, at bigint not null)`,
  `create table receipts (receipt text primary key, root text not null, position bigint not null, leaf text not null)`,
  `create unique index receipts_root on receipts (root, position)`,

  `create table standings (owner text primary key, standing text not null)`,
  `create table miners (
    miner text primary key,
    public_key text not null,
    owner text not null,
    first_seen_at bigint not null,
    last_seen_at bigint not null
  )`,
  `create table models (model text primary key, manifest text not null, golden text not null, published_at bigint not null)`,
  `create table chain_signatures (
    session text not null,
    seq bigint not null,
    miner text not null,
    link text not null,
    signature text not null,
    at bigint not null,
    primary key (session, seq)
  ) ${clustered}`,
  `create table audit (
    hub text not null,
    seq bigint not null,
    at bigint not null,
    actor text not null,
    action text not null,
    detail text not null,
    primary key (hub, seq)
  )`,
];

const appendOnlyTables = ["transfers", "legs", "receipt_batches", "receipts", "audit"];

export const initial = (kind: EngineKind): Migration => ({
  async up(db) {
    for (const statement of schema(kind === "sqlite" ? "without rowid" : "")) await sql.raw(statement).execute(db);
    for (const table of appendOnlyTables) await appendOnly(db, kind, table);
  },
});

/** The database itself refuses to change or remove what was written. */
async function appendOnly(db: Kysely<unknown>, kind: EngineKind, table: string): Promise<void> {
  const message = `${table}: entries are never changed or removed`;
  const statements =
    kind === "sqlite"
      ? ["update", "delete"].map(
          (action) =>
            `create trigger ${table}_no_${action} before ${action} on ${table} begin select raise(abort, '${message}'); end`,
        )
      : [
          `create function refuse_${table}() returns trigger language plpgsql as $$ begin raise exception '${message}'; end $$`,
          `create trigger ${table}_append_only before update or delete or truncate on ${table}
            for each statement execute function refuse_${table}()`,
        ];
  for (const statement of statements) await sql.raw(statement).execute(db);
}
