import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { grant } from "../server/economy/holds.ts";
import { openStore } from "../server/store/open.ts";
import { taskRow } from "../server/store/records.ts";
import type { Batch, HoldRequest, Store } from "../server/store/store.ts";
import { Traffic } from "../server/store/traffic.ts";

/**
 * Transfers per second through Store.commit on SQLite (settled tasks with their postings, receipts and task rows, on
 * disk when the promise resolves), and beside it the same rows by prepared statements alone, in turns in the same run.
 * `node bench/store.ts` prints JSON.
 */
const tasksPerSize = 4_000;
const rounds = 4;
const folder = mkdtempSync(join(tmpdir(), "tabgrid-bench-"));

/** Everything that Store.commit writes for a batch, without what it computes and checks. */
class Raw {
  readonly #db: DatabaseSync;
  readonly #insert: (table: string, row: object) => void;
  #seq = 0n;

  constructor(file: string) {
    const db = new DatabaseSync(file);
    db.exec(
      "pragma journal_mode = wal; pragma synchronous = full; pragma locking_mode = exclusive; pragma cache_size = -65536",
    );
    const inserts = new Map<string, ReturnType<DatabaseSync["prepare"]>>();
    this.#insert = (table, row) => {
      let insert = inserts.get(table);
      if (!insert) {
        const columns = Object.keys(row);
        insert = db.prepare(`insert into ${table} (${columns}) values (${columns.map(() => "?")})`);
        inserts.set(table, insert);
      }
      insert.run(...(Object.values(row) as SQLInputValue[]));
    };
    this.#db = db;
  }

  hold(requests: readonly HoldRequest[]): void {
    this.#db.exec("begin");
    for (const { task, customer, amount } of requests)
      this.#insert("holds", { task, customer, amount, state: "pending" });
    this.#db.exec("commit");
  }

  commit({ tasks = [], transfers = [], receipts }: Batch): void {
    const add = this.#db.prepare("update accounts set balance = balance + ?, entries = entries + ? where account = ?");
    const open = this.#db.prepare("insert into accounts values (?, 'USDC', 1, ?, ?)");
    const end = this.#db.prepare("update holds set state = 'posted' where task = ?");
    const hash = "0".repeat(64);
    this.#db.exec("begin");
    const gains = new Map<string, { amount: bigint; entries: number }>();
    for (const { id, kind, at, task, legs } of transfers) {
      this.#seq += 1n;
      this.#insert("transfers", { hub: "one", seq: this.#seq, id, kind, at, task, input_hash: hash, hash });
      for (const { account, asset, amount } of legs) {
        this.#insert("legs", { hub: "one", seq: this.#seq, account, asset, amount, at });
        const gain = gains.get(account) ?? { amount: 0n, entries: 0 };
        gains.set(account, { amount: gain.amount + amount, entries: gain.entries + 1 });
      }
      end.run(task);
    }
    for (const [account, { amount, entries }] of gains) {
      if (add.run(amount, entries, account).changes === 0) open.run(account, amount, entries);
    }
    for (const task of tasks) this.#insert("tasks", taskRow(task));
    if (receipts) {
      const { root, signature, at, leaves } = receipts;
      this.#insert("receipt_batches", { root, size: leaves.length, signature, at });
      leaves.forEach(({ receipt, leaf }, position) => {
        this.#insert("receipts", { receipt, root, position, leaf });
      });
    }
    this.#db.exec("commit");
  }

  close(): void {
    this.#db.close();
  }
}

async function openEmpty(name: string): Promise<Store> {
  const store = await openStore({ kind: "sqlite", folder: join(folder, name), hub: "one" });
  await store.migrate();
  return store;
}

async function measure(size: number) {
  const store = await openEmpty(`store-${size}`);
  await (await openEmpty(`raw-${size}`)).close();
  const raw = new Raw(join(folder, `raw-${size}`, "tabgrid.db"));
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
