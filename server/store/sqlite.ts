import { accessSync, constants, mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { SqliteAdapter, SqliteDialect, type SqliteStatement, sql } from "kysely";
import type { Engine } from "./engine.ts";
import { StoreError } from "./store.ts";

/** SQLite inside Node. One hub owns the file: it is locked as long as the hub runs. */
const BUSY_TIMEOUT_MS = 1_000;
const STATEMENTS_MAX = 200;

export function openSqlite(folder: string): Engine {
  const file = resolve(folder, "tabgrid.db");
  const name = `the database ${file}`;
  const explain = (error: unknown): unknown => explainSqlite(error, name);
  makeWritable(folder);
  let database: DatabaseSync;
  try {
    database = new DatabaseSync(file, {
      timeout: BUSY_TIMEOUT_MS,
      readBigInts: true,
      enableForeignKeyConstraints: true,
    });
  } catch (error) {
    throw explain(error);
  }
  const statements = new Statements(database);

  return {
    kind: "sqlite",
    name,
    schema: undefined,
    dialect: new Dialect({ database: { close: () => database.close(), prepare: (text) => statements.adapted(text) } }),

    async lock() {
      try {
        database.exec("pragma locking_mode = exclusive");
        database.exec("pragma journal_mode = wal");
        database.exec("pragma synchronous = full");
        database.exec("pragma cache_size = -65536");
        database.exec("begin exclusive; commit");
      } catch (error) {
        database.close();
        throw explain(error);
      }
    },

    async insertRows(_trx, table, rows, onConflict = "") {
      const [first] = rows;
      if (!first) return;
      const columns = Object.keys(first);
      const places = columns.map(() => "?").join(", ");
      const insert = statements.of(`insert into ${table} (${columns.join(", ")}) values (${places}) ${onConflict}`);
      // By name: rows of one table come from several places, each with an order of its own.
      for (const row of rows as readonly Record<string, SQLInputValue>[])
        insert.run(...columns.map((column) => row[column] as SQLInputValue));
    },

    async addToBalances(_trx, gains) {
      // What does not fit 64 bits SQLite would go on with as an inexact number.
      const add = statements.of(`update accounts set balance = balance + ?1, entries = entries + ?2
        where account = ?3 and typeof(balance + ?1) = 'integer'`);
      const find = statements.of("select 1 from accounts where account = ?");
      const open = statements.of(
        "insert into accounts (account, asset, overdraft, balance, entries) values (?, ?, ?, ?, ?)",
      );
      for (const { account, asset, overdraft, amount, entries } of gains) {
        if (add.run(amount, entries, account).changes > 0n) continue;
        if (find.get(account))
          throw new StoreError("conflict", `${name} refused an entry (${account} would not fit 64 bits).`);
        open.run(account, asset, overdraft ? 1 : 0, amount, entries);
      }
    },

    isOneOf: (column, values) =>
      sql<boolean>`${sql.ref(column)} in (select value from json_each(${JSON.stringify(values)}))`,
    forUpdate: sql``,

    async findDamage() {
      const rows = statements.of("pragma integrity_check").all() as { integrity_check: string }[];
      return rows.map((row) => row.integrity_check).filter((text) => text !== "ok");
    },

    explain,
    async unlock() {},
  };
}

/** SQLite changes its schema within transactions; Kysely's adapter leaves that unused. */
class Dialect extends SqliteDialect {
  override createAdapter() {
    return new TransactionalAdapter();
  }
}
class TransactionalAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl() {
    return true;
  }
}

/** Prepared statements by text; those not used for longest are forgotten. */
class Statements {
  #database: DatabaseSync;
  #byText = new Map<string, StatementSync>();

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  of(text: string): StatementSync {
    let statement = this.#byText.get(text);
    if (statement) this.#byText.delete(text);
    else {
      statement = this.#database.prepare(text);
      const [oldest] = this.#byText.size >= STATEMENTS_MAX ? this.#byText.keys() : [];
      if (oldest !== undefined) this.#byText.delete(oldest);
    }
    this.#byText.set(text, statement);
    return statement;
  }

  /** What Kysely's SQLite dialect works with. */
  adapted(text: string): SqliteStatement {
    const statement = this.of(text);
    const bind = (parameters: readonly unknown[]) => parameters as SQLInputValue[];
    return {
      reader: statement.columns().length > 0,
      all: (parameters) => statement.all(...bind(parameters)),
      run: (parameters) => statement.run(...bind(parameters)),
      iterate: (parameters) => statement.iterate(...bind(parameters)),
    };
  }
}

function makeWritable(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new StoreError("unwritable", `The data folder ${resolve(folder)} cannot be written (${code}).`, error);
  }
}

/** Result codes: https://sqlite.org/rescode.html; the low byte is the primary one. */
function explainSqlite(error: unknown, name: string): unknown {
  const { errcode, message } = error as { errcode?: number; message?: string };
  if (errcode === undefined) return error;
  switch (errcode & 0xff) {
    case 5: // BUSY
    case 6: // LOCKED
      return new StoreError(
        "locked",
        `Another hub is running on ${name}: stop it, or choose another data folder.`,
        error,
      );
    case 8: // READONLY
    case 10: // IOERR
    case 13: // FULL
    case 14: // CANTOPEN
      return new StoreError("unwritable", `Tabgrid cannot write ${name} (${message}).`, error);
    case 11: // CORRUPT
    case 26: // NOTADB
      return new StoreError(
        "damaged",
        `Tabgrid cannot read ${name}: it is damaged (${message}). Restore a copy of it.`,
        error,
      );
    case 19: // CONSTRAINT
      return new StoreError("conflict", `${name} refused an entry (${message}).`, error);
    default:
      return error;
  }
}
