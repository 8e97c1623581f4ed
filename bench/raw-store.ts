import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import type { HeldTask } from "../server/economy/held-task.ts";
import { taskRow } from "../server/store/records.ts";
import type { Batch, HoldRequest } from "../server/store/store.ts";

/** Everything that Store.commit writes for a batch, without what it computes and checks. */
export class RawStore {
  readonly #db: DatabaseSync;
  readonly #insert: (table: string, row: object) => void;
  #seq = 0n;
  readonly #lines = new Map<string, bigint>();

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

  commit({ tasks = [], transfers = [], receipts, held = [] }: Batch): void {
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
      this.#insert("receipt_batches", { root, size: leaves.length, signature, at, hub: "one", seq: this.#seq });
      leaves.forEach(({ receipt, leaf }, position) => {
        this.#insert("receipts", { receipt, root, position, leaf });
      });
    }
    for (const change of held) if (change.kind === "settled") this.#hold(change.held);
    this.#db.exec("commit");
  }

  #hold({ pay, checks, ...task }: HeldTask): void {
    const claims = JSON.stringify({
      pay: pay.map(({ owner, worth }) => [owner, `${worth}`]),
      checks: checks.map(({ owner, worth }) => [owner, `${worth}`]),
    });
    this.#insert("held_tasks", { ...task, unpaid: pay.length, parts: 0, claims });
    for (const { owner, amount } of pay) {
      const seq = (this.#lines.get(owner) ?? 0n) + 1n;
      this.#lines.set(owner, seq);
      this.#insert("held_pay", { owner, seq, task: task.task, at: task.at, amount, accepted: seq });
    }
  }

  close(): void {
    this.#db.close();
  }
}
