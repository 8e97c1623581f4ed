import { type Kysely, sql } from "kysely";
import type { AccountId, TaskId } from "../../shared/ids.ts";
import type { Asset } from "../../shared/money.ts";
import { assertBalanced, chainLink, chainStart, inputHash, type Leg, type TransferKind } from "../economy/ledger.ts";
import { merkleRoot } from "../economy/receipts.ts";
import type { Engine } from "./engine.ts";
import { readImbalance } from "./ledger-reads.ts";
import { sha256 } from "./sha256.ts";
import { StoreError } from "./store.ts";
import type { Tables } from "./tables.ts";

/** The auditor: goes through all that is stored and says what does not fit together. */
type Db = Kysely<Tables>;

const TRANSFERS_PER_PAGE = 2_000;
const BATCHES_PER_PAGE = 100;
const FAULTS_MAX = 20;

/** One sentence per fault, at most 20; empty where all is well. */
export async function findFaults(db: Db, engine: Engine): Promise<string[]> {
  const faults: string[] = [];
  try {
    faults.push(...(await engine.findDamage()));
    for (const find of [findBrokenLinks, findWrongBalances, findWrongHolds, findWrongHeldPay, findWrongReceipts]) {
      if (faults.length < FAULTS_MAX) faults.push(...(await find(db)));
    }
  } catch (error) {
    const explained = engine.explain(error);
    if (!(explained instanceof StoreError && explained.code === "damaged")) throw error;
    faults.push(explained.message);
  }
  return faults.slice(0, FAULTS_MAX);
}

/** Walks every hub's chain; the first fault of a chain is told, what follows it is not trusted. */
async function findBrokenLinks(db: Db): Promise<string[]> {
  const faults: string[] = [];
  const hubs = await db.selectFrom("transfers").select("hub").distinct().execute();
  for (const { hub } of hubs) {
    const fault = await findBrokenLink(db, hub);
    if (fault) faults.push(fault);
  }
  const { rows } = await sql<{ hub: string; seq: bigint }>`
    select hub, seq from legs where not exists
      (select 1 from transfers where transfers.hub = legs.hub and transfers.seq = legs.seq) limit 1`.execute(db);
  for (const { hub, seq } of rows) faults.push(`Entry ${seq} of hub ${hub} belongs to no transfer.`);
  return faults;
}

async function findBrokenLink(db: Db, hub: string): Promise<string | null> {
  let seq = 0n;
  let hash = chainStart(hub, sha256);
  for (;;) {
    const page = await db
      .selectFrom("transfers")
      .selectAll()
      .where("hub", "=", hub)
      .where("seq", ">", seq)
      .orderBy("seq")
      .limit(TRANSFERS_PER_PAGE)
      .execute();
    const last = page.at(-1);
    if (!last) return null;
    const legs = await readLegs(db, hub, seq, last.seq);
    for (const row of page) {
      seq += 1n;
      if (row.seq !== seq) return `Transfer ${seq} of hub ${hub} is missing.`;
      const transfer = {
        id: row.id,
        kind: row.kind as TransferKind,
        at: Number(row.at),
        task: row.task as TaskId | null,
        legs: legs.get(seq) ?? [],
      };
      try {
        assertBalanced(transfer);
      } catch (error) {
        return `Transfer ${seq} of hub ${hub} (${row.id}): ${(error as Error).message}.`;
      }
      const input = inputHash(transfer, sha256);
      hash = chainLink(hash, row.id, transfer.at, input, sha256);
      if (input !== row.input_hash || hash !== row.hash) {
        return `Transfer ${seq} of hub ${hub} (${row.id}) is not what was written: its hash differs.`;
      }
    }
  }
}

async function readLegs(db: Db, hub: string, after: bigint, upTo: bigint): Promise<Map<bigint, Leg[]>> {
  const rows = await db
    .selectFrom("legs")
    .selectAll()
    .where("hub", "=", hub)
    .where("seq", ">", after)
    .where("seq", "<=", upTo)
    .execute();
  const bySeq = new Map<bigint, Leg[]>();
  for (const { seq, account, asset, amount } of rows) {
    const legs = bySeq.get(seq);
    const leg = { account: account as AccountId, asset: asset as Asset, amount };
    if (legs) legs.push(leg);
    else bySeq.set(seq, [leg]);
  }
  for (const legs of bySeq.values()) legs.sort((a, b) => (a.account < b.account ? -1 : 1));
  return bySeq;
}

async function findWrongBalances(db: Db): Promise<string[]> {
  const faults: string[] = [];
  for (const [asset, sum] of Object.entries(await readImbalance(db))) {
    if (sum !== 0n) faults.push(`The balances in ${asset} sum to ${sum} instead of 0.`);
  }
  const { rows } = await sql<{ account: string; balance: bigint | null; total: bigint | null }>`
    with sums as
      (select account, cast(sum(amount) as bigint) as total, count(*) as entries from legs group by account)
    select accounts.account, accounts.balance, sums.total from accounts left join sums on sums.account = accounts.account
      where accounts.balance <> coalesce(sums.total, 0) or accounts.entries <> coalesce(sums.entries, 0)
    union all
    select sums.account, null, sums.total from sums
      where not exists (select 1 from accounts where accounts.account = sums.account)
    limit ${BigInt(FAULTS_MAX)}`.execute(db);
  for (const { account, balance, total } of rows) {
    faults.push(`Account ${account} says ${balance ?? "nothing"}, its entries sum to ${total ?? 0n}.`);
  }
  return faults;
}

/** A hold is pending, or exactly one transfer of the right kind ended it; what is held is what pending holds add up to. */
async function findWrongHolds(db: Db): Promise<string[]> {
  const ends = await sql<{ task: string; state: string }>`
    select holds.task, holds.state from holds
      left join transfers on transfers.task = holds.task and transfers.kind in ('settle', 'void', 'expire')
      group by holds.task, holds.state
      having count(transfers.id) <> case when holds.state = 'pending' then 0 else 1 end
        or coalesce(max(transfers.kind), '') <>
          case holds.state when 'posted' then 'settle' when 'voided' then 'void' when 'expired' then 'expire' else '' end
      limit ${BigInt(FAULTS_MAX)}`.execute(db);
  const sums = await sql<{ account: string; balance: bigint; pending: bigint | null }>`
    with pending as (
      select 'customer:' || customer || ':held' as account, cast(sum(amount) as bigint) as total
        from holds where state = 'pending' group by customer)
    select accounts.account, accounts.balance, pending.total as pending from accounts
      left join pending on pending.account = accounts.account
      where accounts.account like 'customer:%:held' and accounts.balance <> coalesce(pending.total, 0)
      limit ${BigInt(FAULTS_MAX)}`.execute(db);
  return [
    ...ends.rows.map(({ task, state }) => `The hold of ${task} is ${state}, its transfers say otherwise.`),
    ...sums.rows.map(
      (row) => `Account ${row.account} holds ${row.balance}, its open holds sum to ${row.pending ?? 0n}.`,
    ),
  ];
}

/** What an owner's account holds is what its lines of held pay add up to; no task has matured without being counted. */
async function findWrongHeldPay(db: Db): Promise<string[]> {
  const sums = await sql<{ account: string; balance: bigint; lines: bigint | null }>`
    with lines as (select 'miner:' || owner || ':held' as account, cast(sum(amount) as bigint) as total
      from held_pay group by owner)
    select accounts.account, accounts.balance, lines.total as lines from accounts
      left join lines on lines.account = accounts.account
      where accounts.account like 'miner:%:held' and accounts.balance <> coalesce(lines.total, 0)
      limit ${BigInt(FAULTS_MAX)}`.execute(db);
  const counts = await sql<{ task: string; unpaid: bigint }>`
    select task, unpaid from held_tasks where (unpaid = 0 and parts = 1)
      or unpaid <> (select count(*) from held_pay where held_pay.task = held_tasks.task)
      limit ${BigInt(FAULTS_MAX)}`.execute(db);
  return [
    ...sums.rows.map((row) => `Account ${row.account} holds ${row.balance}, its lines sum to ${row.lines ?? 0n}.`),
    ...counts.rows.map(({ task, unpaid }) => `${task} waits for ${unpaid} lines of pay, which are not its lines.`),
  ];
}

async function findWrongReceipts(db: Db): Promise<string[]> {
  const faults: string[] = [];
  let after = "";
  for (;;) {
    const batches = await db
      .selectFrom("receipt_batches")
      .select(["root", "size"])
      .where("root", ">", after)
      .orderBy("root")
      .limit(BATCHES_PER_PAGE)
      .execute();
    for (const { root, size } of batches) {
      const rows = await db
        .selectFrom("receipts")
        .select("leaf")
        .where("root", "=", root)
        .orderBy("position")
        .execute();
      const leaves = rows.map(({ leaf }) => leaf);
      if (BigInt(leaves.length) !== size || merkleRoot(leaves, sha256) !== root) {
        faults.push(`The receipts under the root ${root} are not those that were signed.`);
      }
      after = root;
    }
    if (batches.length < BATCHES_PER_PAGE || faults.length >= FAULTS_MAX) return faults;
  }
}
