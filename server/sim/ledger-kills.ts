import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { Kysely } from "kysely";
import { countedRng, nextInt } from "../../shared/random.ts";
import { WINDOW_MS } from "../economy/market.ts";
import { DAY_MS } from "../settlement/test-books.ts";
import { SqlStore } from "../store/sql-store.ts";
import { openSqlite } from "../store/sqlite.ts";
import type { Tables } from "../store/tables.ts";
import { abortingEngine } from "./ledger-engine.ts";
import { faultsOf, recordFaults } from "./ledger-faults.ts";
import { LedgerLife, openBooks } from "./ledger-life.ts";

/**
 * kill -9, again and again, of a process that plays on the same books on disk. It says each step before it begins it and each
 * commit before it makes it; the killer waits for one of these lines, then up to a few ms, and kills. What was under way then
 * is what the last line says.
 */
export interface KillReport {
  kills: number;
  /** By what was under way: in the middle of a commit, between the commits of a step, or opening the books. */
  inCommit: Record<string, number>;
  inStep: Record<string, number>;
  seconds: number;
  faults: string[];
}

/** Every life begins so much later than the one before it: pay has matured, an epoch is due. */
const LATER_MS = 10 * DAY_MS;
const lifeBegins = (seed: number): number => 2 * WINDOW_MS + seed * LATER_MS;
/** Of a life; most are longer than the way to its kill. */
const LINES_MOST = 40;
const WAIT_MOST_MS = 6;
const BATCH = 30;

/** What a killed child does: plays, every kind of step as often, and says so. */
export async function play(folder: string, seed: number): Promise<void> {
  // Synchronously, or the line would come after the fact.
  const say = (text: string) => writeSync(1, `${text}\n`);
  let name = "opening";
  say(`step ${name}`);
  const engine = openSqlite(folder);
  await engine.lock();
  const watched = abortingEngine(engine, () => {
    say(`commit ${name}`);
    return null;
  });
  const books = await openBooks(new SqlStore(watched, "one"), folder, lifeBegins(seed));
  for (const life = new LedgerLife(books, seed, BATCH); ; ) {
    const step = life.next(true);
    name = step.name;
    say(`step ${name}`);
    await step.run();
  }
}

export async function killTimes(count: number, seed: number): Promise<KillReport> {
  const folder = mkdtempSync(join(tmpdir(), "tabgrid-kills-"));
  const started = performance.now();
  const rng = countedRng(seed);
  const report: KillReport = { kills: 0, inCommit: {}, inStep: {}, seconds: 0, faults: [] };
  try {
    await look(folder, 0, true);
    while (report.kills < count && report.faults.length === 0) {
      report.kills += 1;
      const life = seed + report.kills;
      const last = await kill(folder, life, 1 + nextInt(rng, LINES_MOST), nextInt(rng, WAIT_MOST_MS * 10) / 10);
      const [where, name] = [last.startsWith("commit ") ? report.inCommit : report.inStep, last.replace(/^\w+ /, "")];
      where[name] = (where[name] ?? 0) + 1;
      const isWhole = report.kills % 50 === 0 || report.kills === count;
      report.faults.push(...(await look(folder, life, isWhole)).map((fault) => `life ${life}, in ${last}: ${fault}`));
    }
  } finally {
    if (report.faults.length === 0) rmSync(folder, { recursive: true, force: true });
    else console.error(`The books are in ${folder}.`);
  }
  report.seconds = Number(((performance.now() - started) / 1_000).toFixed(1));
  return report;
}

/** Resolves with the last line that the child said. */
async function kill(folder: string, seed: number, lines: number, waitMs: number): Promise<string> {
  const fuzz = join(import.meta.dirname, "ledger-fuzz.ts");
  const child = spawn(process.execPath, [fuzz, "--play", folder, "--seed", String(seed)], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, NODE_COMPILE_CACHE: join(folder, "compiled") },
  });
  const gone = once(child, "exit");
  let [said, last] = [0, "nothing"];
  for await (const line of createInterface({ input: child.stdout })) {
    last = line;
    if (++said === lines) setTimeout(() => child.kill("SIGKILL"), waitMs);
  }
  const [code, signal] = await gone;
  if (signal !== "SIGKILL") throw new Error(`The child ended by itself in ${last}: ${code ?? signal}`);
  return last;
}

/** Opens the books as a hub would after the kill: goes on with a closing, lets mature, and looks. */
async function look(folder: string, life: number, isWhole: boolean): Promise<string[]> {
  const engine = openSqlite(folder);
  await engine.lock();
  const store = new SqlStore(engine, "one");
  const books = await openBooks(store, folder, lifeBegins(life) + LATER_MS / 2);
  const db = new Kysely<Tables>({ dialect: engine.dialect });
  const { USDC, DN } = await store.imbalance();
  const faults = USDC !== 0n || DN !== 0n ? [`imbalance of ${USDC} USDC, ${DN} DN`] : [];
  faults.push(...(isWhole ? await faultsOf(db, books) : await recordFaults(books)));
  await books.settlement.maturer.close();
  await store.close();
  return faults;
}
