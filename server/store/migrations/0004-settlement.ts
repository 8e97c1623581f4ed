import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/**
 * The money's path in time: pay that is held until it matures, what of it each epoch counts, the closing of epochs, and
 * what they pay out. The same SQL for both databases.
 */
const schema = [
  // A settled task until it is counted (server/economy/held-task.ts): `unpaid` lines of pay have not matured, `parts` says
  // whether those of the other parties have; `claims` is JSON of who has claims to its emission.
  `create table held_tasks (
    task text primary key,
    at bigint not null,
    domain text not null,
    model text not null,
    revenue bigint not null,
    foundation bigint not null,
    processor bigint not null,
    creator bigint not null,
    emission bigint not null,
    burn bigint not null,
    vwu bigint not null,
    unpaid bigint not null,
    parts bigint not null,
    claims text not null
  )`,
  `create index held_tasks_waiting on held_tasks (at, task) where parts = 0`,
  // A line of held pay; an owner's lines mature in the order of seq. accepted: its accepted tasks up to this one.
  `create table held_pay (
    owner text not null,
    seq bigint not null,
    task text not null,
    at bigint not null,
    amount bigint not null,
    accepted bigint not null,
    primary key (owner, seq)
  )`,
  `create index held_pay_task on held_pay (task)`,
  `create table held_owners (
    owner text primary key,
    accepted bigint not null,
    next_seq bigint not null,
    refuted_at bigint not null,
    frozen bigint not null
  )`,
  // Pay that was held before there were lines of it: one line an owner, of all it has.
  `insert into held_tasks
    select 'before:' || substr(account, 7, length(account) - 11),
      (select max(at) from legs where legs.account = accounts.account),
      'commons', '', 0, 0, 0, 0, 0, 0, 0, 1, 0, '{"pay":[],"checks":[]}'
    from accounts where account like 'miner:%:held' and balance > 0`,
  `insert into held_pay
    select substr(account, 7, length(account) - 11), 1, 'before:' || substr(account, 7, length(account) - 11),
      (select max(at) from legs where legs.account = accounts.account), balance, 1
    from accounts where account like 'miner:%:held' and balance > 0`,
  `insert into held_owners select owner, 1, 2, 0, 0 from held_pay`,
  `update held_owners set frozen = 1
    where owner in (select owner from cases where state = 'open' and kind = 'suspension')`,

  // What matured in each epoch (server/economy/epoch-tally.ts): 10⁹ × billions + units, since VWU outgrow 64 bits. Of a domain
  // where model is '', of a model where party is ''.
  `create table tallies (
    epoch bigint not null,
    domain text not null,
    model text not null,
    kind text not null,
    party text not null,
    billions bigint not null,
    units bigint not null,
    primary key (epoch, domain, model, kind, party)
  )`,

  // The newest epoch is open. JSON as server/store/epoch-records.ts writes it.
  `create table epochs (
    epoch bigint primary key,
    state text not null,
    opened_at bigint not null,
    fenced_at bigint,
    digest text,
    approved_by text,
    approved_at bigint,
    closing_at bigint,
    closed_at bigint,
    plan text,
    memory text,
    receipts_root text,
    receipts_size bigint,
    receipts_signature text
  )`,
  `insert into epochs (epoch, state, opened_at) values (1, 'open', 0)`,
  // Where each hub's chain stood when an epoch was fenced.
  `create table fences (
    epoch bigint not null,
    hub text not null,
    seq bigint not null,
    hash text not null,
    primary key (epoch, hub)
  )`,
  // The approved transfers, in the order of their posting.
  `create table epoch_transfers (
    epoch bigint not null,
    position bigint not null,
    id text not null,
    transfer text not null,
    primary key (epoch, position)
  )`,

  // Where the receipts of a commit stand in their hub's chain; those from before have no place and come first.
  `alter table receipt_batches add column hub text`,
  `alter table receipt_batches add column seq bigint`,
  `create index receipt_batches_place on receipt_batches (hub, seq)`,

  // Where a party's payouts go, proved by a signature of that address.
  `create table payout_addresses (account text primary key, address text not null, proof text not null, at bigint not null)`,
  // Cumulative amounts, one row for each epoch in which an address gained.
  `create table payout_leaves (
    asset text not null,
    address text not null,
    epoch bigint not null,
    cumulative text not null,
    primary key (asset, address, epoch)
  )`,
  `create table payout_roots (
    epoch bigint not null,
    asset text not null,
    root text not null,
    size bigint not null,
    total text not null,
    rail text not null,
    primary key (epoch, asset)
  )`,
  // What the rail says that an address has collected; reference is the rail's own name for it.
  `create table payout_claims (
    reference text primary key,
    asset text not null,
    address text not null,
    cumulative text not null,
    at bigint not null
  )`,
  `create index payout_claims_address on payout_claims (asset, address)`,
];

export const settlement: Migration = {
  async up(db) {
    for (const statement of schema) await sql.raw(statement.replaceAll("`", "`")).execute(db);
  },
};
