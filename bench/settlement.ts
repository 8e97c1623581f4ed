import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { grant } from "../server/economy/holds.ts";
import { TestBooks } from "../server/settlement/test-books.ts";
import { openStore } from "../server/store/open.ts";
import type { Batch } from "../server/store/store.ts";
import { Traffic } from "../server/store/traffic.ts";
import { RawStore } from "./raw-store.ts";

/**
 * Settlement on SQLite: how fast settled tasks are posted with all that is held of them, beside the same rows by prepared
 * statements alone, in turns; and how long an epoch of so many receipts takes to mature and to close, in a process of its own
 * whose memory is told. `npm run bench -- settlement [RECEIPTS …]`, 100,000 and 1,000,000 if not said; prints JSON.
 */
const sizes = process.argv
  .slice(2)
  .filter((text) => /^\d+$/.test(text))
  .map(Number);
const folder = mkdtempSync(join(tmpdir(), "tabgrid-bench-settlement-"));
const BATCH = 500;
const MINERS = 1_000;
/** Of the process that matures and closes, whatever the number of receipts: one whose memory grew with it would die of it. */
const HEAP_MB = 64;

async function posting() {
  const rounds = 4;
  const store = await openStore({ kind: "sqlite", folder: join(folder, "store"), hub: "one" });
  await store.migrate();
  const empty = await openStore({ kind: "sqlite", folder: join(folder, "raw"), hub: "one" });
  await empty.migrate();
  await empty.close();
  const raw = new RawStore(join(folder, "raw", "tabgrid.db"));
  const traffic = new Traffic("posting", MINERS);
  await traffic.addCustomers(store);
  await store.commit({ transfers: traffic.customers.map((customer) => grant(customer, 10n ** 15n, "bench", 1)) });
  const ms = { store: 0, raw: 0 };
  for (let round = 0; round < rounds; round++) {
    const batches: Batch[] = [];
    for (let i = 0; i < 8; i++) {
      const requests = traffic.requests(BATCH);
      await store.hold(requests);
      raw.hold(requests);
      batches.push(traffic.settlement(requests));
    }
    let started = performance.now();
    for (const batch of batches) await store.commit(batch);
    ms.store += performance.now() - started;
    started = performance.now();
    for (const batch of batches) raw.commit(batch);
    ms.raw += performance.now() - started;
  }
  await store.close();
  raw.close();
  const perSecond = (spent: number) => Math.round((rounds * 8 * BATCH * 1_000) / spent);
  const ratio = Number((ms.raw / ms.store).toFixed(2));
  return { batch: BATCH, tasksPerSecond: perSecond(ms.store), rawTasksPerSecond: perSecond(ms.raw), ratio };
}

async function closing(receipts: number) {
  const books = await (await new TestBooks(join(folder, `epoch-${receipts}`), MINERS).open()).begin();
  const from = books.now;
  const started = performance.now();
  for (let settled = 0; settled < receipts; settled += BATCH) {
    await books.settle(Math.min(BATCH, receipts - settled), 100_000n);
    books.now = from + settled + BATCH;
  }
  const postedS = (performance.now() - started) / 1_000;
  await books.store.close();
  const child = join(import.meta.dirname, "settlement-close.ts");
  const limit = `--max-old-space-size=${HEAP_MB}`;
  const told = execFileSync(process.execPath, [limit, child, books.folder, String(books.now)], { encoding: "utf8" });
  rmSync(books.folder, { recursive: true });
  return { receipts, postedS: Number(postedS.toFixed(1)), ...JSON.parse(told), heapLimitMb: HEAP_MB };
}

try {
  const result = { bench: "settlement", node: process.version, cpus: cpus().length, posting: await posting() };
  const closings = [];
  for (const size of sizes.length > 0 ? sizes : [100_000, 1_000_000]) closings.push(await closing(size));
  const bars = {
    ratio: "≥ 0.5",
    closingS: "≤ 10 for 1,000,000 receipts",
    peakMb: "the same whatever the number of receipts",
  };
  console.log(JSON.stringify({ ...result, closings, bars }, null, 2));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
