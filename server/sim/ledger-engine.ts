import type { Dialect, Driver } from "kysely";
import type { Engine } from "../store/engine.ts";

/**
 * An engine whose commits fail when they are told to: `before` loses the transaction as a crash in it would, `after` commits
 * and loses the answer, as a connection that drops in the wrong moment.
 */
export type Abort = "before" | "after";

export class InjectedAbort extends Error {}

export function abortingEngine(engine: Engine, next: () => Abort | null): Engine {
  const { dialect } = engine;
  return { ...engine, dialect: abortingDialect(dialect, next) };
}

const abortingDialect = (dialect: Dialect, next: () => Abort | null): Dialect => ({
  createAdapter: () => dialect.createAdapter(),
  createIntrospector: (db) => dialect.createIntrospector(db),
  createQueryCompiler: () => dialect.createQueryCompiler(),
  createDriver: () => abortingDriver(dialect.createDriver(), next),
});

function abortingDriver(driver: Driver, next: () => Abort | null): Driver {
  let isCommitted = false;
  return {
    init: (options) => driver.init(options),
    acquireConnection: (options) => driver.acquireConnection(options),
    releaseConnection: (connection, options) => driver.releaseConnection(connection, options),
    destroy: (options) => driver.destroy(options),
    beginTransaction: (connection, settings) => driver.beginTransaction(connection, settings),
    async commitTransaction(connection) {
      const abort = next();
      if (abort === "before") throw new InjectedAbort("the process died before its commit");
      await driver.commitTransaction(connection);
      isCommitted = abort === "after";
      if (isCommitted) throw new InjectedAbort("the answer to the commit was lost");
    },
    async rollbackTransaction(connection) {
      if (!isCommitted) await driver.rollbackTransaction(connection);
      isCommitted = false;
    },
  };
}
