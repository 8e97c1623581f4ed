import { CompiledQuery, type DatabaseConnection, type Dialect, type Driver } from "kysely";
import type { Engine } from "../store/engine.ts";

/**
 * An engine whose commits fail when they are told to: `before` loses the transaction as a crash in it would, `after` commits
 * and loses the answer, as a connection that drops in the wrong moment. A transaction that wrote nothing has no boundary.
 */
export type Abort = "before" | "after";

export class InjectedAbort extends Error {}

/** `next`: asked at every commit, with what was written: the same writes, the same text. */
export function abortingEngine(engine: Engine, next: (written: string) => Abort | null): Engine {
  let written = "";
  const note = (text: string) => {
    written += `${text}\n`;
  };
  const at = (): Abort | null => {
    const text = written;
    written = "";
    return text === "" ? null : next(text);
  };
  return {
    ...engine,
    insertRows(trx, table, rows, onConflict) {
      const [first] = rows;
      if (first) note(`${table} ${rows.length} ${nameOf(first)}`);
      return engine.insertRows(trx, table, rows, onConflict);
    },
    dialect: abortingDialect(
      engine.dialect,
      note,
      at,
      engine.kind === "postgres" ? "set local synchronous_commit = off" : null,
    ),
  };
}

/** What tells a row from others of its table; numbers that grow with every try do not. */
const names = ["id", "task", "root", "owner", "action", "key", "account", "address", "party", "epoch"];
const nameOf = (row: object): string => {
  const held = row as Record<string, unknown>;
  return String(held[names.find((name) => held[name] !== undefined) ?? ""]);
};

/** Remembers what it handed out, to give its own back. */
class Watched implements DatabaseConnection {
  readonly inner: DatabaseConnection;
  readonly #note: (text: string) => void;

  constructor(inner: DatabaseConnection, note: (text: string) => void) {
    this.inner = inner;
    this.#note = note;
  }

  executeQuery<R>(query: CompiledQuery, options?: object) {
    if (/^\s*(update|delete|insert into (fences|tallies))/.test(query.sql)) {
      const given = query.parameters.map(String).join(" ");
      this.#note(`${query.sql.slice(0, 60)} ${given.slice(0, 200)}`);
    }
    return this.inner.executeQuery<R>(query, options);
  }

  streamQuery<R>(query: CompiledQuery, chunkSize: number, options?: object) {
    return this.inner.streamQuery<R>(query, chunkSize, options);
  }
}

const abortingDialect = (
  dialect: Dialect,
  note: (text: string) => void,
  at: () => Abort | null,
  first: string | null,
): Dialect => ({
  createAdapter: () => dialect.createAdapter(),
  createIntrospector: (db) => dialect.createIntrospector(db),
  createQueryCompiler: () => dialect.createQueryCompiler(),
  createDriver: () => abortingDriver(dialect.createDriver(), note, at, first),
});

/** `first`: said in every transaction; aborts lose nothing of what the server has, and waiting for a disk would test the disk. */
function abortingDriver(
  driver: Driver,
  note: (text: string) => void,
  at: () => Abort | null,
  first: string | null,
): Driver {
  let isCommitted = false;
  const own = (connection: DatabaseConnection) => (connection as Watched).inner;
  return {
    init: (options) => driver.init(options),
    acquireConnection: async (options) => new Watched(await driver.acquireConnection(options), note),
    releaseConnection: (connection, options) => driver.releaseConnection(own(connection), options),
    destroy: (options) => driver.destroy(options),
    async beginTransaction(connection, settings) {
      at();
      await driver.beginTransaction(own(connection), settings);
      if (first !== null) await own(connection).executeQuery(CompiledQuery.raw(first));
    },
    async commitTransaction(connection) {
      const abort = at();
      if (abort === "before") throw new InjectedAbort("the process died before its commit");
      await driver.commitTransaction(own(connection));
      isCommitted = abort === "after";
      if (isCommitted) throw new InjectedAbort("the answer to the commit was lost");
    },
    async rollbackTransaction(connection) {
      if (!isCommitted) await driver.rollbackTransaction(own(connection));
      isCommitted = false;
    },
  };
}
