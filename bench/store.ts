import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { grant } from "../server/economy/holds.ts";
import { openStore } from "../server/store/open.ts";
import type { Batch, Store } from "../server/store/store.ts";
import { Traffic } from "../server/store/traffic.ts";
import { RawStore } from "./raw-store.ts";

/**
 * Transfers per second through Store.commit on SQLite (settled tasks with their postings, receipts and task rows, on
 * disk when the promise resolves), and beside it the same rows by prepared statements alone, in turns in the same run.
 * `node bench/store.ts` prints JSON.
 */
const tasksPerSize = 4_000;
const rounds = 4;
const folder = mkdtempSync(join(tmpdir(), "tabgrid-bench-"));

async function openEmpty(name: string): Promise<Store> {
  const store = await openStore({ kind: "sqlite", folder: join(folder, name), hub: "one" });
  await store.migrate();
  return store;
}

async function measure(size: number) {
  const store = await openEmpty(`store-${size}`);
  await (await openEmpty(`raw-${size}`)).close();
  const raw = new RawStore(join(folder, `raw-${size}`, "tabgrid.db"));
  const traffic = new Traffic(`bench ${size}`, 1_000);
  await traffic.addCustomers(store);
  await store.commit({ transfers: traffic.customers.map((customer) => grant(customer, 10n ** 15n, "bench", 1)) });
  const ms = { store: 0, raw: 0, hold: 0 };
  const commitMs: number[] = [];
  const perRound = Math.ceil(tasksPerSize / rounds / size);
  for (let round = 0; round < rounds; round++) {
    const batches: Batch[] = [];
    for (let i = 0; i < perRound; i++) {
      const requests = traffic.requests(size);
      const started = performance.now();
      await store.hold(requests);
      ms.hold += performance.now() - started;
      raw.hold(requests);
      batches.push(traffic.settlement(requests));
    }
    for (const batch of batches) {
      const started = performance.now();
      await store.commit(batch);
      const took = performance.now() - started;
      ms.store += took;
      commitMs.push(took);
    }
    const started = performance.now();
    for (const batch of batches) raw.commit(batch);
    ms.raw += performance.now() - started;
  }
  const faults = await store.integrityCheck();
  if (faults.length > 0) throw new Error(faults.join("\n"));
  await store.close();
  raw.close();
  commitMs.sort((a, b) => a - b);
  const transfers = rounds * perRound * size;
  const perSecond = (spent: number) => Math.round((transfers / spent) * 1_000);
  return {
    batch: size,
    transfersPerSecond: perSecond(ms.store),
    rawTransfersPerSecond: perSecond(ms.raw),
    ratio: Number((ms.raw / ms.store).toFixed(2)),
    holdsPerSecond: perSecond(ms.hold),
    commitMsMedian: Number((commitMs[commitMs.length >> 1] as number).toFixed(2)),
  };
}

try {
  await measure(100);
  const sizes = [];
  for (const size of [1, 10, 100, 200, 500]) sizes.push(await measureOnce(size));
  console.log(
    JSON.stringify({ bench: "store", node: process.version, cpus: cpus().length, tasksPerSize, sizes }, null, 2),
  );
} finally {
  rmSync(folder, { recursive: true });
}

async function measureOnce(size: number) {
  for (const name of [`store-${size}`, `raw-${size}`]) rmSync(join(folder, name), { recursive: true, force: true });
  return await measure(size);
}
