import pg from "pg";
import { expect, it } from "vitest";
import { openPostgres } from "../store/postgres.ts";
import { fuzz } from "./ledger-fuzz.ts";

/** DATABASE_URL, else a PostgreSQL of this machine that lets us in. */
const candidates = process.env.DATABASE_URL
  ? [process.env.DATABASE_URL]
  : ["root", "postgres"].map((user) => `postgres://${user}@localhost/test?host=/var/run/postgresql`);

async function reachable(): Promise<string | null> {
  for (const url of candidates) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
    const isUp = await client.connect().then(
      () => true,
      () => false,
    );
    await client.end().catch(() => {});
    if (isUp) return url;
  }
  return null;
}

const url = await reachable();
if (url === null) console.warn("skipped: no PostgreSQL to fuzz the books on; set DATABASE_URL");

it.skipIf(url === null)(
  "keeps its invariants on PostgreSQL, aborted at every commit",
  {
    timeout: 300_000,
  },
  async () => {
    const schema = `tabgrid_fuzz_test_${process.pid}`;
    const engine = () => openPostgres(url as string, schema, "one");
    try {
      const report = await fuzz({ seed: 5, operations: 600, batch: 30, engine, checks: 1 });
      expect(report.faults).toEqual([]);
      expect(report.aborts).toBeGreaterThan(0);
    } finally {
      const client = new pg.Client({ connectionString: url as string });
      await client.connect();
      await client.query(`drop schema if exists ${schema} cascade`);
      await client.end();
    }
  },
);
