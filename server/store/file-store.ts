import { sql } from "kysely";
import type { CustomerId } from "../../shared/ids.ts";
import type { Millis } from "../../shared/time.ts";
import type { Page, Paged } from "../gateway/gateway.ts";
import { paged } from "./ledger-reads.ts";
import type { Shelf } from "./shelf.ts";
import type { Tables } from "./tables.ts";

/** What is known of an uploaded or written file; its content lies in the data folder. */
export interface FileRecord {
  /** `file-` + 24 letters. */
  id: string;
  customer: CustomerId;
  filename: string;
  purpose: "batch" | "batch_output";
  bytes: number;
  createdAt: Millis;
}

export interface FileStore {
  /** Inserted, or replaced. */
  add(file: FileRecord): Promise<void>;
  /** Null also where it is somebody else's. */
  get(id: string, customer: CustomerId): Promise<FileRecord | null>;
  /** Newest first, or oldest; `after` is a file. */
  list(customer: CustomerId, page: FilePage): Promise<Paged<FileRecord>>;
  /** False where there is no such file of this customer. */
  remove(id: string, customer: CustomerId): Promise<boolean>;
  /** Of all files of a customer. */
  bytesOf(customer: CustomerId): Promise<number>;
  ids(): Promise<string[]>;
}

export interface FilePage extends Page {
  purpose: string | null;
  order: "asc" | "desc";
}

const replace = "on conflict (id) do update set bytes = excluded.bytes";

export const sqlFiles = ({ read, write, insertRows }: Shelf): FileStore => ({
  add: (file) => write((trx) => insertRows(trx, "files", [row(file)], replace)),

  get: (id, customer) =>
    read(async (db) => {
      const query = db.selectFrom("files").selectAll().where("id", "=", id).where("customer", "=", customer);
      const found = await query.executeTakeFirst();
      return found ? record(found) : null;
    }),

  list: (customer, { limit, after, purpose, order }) =>
    read(async (db) => {
      const conditions = [sql`customer = ${customer}`];
      if (purpose !== null) conditions.push(sql`purpose = ${purpose}`);
      if (after !== null) {
        const side = sql.raw(order === "asc" ? ">" : "<");
        conditions.push(sql`(created_at, id) ${side} (select created_at, id from files where id = ${after})`);
      }
      const way = sql.raw(order);
      const { rows } = await sql<Tables["files"]>`
        select * from files where ${sql.join(conditions, sql` and `)}
        order by created_at ${way}, id ${way} limit ${BigInt(limit + 1)}`.execute(db);
      return paged(rows.map(record), limit);
    }),

  remove: (id, customer) =>
    write(async (trx) => {
      const query = trx.deleteFrom("files").where("id", "=", id).where("customer", "=", customer);
      return (await query.executeTakeFirst()).numDeletedRows > 0n;
    }),

  bytesOf: (customer) =>
    read(async (db) => {
      const { rows } = await sql<{ total: bigint }>`
        select cast(coalesce(sum(bytes), 0) as bigint) as total from files where customer = ${customer}`.execute(db);
      return Number(rows[0]?.total ?? 0n);
    }),

  ids: () => read(async (db) => (await db.selectFrom("files").select("id").execute()).map(({ id }) => id)),
});

const row = ({ createdAt, bytes, ...rest }: FileRecord): Tables["files"] => ({
  ...rest,
  bytes: BigInt(bytes),
  created_at: BigInt(createdAt),
});

const record = ({ id, customer, filename, purpose, bytes, created_at }: Tables["files"]): FileRecord => ({
  id,
  customer: customer as CustomerId,
  filename,
  purpose: purpose as FileRecord["purpose"],
  bytes: Number(bytes),
  createdAt: Number(created_at),
});
