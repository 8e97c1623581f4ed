import { PostgresDialect, sql } from "kysely";
import pg from "pg";
import type { Engine } from "./engine.ts";
import { StoreError } from "./store.ts";

/** PostgreSQL, shared by several hubs; each owns the chain of its name, which an advisory lock makes its alone. */
const POOL_MAX = 8;
const CONNECT_TIMEOUT_MS = 5_000;
const INT8 = 20;

export function openPostgres(url: string, schema: string, hub: string): Engine {
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema)) throw new RangeError(`not a schema name: ${schema}`);
  const connection = {
    connectionString: url,
    options: `-c search_path=${schema}`,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    application_name: `tabgrid ${hub}`,
    types: {
      getTypeParser: ((oid: number, format?: "text") =>
        oid === INT8 ? BigInt : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
    },
  };
  const pool = new pg.Pool({ ...connection, max: POOL_MAX });
  const keeper = new pg.Client(connection);
  // A connection that drops while idle is replaced when it is next needed; the query that needs it reports what is wrong.
  pool.on("error", () => {});
  keeper.on("error", () => {});
  const name = `the database ${describe(url)}`;
  const explain = (error: unknown): unknown => explainPostgres(error, name);

  return {
    kind: "postgres",
    name,
    schema,
    dialect: new PostgresDialect({ pool }),

    async lock() {
      try {
        await keeper.connect();
        const { rows } = await keeper.query("select pg_try_advisory_lock(hashtextextended($1, 0)) as mine", [
          `tabgrid:${schema}:${hub}`,
        ]);
        if (!rows[0].mine) throw new StoreError("locked", `Another hub named ${hub} is running on ${name}.`);
      } catch (error) {
        await Promise.allSettled([keeper.end(), pool.end()]);
        throw explain(error);
      }
    },

    async insertRows(trx, table, rows, onConflict = "") {
      const [first] = rows;
      if (!first) return;
      const columns = sql.raw(Object.keys(first).join(", "));
      await sql`insert into ${sql.raw(table)} (${columns}) select ${columns}
        from json_populate_recordset(null::${sql.raw(table)}, ${jsonOf(rows)}) ${sql.raw(onConflict)}`.execute(trx);
    },

    async addToBalances(trx, gains) {
      const given = jsonOf(
        gains.map(({ account, asset, overdraft, amount, entries }) => {
          return { account, asset, overdraft: overdraft ? 1 : 0, balance: amount, entries };
        }),
      );
      const all = sql`json_populate_recordset(null::accounts, ${given})`;
      await sql`insert into accounts (account, asset, overdraft, balance, entries)
        select account, asset, overdraft, 0, 0 from ${all} order by account on conflict do nothing`.execute(trx);
      // All hubs lock accounts in the same order, so none waits for another in a circle.
      await sql`select 1 from accounts where account in (select account from ${all}) order by account for update`.execute(
        trx,
      );
      await sql`update accounts set balance = accounts.balance + gain.balance, entries = accounts.entries + gain.entries
        from ${all} as gain where accounts.account = gain.account`.execute(trx);
    },

    isOneOf: (column, values) => sql<boolean>`${sql.ref(column)} = any(${values}::text[])`,
    forUpdate: sql`for update`,

    // PostgreSQL checks its pages when it reads them, and the audit of the books reads them all.
    async findDamage() {
      return [];
    },

    explain,
    async unlock() {
      await keeper.end();
    },
  };
}

const jsonOf = (rows: readonly object[]): string =>
  JSON.stringify(rows, (_, value) => (typeof value === "bigint" ? value.toString() : value));

/** Host and name, never the password. */
function describe(url: string): string {
  try {
    const { host, pathname } = new URL(url);
    return `${pathname.slice(1) || "postgres"} at ${host || "the local socket"}`;
  } catch {
    return "of DATABASE_URL";
  }
}

/** SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html */
function explainPostgres(error: unknown, name: string): unknown {
  if (error instanceof StoreError) return error;
  const { code, message } = error as { code?: string; message?: string };
  if (code === undefined && !/connect|terminat/i.test(message ?? "")) return error;
  const group = code?.slice(0, 2);
  // 22003: a balance that does not fit 64 bits.
  if (group === "23" || code === "22003")
    return new StoreError("conflict", `${name} refused an entry (${message}).`, error);
  if (group === "XX")
    return new StoreError("damaged", `Tabgrid cannot read ${name}: it is damaged (${message}).`, error);
  if (code === "42501" || code === "25006" || group === "53") {
    return new StoreError("unwritable", `Tabgrid cannot write ${name} (${message}).`, error);
  }
  if (code === undefined || /^(E[A-Z]+|08|28|3D|57)/.test(code)) {
    return new StoreError("unreachable", `Tabgrid cannot reach ${name} (${message || code}).`, error);
  }
  return error;
}
