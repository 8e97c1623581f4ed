import { sql } from "kysely";
import type { CustomerId } from "../../shared/ids.ts";
import type { Millis } from "../../shared/time.ts";
import type { Page, Paged } from "../gateway/gateway.ts";
import { paged } from "./ledger-reads.ts";
import type { Shelf } from "./shelf.ts";
import type { Tables } from "./tables.ts";

/**
 * A batch of requests.
 *
 *   validating → in_progress → finalizing → completed
 *   validating → failed                        the input file cannot be run
 *   in_progress → finalizing → expired         the window ended: open lines go to the error file
 *   in_progress → cancelling → cancelled       by its customer
 */
export type BatchState =
  | "validating"
  | "failed"
  | "in_progress"
  | "finalizing"
  | "completed"
  | "expired"
  | "cancelling"
  | "cancelled";

const openBatchStates: ReadonlySet<BatchState> = new Set(["validating", "in_progress", "finalizing", "cancelling"]);

export interface BatchRecord {
  /** `batch_` + 24 letters. */
  id: string;
  customer: CustomerId;
  endpoint: string;
  inputFile: string;
  state: BatchState;
  createdAt: Millis;
  expiresAt: Millis;
  /** When each state was entered. */
  enteredAt: Partial<Record<BatchState, Millis>>;
  counts: { total: number; completed: number; failed: number };
  outputFile: string | null;
  errorFile: string | null;
  errors: { code: string; message: string; param: string | null; line: number | null }[];
  metadata: Record<string, string> | null;
}

/** The answer of one line, as it will stand in the output or error file. */
export interface BatchLine {
  line: number;
  isError: boolean;
  reply: string;
}

export interface BatchStore {
  /** Inserted, or replaced whole. */
  put(batch: BatchRecord): Promise<void>;
  /** Null also where it is somebody else's. */
  get(id: string, customer: CustomerId): Promise<BatchRecord | null>;
  /** Newest first; `after` is a batch. */
  list(customer: CustomerId, page: Page): Promise<Paged<BatchRecord>>;
  /** Those that are not over, oldest first. */
  open(): Promise<BatchRecord[]>;
  /** Adds a line's answer and counts it, at once. */
  addLine(batch: BatchRecord, line: BatchLine): Promise<void>;
  /** The lines that have an answer, and whether it is an error. */
  answered(batch: string): Promise<Map<number, boolean>>;
  /** In order, after line `after`, at most `limit`. */
  lines(batch: string, isError: boolean, after: number, limit: number): Promise<BatchLine[]>;
  removeLines(batch: string): Promise<void>;
}

const replace = "on conflict (id) do update set is_open = excluded.is_open, record = excluded.record";

export const sqlBatches = ({ read, write, insertRows }: Shelf): BatchStore => ({
  put: (batch) => write((trx) => insertRows(trx, "batches", [row(batch)], replace)),

  get: (id, customer) =>
    read(async (db) => {
      const query = db.selectFrom("batches").selectAll().where("id", "=", id).where("customer", "=", customer);
      const found = await query.executeTakeFirst();
      return found ? record(found) : null;
    }),

  list: (customer, { limit, after }) =>
    read(async (db) => {
      const conditions = [sql`customer = ${customer}`];
      if (after !== null) {
        conditions.push(sql`(created_at, id) < (select created_at, id from batches where id = ${after})`);
      }
      const { rows } = await sql<Tables["batches"]>`
        select * from batches where ${sql.join(conditions, sql` and `)}
        order by created_at desc, id desc limit ${BigInt(limit + 1)}`.execute(db);
      return paged(rows.map(record), limit);
    }),

  open: () =>
    read(async (db) => {
      const query = db.selectFrom("batches").selectAll().where("is_open", "=", 1n);
      return (await query.orderBy("created_at").orderBy("id").execute()).map(record);
    }),

  addLine: (batch, { line, isError, reply }) =>
    write(async (trx) => {
      const answered = { batch: batch.id, line: BigInt(line), is_error: isError ? 1n : 0n, reply };
      await insertRows(trx, "batch_lines", [answered]);
      await insertRows(trx, "batches", [row(batch)], replace);
    }),

  answered: (batch) =>
    read(async (db) => {
      const query = db.selectFrom("batch_lines").select(["line", "is_error"]).where("batch", "=", batch);
      return new Map((await query.execute()).map(({ line, is_error }) => [Number(line), is_error === 1n]));
    }),

  lines: (batch, isError, after, limit) =>
    read(async (db) => {
      const query = db.selectFrom("batch_lines").selectAll().where("batch", "=", batch);
      const rows = await query
        .where("is_error", "=", isError ? 1n : 0n)
        .where("line", ">", BigInt(after))
        .orderBy("line")
        .limit(limit)
        .execute();
      return rows.map(({ line, is_error, reply }) => ({ line: Number(line), isError: is_error === 1n, reply }));
    }),

  removeLines: (batch) =>
    write(async (trx) => {
      await trx.deleteFrom("batch_lines").where("batch", "=", batch).execute();
    }),
});

const row = (batch: BatchRecord): Tables["batches"] => ({
  id: batch.id,
  customer: batch.customer,
  created_at: BigInt(batch.createdAt),
  is_open: openBatchStates.has(batch.state) ? 1n : 0n,
  record: JSON.stringify(batch),
});

const record = (row: Tables["batches"]): BatchRecord => JSON.parse(row.record);
