import { sql, type Transaction } from "kysely";
import type { AccountId, CustomerId, TaskId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { assert } from "../../shared/result.ts";
import { accounts, mayBeNegative } from "../economy/accounts.ts";
import { type HoldState, hold } from "../economy/holds.ts";
import {
  assertBalanced,
  chainLink,
  chainStart,
  inputHash,
  type Transfer,
  type TransferKind,
} from "../economy/ledger.ts";
import type { Engine, Gain } from "./engine.ts";
import { sha256 } from "./sha256.ts";
import { type HoldOutcome, type HoldRequest, StoreError } from "./store.ts";
import type { Tables } from "./tables.ts";

/** Appends transfers to a hub's chain within an open transaction; keeps balances and holds in step with them. */
export interface ChainHead {
  seq: bigint;
  hash: string;
}

export class LedgerWriter {
  readonly #engine: Engine;
  readonly #hub: string;
  readonly #trx: Transaction<Tables>;
  /** Moves with every append; holds good only once the transaction is committed. */
  head: ChainHead;

  constructor(engine: Engine, hub: string, trx: Transaction<Tables>, head: ChainHead) {
    this.#engine = engine;
    this.#hub = hub;
    this.#trx = trx;
    this.head = head;
  }

  static async readHead(trx: Transaction<Tables>, hub: string): Promise<ChainHead> {
    const last = await trx
      .selectFrom("transfers")
      .select(["seq", "hash"])
      .where("hub", "=", hub)
      .orderBy("seq", "desc")
      .limit(1)
      .executeTakeFirst();
    return last ?? { seq: 0n, hash: chainStart(hub, sha256) };
  }

  /** Holds in the order of the requests, as far as each customer's balance goes. */
  async hold(requests: readonly HoldRequest[]): Promise<HoldOutcome[]> {
    const holds = await this.#holds(requests.map(({ task }) => task));
    const balances = await this.#customerBalances(requests.map(({ customer }) => customer));
    const transfers: Transfer[] = [];
    const rows: Tables["holds"][] = [];
    const outcomes = requests.map((request): HoldOutcome => {
      const { task, customer, amount, at } = request;
      const known = holds.get(task);
      if (known) {
        if (known.customer === customer && known.amount === amount && known.state === "pending") return "held";
        throw new StoreError("conflict", `${task} has another hold already, ${known.state}.`);
      }
      const account = accounts.customer(customer);
      const balance = balances.get(account);
      if (balance === undefined) return "unknown-customer";
      if (balance < amount) return "insufficient";
      balances.set(account, balance - amount);
      transfers.push(hold(request, at));
      rows.push({ task, customer, amount, state: "pending" });
      holds.set(task, { task, customer, amount, state: "pending" });
      return "held";
    });
    await this.#engine.insertRows(this.#trx, "holds", rows);
    await this.#append(transfers.map((transfer) => ({ transfer, input: inputHash(transfer, sha256) })));
    return outcomes;
  }

  /** Posts what is not posted yet, and ends the holds that it ends. Returns the ids of what was posted before. */
  async post(transfers: readonly Transfer[]): Promise<Set<string>> {
    const fresh = await this.#fresh(transfers);
    await this.#endHolds(fresh.map(({ transfer }) => transfer));
    await this.#append(fresh);
    const posted = new Set(fresh.map(({ transfer }) => transfer.id));
    return new Set(transfers.flatMap(({ id }) => (posted.has(id) ? [] : [id])));
  }

  async #fresh(transfers: readonly Transfer[]): Promise<{ transfer: Transfer; input: string }[]> {
    const ids = transfers.map(({ id }) => id);
    const { rows } = await sql<{ id: string; input_hash: string }>`
      select id, input_hash from transfers where ${this.#engine.isOneOf("id", ids)}`.execute(this.#trx);
    const known = new Map(rows.map((row) => [row.id, row.input_hash]));
    const fresh: { transfer: Transfer; input: string }[] = [];
    for (const transfer of transfers) {
      assertBalanced(transfer);
      const input = inputHash(transfer, sha256);
      const before = known.get(transfer.id);
      if (before === input) continue;
      if (before !== undefined)
        throw new StoreError("conflict", `${transfer.id} is posted already, with other content.`);
      known.set(transfer.id, input);
      fresh.push({ transfer, input });
    }
    return fresh;
  }

  async #endHolds(transfers: readonly Transfer[]): Promise<void> {
    const ending = transfers.filter(({ kind }) => endOf(kind) !== null);
    if (ending.length === 0) return;
    const holds = await this.#holds(ending.map(({ task }) => task as TaskId));
    const ended = new Map<HoldState, string[]>();
    for (const { id, kind, task, legs } of ending) {
      const known = holds.get(task as TaskId);
      if (known?.state !== "pending")
        throw new StoreError("conflict", `${id}: its hold is ${known?.state ?? "missing"}.`);
      const account = accounts.customerHeld(known.customer as CustomerId);
      const released = -(legs.find((leg) => leg.account === account)?.amount ?? 0n);
      if (released !== known.amount)
        throw new StoreError("conflict", `${id} releases ${released} of a hold of ${known.amount}.`);
      const state = endOf(kind) as HoldState;
      known.state = state;
      ended.set(state, [...(ended.get(state) ?? []), known.task]);
    }
    for (const [state, tasks] of ended) {
      await sql`update holds set state = ${state} where ${this.#engine.isOneOf("task", tasks)}`.execute(this.#trx);
    }
  }

  async #holds(tasks: readonly string[]): Promise<Map<string, Tables["holds"]>> {
    const { rows } = await sql<Tables["holds"]>`
      select task, customer, amount, state from holds where ${this.#engine.isOneOf("task", tasks)}
      order by task ${this.#engine.forUpdate}`.execute(this.#trx);
    return new Map(rows.map((row) => [row.task, row]));
  }

  /** Locks both accounts of each customer at once, in the order in which every hub locks. */
  async #customerBalances(customers: readonly CustomerId[]): Promise<Map<AccountId, Nano>> {
    const names = [...new Set(customers)].flatMap((customer) => [
      accounts.customer(customer),
      accounts.customerHeld(customer),
    ]);
    const { rows } = await sql<{ account: AccountId; balance: Nano }>`
      select account, balance from accounts where ${this.#engine.isOneOf("account", names)}
      order by account ${this.#engine.forUpdate}`.execute(this.#trx);
    return new Map(rows.map((row) => [row.account, row.balance]));
  }

  async #append(fresh: readonly { transfer: Transfer; input: string }[]): Promise<void> {
    if (fresh.length === 0) return;
    const hub = this.#hub;
    const transfers: Tables["transfers"][] = [];
    const legs: Tables["legs"][] = [];
    const gains = new Map<AccountId, Gain>();
    let { seq, hash } = this.head;
    for (const { transfer, input } of fresh) {
      const { id, kind, task } = transfer;
      const at = BigInt(transfer.at);
      seq += 1n;
      hash = chainLink(hash, id, transfer.at, input, sha256);
      transfers.push({ hub, seq, id, kind, at, task, input_hash: input, hash });
      for (const { account, asset, amount } of transfer.legs) {
        legs.push({ hub, seq, account, asset, amount, at });
        const gain = gains.get(account);
        if (gain) {
          gain.amount += amount;
          gain.entries++;
        } else gains.set(account, { account, asset, overdraft: mayBeNegative(account), amount, entries: 1 });
      }
    }
    await this.#engine.insertRows(this.#trx, "transfers", transfers);
    await this.#engine.insertRows(this.#trx, "legs", legs);
    await this.#engine.addToBalances(this.#trx, [...gains.values()]);
    this.head = { seq, hash };
  }
}

/** How a transfer of this kind ends the hold of its task; null where it ends none. */
function endOf(kind: TransferKind): HoldState | null {
  if (kind === "settle") return "posted";
  if (kind === "void") return "voided";
  if (kind === "expire") return "expired";
  assert(kind !== "hold", "holds are opened by Store.hold alone");
  return null;
}
