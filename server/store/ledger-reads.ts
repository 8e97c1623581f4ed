import { type Kysely, sql } from "kysely";
import { failure, TabgridFailure } from "../../shared/errors.ts";
import type { AccountId, ReceiptId, TaskId } from "../../shared/ids.ts";
import type { Asset, Nano } from "../../shared/money.ts";
import { assert } from "../../shared/result.ts";
import { merklePath, merkleRoot } from "../economy/receipts.ts";
import type { AccountView, Page, Paged, TransferView } from "../gateway/gateway.ts";
import { sha256 } from "./sha256.ts";
import type { Counts, StoredReceipt } from "./store.ts";
import type { Tables } from "./tables.ts";

/** What others may see of the books. */
type Db = Kysely<Tables>;

export async function readAccount(db: Db, id: AccountId): Promise<AccountView | null> {
  const row = await db.selectFrom("accounts").selectAll().where("account", "=", id).executeTakeFirst();
  return row ? accountView(row) : null;
}

export async function readAccounts(db: Db, page: Page): Promise<Paged<AccountView>> {
  let query = db
    .selectFrom("accounts")
    .selectAll()
    .orderBy("account")
    .limit(page.limit + 1);
  if (page.after !== null) query = query.where("account", ">", page.after);
  return paged((await query.execute()).map(accountView), page.limit);
}

const accountView = (row: Tables["accounts"]): AccountView => ({
  account: row.account as AccountId,
  asset: row.asset as Asset,
  balance: row.balance,
  entries: Number(row.entries),
});

export async function readEntries(
  db: Db,
  filter: { account?: AccountId; task?: TaskId },
  page: Page,
): Promise<Paged<TransferView>> {
  // The place in time is read from the table whose index leads to the rows.
  const place = filter.account === undefined ? "transfers" : "legs";
  const [at, hub, seq] = ["at", "hub", "seq"].map((column) => sql.ref(`${place}.${column}`));
  const conditions = [sql`true`];
  if (filter.account !== undefined) conditions.push(sql`legs.account = ${filter.account}`);
  if (filter.task !== undefined) conditions.push(sql`transfers.task = ${filter.task}`);
  if (page.after !== null) {
    const after = parseCursor(page.after, "the ledger");
    conditions.push(sql`(${at}, ${hub}, ${seq}) < (${after.at}, ${after.hub}, ${after.seq})`);
  }
  const legs =
    filter.account === undefined ? sql`` : sql`join legs on legs.hub = transfers.hub and legs.seq = transfers.seq`;
  const { rows } = await sql<Tables["transfers"]>`
    select transfers.* from transfers ${legs} where ${sql.join(conditions, sql` and `)}
    order by ${at} desc, ${hub} desc, ${seq} desc limit ${BigInt(page.limit + 1)}`.execute(db);
  const legsByTransfer = await readLegs(db, rows);
  const entries = rows.map((row) => ({
    seq: row.seq.toString(),
    transfer: row.id,
    kind: row.kind,
    at: Number(row.at),
    task: row.task as TaskId | null,
    legs: legsByTransfer.get(`${row.hub}.${row.seq}`) ?? [],
    hash: row.hash,
    cursor: `${row.at}.${row.seq}.${row.hub}`,
  }));
  return paged(entries, page.limit);
}

async function readLegs(
  db: Db,
  of: readonly { hub: string; seq: bigint }[],
): Promise<Map<string, TransferView["legs"]>> {
  const byTransfer = new Map<string, TransferView["legs"]>();
  if (of.length === 0) return byTransfer;
  const keys = of.map(({ hub, seq }) => sql`(cast(${hub} as text), cast(${seq} as bigint))`);
  const { rows } = await sql<Tables["legs"]>`
    select * from legs where (hub, seq) in (values ${sql.join(keys)}) order by account`.execute(db);
  for (const { hub, seq, account, asset, amount } of rows) {
    const legs = byTransfer.get(`${hub}.${seq}`) ?? [];
    legs.push({ account: account as AccountId, asset: asset as Asset, amount });
    byTransfer.set(`${hub}.${seq}`, legs);
  }
  return byTransfer;
}

/** Of lines that each hub numbers on its own: time, number, hub. */
export function parseCursor(text: string, where: string): { at: bigint; seq: bigint; hub: string } {
  const parts = /^(\d{1,18})\.(\d{1,18})\.(.+)$/.exec(text);
  if (!parts) {
    const detail = { field: "after", expected: "the cursor of an entry", got: text.slice(0, 80) };
    throw new TabgridFailure(failure("invalid-request", `there is no such place in ${where}`, detail));
  }
  const [, at, seq, hub] = parts as unknown as [string, string, string, string];
  return { at: BigInt(at), seq: BigInt(seq), hub };
}

export const paged = <T>(rows: T[], limit: number): Paged<T> => ({
  data: rows.slice(0, limit),
  hasMore: rows.length > limit,
});

export async function readImbalance(db: Db): Promise<Record<Asset, Nano>> {
  const { rows } = await sql<{ asset: Asset; total: Nano }>`
    select asset, cast(sum(balance) as bigint) as total from accounts group by asset`.execute(db);
  const imbalance: Record<Asset, Nano> = { USDC: 0n, DN: 0n };
  for (const { asset, total } of rows) imbalance[asset] = total;
  return imbalance;
}

export async function readCounts(db: Db): Promise<Counts> {
  const { rows } = await sql<Record<keyof Counts, bigint>>`select
    (select count(*) from tasks) as "tasks",
    (select count(*) from receipts) as "receipts",
    (select count(*) from transfers) as "transfers",
    (select count(*) from accounts) as "accounts",
    (select count(*) from holds where state = 'pending') as "openHolds"`.execute(db);
  const [counts] = rows;
  assert(counts, "counts of nothing");
  const { tasks, receipts, transfers, accounts, openHolds } = counts;
  return {
    tasks: Number(tasks),
    receipts: Number(receipts),
    transfers: Number(transfers),
    accounts: Number(accounts),
    openHolds: Number(openHolds),
  };
}

/** Paths are not stored: the tree of one commit is small, and receipts are written far more often than they are read. */
export async function readReceipt(db: Db, id: ReceiptId): Promise<StoredReceipt | null> {
  const row = await db
    .selectFrom("receipts")
    .innerJoin("receipt_batches", "receipt_batches.root", "receipts.root")
    .select(["receipts.root", "position", "leaf", "size", "signature"])
    .where("receipt", "=", id)
    .executeTakeFirst();
  if (!row) return null;
  const leaves = (
    await db.selectFrom("receipts").select("leaf").where("root", "=", row.root).orderBy("position").execute()
  ).map(({ leaf }) => leaf);
  assert(merkleRoot(leaves, sha256) === row.root, `the leaves beside ${id} do not have the root that was signed`);
  const index = Number(row.position);
  const path = merklePath(leaves, index, sha256);
  return { receipt: id, leaf: row.leaf, path, index, size: Number(row.size), root: row.root, signature: row.signature };
}
