import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { cac } from "cac";
import { Kysely, sql } from "kysely";
import type { Engine } from "../store/engine.ts";
import { openPostgres } from "../store/postgres.ts";
import { SqlStore } from "../store/sql-store.ts";
import { openSqlite } from "../store/sqlite.ts";
import type { Store } from "../store/store.ts";
import type { Tables } from "../store/tables.ts";
import { type Abort, abortingEngine, InjectedAbort } from "./ledger-engine.ts";
import { eventsOf } from "./ledger-events.ts";
import { faultsOf, recordFaults } from "./ledger-faults.ts";
import { killTimes, play } from "./ledger-kills.ts";
import { LedgerLife, openBooks, type Step, stepNames } from "./ledger-life.ts";

/**
 * The books under fire: `npm run fuzz -- --operations 1000000` plays seeded operations over the whole economy
 * (ledger-life.ts) on SQLite. Every commit that a step makes is lost once before it and once after it, and the step is tried
 * again by what a new process would know. `--postgres URL` does so there; `--kills 1000` kills a process that plays, again and
 * again, and looks at what it leaves. What is looked for: ledger-faults.ts. The same seed ends in the same hash.
 */
export interface FuzzReport {
  operations: number;
  steps: number;
  /** Distinct commits of all steps; each was aborted twice. */
  commits: number;
  aborts: number;
  epochs: number;
  seconds: number;
  faults: string[];
  /** Over all balances, and the digests of all epochs' plans. */
  hash: string;
  /** Steps by name: how many were done, and how many were refused, by code, or found nothing to do. */
  played: Record<string, Played>;
  /** What came of them, counted in what is stored (ledger-events.ts). */
  happened: Record<string, number>;
}

export interface Played {
  done: number;
  not: Record<string, number>;
}

export interface FuzzOptions {
  seed: number;
  operations: number;
  batch: number;
  /** Opens the engine of a hub; the folder is SQLite's. */
  engine: (folder: string) => Engine;
  abort?: boolean;
  /** No kind of step before others. */
  evenly?: boolean;
  folder?: string;
  /** How often all that is stored is read and compared. */
  checks?: number;
}

/** Steps between two looks at what parties' records say. */
const LOOK_EVERY = 250;
/** Of a step; a closing has some 20 commits, each tried three times. */
const TRIES_MOST = 500;

export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const { seed, operations, batch, abort = true, evenly = false, checks = 4 } = options;
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), "tabgrid-fuzz-"));
  const started = performance.now();
  const faults: string[] = [];
  const seen: Record<Abort, Set<string>> = { before: new Set(), after: new Set() };
  let [operationsDone, steps, commits, aborts, isArmed] = [0, 0, 0, 0, false];
  const next = (written: string): Abort | null => {
    if (!isArmed) return null;
    const due = (["before", "after"] as const).find((when) => !seen[when].has(written));
    if (due === undefined) return null;
    seen[due].add(written);
    if (due === "before") commits += 1;
    aborts += 1;
    return due;
  };
  const engine = options.engine(folder);
  await engine.lock();
  const db = new Kysely<Tables>({ dialect: engine.dialect });
  // Aborts lose nothing of what the database has: waiting for a disk would test the disk.
  if (engine.kind === "sqlite") await sql`pragma synchronous = off`.execute(db);
  const store = new SqlStore(abortingEngine(engine, next), "one");
  const books = await openBooks(store, folder);
  const played = Object.fromEntries(stepNames.map((name): [string, Played] => [name, { done: 0, not: {} }]));

  async function does(step: Step): Promise<string | null> {
    for (const when of ["before", "after"] as const) seen[when].clear();
    for (let tries = 1; ; tries++) {
      if (tries > TRIES_MOST) throw new Error(`still not done after ${tries} tries`);
      isArmed = abort;
      try {
        return await step.run();
      } catch (error) {
        if (!(error instanceof InjectedAbort)) throw error;
        isArmed = false;
        const { USDC, DN } = await store.imbalance();
        if (USDC !== 0n || DN !== 0n) faults.push(`imbalance of ${USDC} USDC, ${DN} DN`);
        await books.learn();
      } finally {
        isArmed = false;
      }
    }
  }

  try {
    const life = new LedgerLife(books, seed, batch);
    for (let checked = 0; operationsDone < operations && faults.length === 0; ) {
      const step = life.next(evenly);
      steps += 1;
      try {
        const refused = await does(step);
        const count = played[step.name] as Played;
        if (refused === null) count.done += 1;
        else count.not[refused] = (count.not[refused] ?? 0) + 1;
        if (steps % LOOK_EVERY === 0) faults.push(...(await recordFaults(books)));
        operationsDone += step.operations;
        if (operationsDone >= (operations * (checked + 1)) / checks) {
          checked += 1;
          faults.push(...(await faultsOf(db, books)));
        }
      } catch (error) {
        faults.push((error as Error).stack ?? String(error));
      }
      if (faults.length > 0) faults.unshift(`seed ${seed}, step ${steps}, ${step.name}:`);
    }
    const hash = await hashOf(store);
    const epochs = (await store.settlement.running()).epoch - 1;
    const seconds = Number(((performance.now() - started) / 1_000).toFixed(1));
    const happened = await eventsOf(db, store);
    return { operations: operationsDone, steps, commits, aborts, epochs, seconds, faults, hash, played, happened };
  } finally {
    await books.settlement.maturer.close();
    await store.close();
    if (!options.folder) rmSync(folder, { recursive: true, force: true });
  }
}

async function hashOf(store: Store): Promise<string> {
  const hash = createHash("sha256");
  for (let after: string | null = null; ; ) {
    const page = await store.accounts({ limit: 1_000, after });
    for (const { account, balance } of page.data) hash.update(`${account} ${balance}\n`);
    if (!page.hasMore) break;
    after = page.data.at(-1)?.account ?? null;
  }
  const { epoch } = await store.settlement.running();
  for (let n = 1; n <= epoch; n++) hash.update(`${n} ${(await store.settlement.epoch(n))?.digest}\n`);
  return hash.digest("hex");
}

const textOf = ({ played, happened, ...report }: FuzzReport): string => {
  const steps = Object.entries(played).map(([name, { done, not }]) => {
    const refused = Object.entries(not).sort(([, a], [, b]) => b - a);
    return [`  ${name}: ${done} done`, ...refused.map(([code, count]) => `${code} ${count}`)].join(", ");
  });
  const events = Object.entries(happened).map(([name, count]) => `  ${name}: ${count}`);
  return [JSON.stringify(report, null, 1), "Steps:", ...steps.sort(), "What came of them:", ...events].join("\n");
};

interface Options {
  operations: number;
  seed: number;
  batch: number;
  postgres?: string;
  kills?: number;
  play?: string;
}

async function main({ operations, seed, batch, postgres, kills, play: folder }: Options): Promise<void> {
  if (folder !== undefined) return play(folder, seed);
  if (kills !== undefined) {
    const report = await killTimes(kills, seed);
    console.log(JSON.stringify(report, null, 1));
    process.exitCode = report.faults.length > 0 ? 1 : 0;
    return;
  }
  const schema = `tabgrid_fuzz_${process.pid}`;
  const engine = postgres === undefined ? openSqlite : () => openPostgres(postgres, schema, "one");
  const report = await fuzz({ seed, operations, batch, engine });
  console.log(textOf(report));
  const isFaulty = report.faults.length > 0;
  process.exitCode = isFaulty ? 1 : 0;
  if (postgres === undefined) return;
  if (isFaulty) console.error(`The books are in the schema ${schema}.`);
  else await dropSchema(postgres, schema);
}

export async function dropSchema(url: string, schema: string): Promise<void> {
  const db = new Kysely<Tables>({ dialect: openPostgres(url, schema, "one").dialect });
  await sql`drop schema if exists ${sql.id(schema)} cascade`.execute(db);
  await db.destroy();
}

if (process.argv[1] === import.meta.filename) {
  const cli = cac("ledger-fuzz");
  cli
    .command("", "Fuzz the books")
    .option("--operations <count>", "How many", { default: 100_000 })
    .option("--seed <number>", "The same seed, the same life", { default: 1 })
    .option("--batch <tasks>", "Most tasks of a commit", { default: 100 })
    .option("--postgres <url>", "There instead of SQLite")
    .option("--kills <count>", "Kill a playing process so often")
    .option("--play <folder>", "Play on these books until killed")
    .action(main);
  cli.help();
  cli.parse();
}
