import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { cac } from "cac";
import { TestBooks } from "../settlement/test-books.ts";
import type { Engine } from "../store/engine.ts";
import { openPostgres } from "../store/postgres.ts";
import { SqlStore } from "../store/sql-store.ts";
import { openSqlite } from "../store/sqlite.ts";
import type { Store } from "../store/store.ts";
import { abortingEngine, InjectedAbort } from "./ledger-engine.ts";
import { LedgerLife } from "./ledger-life.ts";

/**
 * The books under fire: `node server/sim/ledger-fuzz.ts --operations 1000000` plays seeded operations over the whole economy on
 * SQLite, and aborts every commit of every step once, by turns before it and after it; `--postgres URL` does so there; `--kills
 * 1000` kills a process that plays, again and again, and looks at what it leaves. The same seed ends in the same hash.
 */
export interface FuzzReport {
  operations: number;
  steps: number;
  aborts: number;
  seconds: number;
  faults: string[];
  /** Over all balances and tallies. */
  hash: string;
}

export interface FuzzOptions {
  seed: number;
  operations: number;
  batch: number;
  /** Opens the engine of a hub; the folder is SQLite's. */
  engine: (folder: string) => Engine;
  abort?: boolean;
  folder?: string;
  /** How often all that is stored is read and compared. */
  checks?: number;
}

export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const { seed, operations, batch, abort = true, checks = 4 } = options;
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), "tabgrid-fuzz-"));
  const started = performance.now();
  const faults: string[] = [];
  let [aborts, steps, at, armed] = [0, 0, 0, Number.POSITIVE_INFINITY];
  const next = () => {
    if (++at !== armed) return null;
    aborts += 1;
    return aborts % 2 === 0 ? "after" : "before";
  };
  const engine = options.engine(folder);
  await engine.lock();
  const store = new SqlStore(abortingEngine(engine, next), "one");
  const books = await new TestBooks(folder).on(store);
  try {
    if ((await store.counts()).accounts < 5) await books.begin(1_000_000_000n);
    const life = new LedgerLife(books, seed, batch);
    let checked = 0;
    while (life.operations < operations && faults.length === 0) {
      const step = life.next();
      steps += 1;
      // The n-th try of a step dies at its n-th commit; the last one has no more to die at.
      for (armed = abort ? 1 : Number.POSITIVE_INFINITY; ; armed++) {
        at = 0;
        try {
          await step();
          break;
        } catch (error) {
          if (!(error instanceof InjectedAbort)) throw error;
          const { USDC, DN } = await store.imbalance();
          if (USDC !== 0n || DN !== 0n) faults.push(`step ${steps}: imbalance of ${USDC} USDC, ${DN} DN`);
        }
      }
      armed = Number.POSITIVE_INFINITY;
      if (life.operations >= (operations * (checked + 1)) / checks) {
        checked += 1;
        faults.push(...(await faultsOf(store, books)));
      }
    }
    const hash = await hashOf(store);
    const seconds = Number(((performance.now() - started) / 1_000).toFixed(1));
    return { operations: life.operations, steps, aborts, seconds, faults, hash };
  } finally {
    await store.close();
    if (!options.folder) rmSync(folder, { recursive: true, force: true });
  }
}

/** Invariants: the auditor's, the market's reserves, what registrations and stakes say they hold, supply. */
export async function faultsOf(store: Store, books: TestBooks): Promise<string[]> {
  const faults = await store.integrityCheck();
  const same = (what: string, a: bigint, b: bigint) => a === b || faults.push(`${what}: ${a} is not ${b}`);
  const market = (await store.parties.one("market", "market"))?.body;
  if (market) {
    same("USDC of the market", market.usdc, await books.balance("market"));
    same("DN of the market", market.dn, await books.balance("dn:market"));
  }
  const sumOf = (amounts: bigint[]) => amounts.reduce((sum, amount) => sum + amount, 0n);
  const deposits = (await store.parties.all("registration")).map(({ body }) => body.deposit);
  same("deposits", sumOf(deposits), await store.parties.sum("collateral:"));
  const positions = (await store.parties.all("position")).map(({ body }) => body);
  same("stake", sumOf(positions.map(({ amount }) => amount)), await store.parties.sum("stake:"));
  const leaving = positions.flatMap(({ unbonding }) => unbonding.map(({ amount }) => amount));
  same("unbonding stake", sumOf(leaving), await store.parties.sum("unbonding:"));
  const pledges = (await store.parties.all("pledge")).map(({ body }) => body.left);
  same("pledges", sumOf(pledges), await store.parties.sum("pledge:"));
  return faults;
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

/** Lets a child play and kills it, `count` times, on the same books; after each the books are looked at. */
export async function killTimes(count: number, folder: string, seed: number): Promise<string[]> {
  const faults: string[] = [];
  for (let n = 0; n < count && faults.length === 0; n++) {
    const child = spawn(process.execPath, [import.meta.filename, "--play", folder, "--seed", String(seed + n)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const gone = once(child, "exit");
    for await (const _ of createInterface({ input: child.stdout })) {
      setTimeout(() => child.kill("SIGKILL"), (n * 7) % 50);
      break;
    }
    await gone;
    const engine = openSqlite(folder);
    await engine.lock();
    const store = new SqlStore(engine, "one");
    const books = await new TestBooks(folder).on(store);
    const open = await store.openHolds();
    faults.push(...(n % 10 === 9 || n === count - 1 ? await faultsOf(store, books) : []));
    const { USDC, DN } = await store.imbalance();
    if (USDC !== 0n || DN !== 0n)
      faults.push(`kill ${n}: imbalance of ${USDC} USDC, ${DN} DN, ${open.length} holds open`);
    await store.close();
  }
  return faults;
}

interface Options {
  operations: number;
  seed: number;
  batch: number;
  postgres?: string;
  kills?: number;
  play?: string;
}

async function main({ operations, seed, batch, postgres, kills, play }: Options): Promise<void> {
  if (play !== undefined) {
    process.stdout.write("playing\n");
    await fuzz({ seed, operations: 1_000_000, batch: 20, engine: openSqlite, abort: false, folder: play, checks: 1 });
    return;
  }
  let faults: string[];
  if (kills !== undefined) {
    const folder = mkdtempSync(join(tmpdir(), "tabgrid-kills-"));
    await fuzz({ seed, operations: 200, batch: 20, engine: openSqlite, folder, checks: 1 });
    faults = await killTimes(kills, folder, seed + 1);
    rmSync(folder, { recursive: true, force: true });
    console.log(JSON.stringify({ kills, faults }));
  } else {
    const schema = `tabgrid_fuzz_${process.pid}`;
    const engine = postgres === undefined ? openSqlite : () => openPostgres(postgres, schema, "one");
    const report = await fuzz({ seed, operations, batch, engine });
    faults = report.faults;
    console.log(JSON.stringify(report));
    if (postgres !== undefined) console.error(`The books are in the schema ${schema}.`);
  }
  process.exitCode = faults.length > 0 ? 1 : 0;
}

if (process.argv[1] === import.meta.filename) {
  const cli = cac("ledger-fuzz");
  cli
    .command("", "Fuzz the books")
    .option("--operations <count>", "How many", { default: 100_000 })
    .option("--seed <number>", "The same seed, the same life", { default: 1 })
    .option("--batch <tasks>", "Most tasks of a commit", { default: 200 })
    .option("--postgres <url>", "There instead of SQLite")
    .option("--kills <count>", "Kill a playing process so often")
    .option("--play <folder>", "Play on these books without end")
    .action(main);
  cli.help();
  cli.parse();
}
