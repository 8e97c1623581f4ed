import { sql, type Transaction } from "kysely";
import type { ModelKey, OwnerId, TaskId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import type { Millis } from "../../shared/time.ts";
import { accounts } from "../economy/accounts.ts";
import { apportion } from "../economy/apportion.ts";
import type { CheckCredit } from "../economy/check-credit.ts";
import type { HeldTask } from "../economy/held-task.ts";
import { hex } from "../economy/ledger.ts";
import type { Engine } from "./engine.ts";
import { sha256 } from "./sha256.ts";
import type { Tables } from "./tables.ts";
import { countSettled, type TallyRows } from "./tally-rows.ts";

/**
 * What happens to held pay between the verdict and its maturing. economy/maturation.ts does the same in memory, and a test
 * compares the two; here it stands in the database, so that memory does not grow with what is held.
 */
export type HeldChange =
  /** `by`: the transfer that pays it; where that is posted already, so is this. */
  | { kind: "settled"; held: HeldTask; by: string }
  | { kind: "overturned"; task: TaskId }
  /** A result was refuted: the owner's clean days start again. */
  | { kind: "refuted"; owner: OwnerId; at: Millis }
  | { kind: "frozen"; owner: OwnerId }
  | { kind: "thawed"; owner: OwnerId }
  /** A ruling took `amount` by a transfer of this id: every line gives in proportion. */
  | { kind: "forfeited"; owner: OwnerId; amount: Nano; by: string }
  /** A ruling ended all held pay of the owner. */
  | { kind: "expelled"; owner: OwnerId }
  /** What the verification pool gained by an owner's work, or paid for looking at it; `by` as above. */
  | ({ kind: "credited"; by: string } & CheckCredit)
  /** Attested: a claim to what the running epoch emits. */
  | { kind: "available"; owner: OwnerId; domain: string; model: ModelKey; ms: bigint };

type Trx = Transaction<Tables>;
type OwnerRow = Tables["held_owners"];
/** Who has claims to the emission of a task, nano-USDC of its price, as `held_tasks.claims` holds it. */
export type Claims = { pay: [OwnerId, string][]; checks: [OwnerId, string][] };

export class HeldChanges {
  readonly #engine: Engine;
  readonly #trx: Trx;
  readonly #tally: TallyRows;
  readonly #owners = new Map<string, OwnerRow>();
  readonly #credits = new Map<string, Tables["check_credits"]>();
  #tasks: Tables["held_tasks"][] = [];
  #lines: Tables["held_pay"][] = [];

  constructor(engine: Engine, trx: Trx, tally: TallyRows) {
    this.#engine = engine;
    this.#trx = trx;
    this.#tally = tally;
  }

  /** In the order in which they happened. */
  async apply(changes: readonly HeldChange[]): Promise<void> {
    await this.#load(changes.flatMap(ownersOf));
    for (const change of changes) {
      if (change.kind === "settled") this.#settled(change.held);
      else if (change.kind === "credited") this.#credited(change);
      else if (change.kind === "available") {
        this.#tally.add(
          "availability",
          change.ms,
          { domain: change.domain },
          change.model,
          accounts.miner(change.owner),
        );
      } else {
        await this.#insert();
        await this.#change(change);
      }
    }
    await this.#insert();
    await this.#engine.insertRows(this.#trx, "check_credits", [...this.#credits.values()].sort(byOwner), addUp);
    const columns = ["accepted", "next_seq", "refuted_at", "frozen"].map((name) => `${name} = excluded.${name}`);
    const replace = `on conflict (owner) do update set ${columns.join(", ")}`;
    await this.#engine.insertRows(this.#trx, "held_owners", [...this.#owners.values()], replace);
  }

  #settled(held: HeldTask): void {
    const { task, model, pay, checks, since, ...amounts } = held;
    const claims: Claims = {
      pay: pay.flatMap(({ owner, worth }) => (worth > 0n ? [[owner, worth.toString()]] : [])),
      checks: checks.flatMap(({ owner, worth }) => (worth > 0n ? [[owner, worth.toString()]] : [])),
    };
    const at = BigInt(held.at);
    const unpaid = BigInt(pay.length);
    this.#tasks.push({
      task,
      model,
      ...amounts,
      since: BigInt(since),
      at,
      unpaid,
      parts: 0n,
      claims: JSON.stringify(claims),
    });
    for (const id of new Set(pay.map(({ owner }) => owner))) this.#owner(id).accepted += 1n;
    for (const { owner: id, amount } of pay) {
      const owner = this.#owner(id);
      this.#lines.push({ owner: id, seq: owner.next_seq, task, at, amount, accepted: owner.accepted });
      owner.next_seq += 1n;
    }
  }

  #credited({ domain, owner, gain }: CheckCredit): void {
    const key = `${domain} ${owner}`;
    const credit = (this.#credits.get(key)?.credit ?? 0n) + gain;
    this.#credits.set(key, { domain, owner, credit });
  }

  async #change(change: Exclude<HeldChange, { kind: "settled" | "credited" | "available" }>): Promise<void> {
    switch (change.kind) {
      case "overturned":
        await sql`delete from held_pay where task = ${change.task}`.execute(this.#trx);
        await sql`delete from held_tasks where task = ${change.task}`.execute(this.#trx);
        break;
      case "refuted":
        this.#owner(change.owner).refuted_at = BigInt(change.at);
        break;
      case "frozen":
        this.#owner(change.owner).frozen = 1n;
        break;
      case "thawed":
        this.#owner(change.owner).frozen = 0n;
        break;
      case "forfeited":
        await this.#forfeit(change);
        break;
      case "expelled":
        await this.#expel(change.owner);
    }
  }

  async #forfeit({ owner, amount, by }: Extract<HeldChange, { kind: "forfeited" }>): Promise<void> {
    const { rows } = await sql<{ seq: bigint; task: string; amount: bigint }>`
      select seq, task, amount from held_pay where owner = ${owner} order by seq`.execute(this.#trx);
    const lines = rows.map((line, i) => ({ line, key: `${line.task}:${i}` }));
    const tieBreak = (id: string) => hex(sha256(`${by}:${id}`));
    const taken = apportion(amount, new Map(lines.map(({ line, key }) => [key, line.amount])), tieBreak);
    for (const { line, key } of lines) {
      const left = line.amount - (taken?.get(key) ?? 0n);
      await sql`update held_pay set amount = ${left} where owner = ${owner} and seq = ${line.seq}`.execute(this.#trx);
    }
  }

  async #expel(owner: OwnerId): Promise<void> {
    const { rows } = await sql<{ task: string; lines: bigint }>`
      select task, count(*) as lines from held_pay where owner = ${owner} group by task`.execute(this.#trx);
    await sql`delete from held_pay where owner = ${owner}`.execute(this.#trx);
    for (const { task, lines } of rows) {
      const { rows: found } = await sql<{ claims: string }>`
        select claims from held_tasks where task = ${task}`.execute(this.#trx);
      const claims = JSON.parse(found[0]?.claims ?? '{"pay":[],"checks":[]}') as Claims;
      // Who was expelled has no claim to what its tasks emit; it is not minted.
      const left: Claims = {
        pay: claims.pay.filter(([id]) => id !== owner),
        checks: claims.checks.filter(([id]) => id !== owner),
      };
      await sql`update held_tasks set unpaid = unpaid - ${lines}, claims = ${JSON.stringify(left)}
        where task = ${task}`.execute(this.#trx);
    }
    this.#owner(owner).frozen = 0n;
    await countSettled(
      this.#engine,
      this.#trx,
      rows.map(({ task }) => task),
      this.#tally,
    );
  }

  async #insert(): Promise<void> {
    await this.#engine.insertRows(this.#trx, "held_tasks", this.#tasks.splice(0));
    await this.#engine.insertRows(this.#trx, "held_pay", this.#lines.splice(0));
  }

  /** Locks them; opens those that are new. */
  async #load(owners: readonly OwnerId[]): Promise<void> {
    const ids = [...new Set(owners)].sort();
    if (ids.length === 0) return;
    const read = async () => {
      const { rows } = await sql<OwnerRow>`
        select owner, accepted, next_seq, refuted_at, frozen from held_owners where ${this.#engine.isOneOf("owner", ids)}
        order by owner ${this.#engine.forUpdate}`.execute(this.#trx);
      for (const row of rows) this.#owners.set(row.owner, row);
    };
    await read();
    const missing = ids.filter((id) => !this.#owners.has(id));
    if (missing.length === 0) return;
    const opened = missing.map((owner) => ({ owner, accepted: 0n, next_seq: 1n, refuted_at: 0n, frozen: 0n }));
    await this.#engine.insertRows(this.#trx, "held_owners", opened, "on conflict (owner) do nothing");
    await read();
  }

  #owner(id: OwnerId): OwnerRow {
    return this.#owners.get(id) as OwnerRow;
  }
}

const addUp = "on conflict (domain, owner) do update set credit = check_credits.credit + excluded.credit";
/** One order for all, so that no two commits wait for each other. */
const byOwner = (a: Tables["check_credits"], b: Tables["check_credits"]): number =>
  `${a.domain} ${a.owner}` < `${b.domain} ${b.owner}` ? -1 : 1;

const ownersOf = (change: HeldChange): OwnerId[] => {
  if (change.kind === "settled") return change.held.pay.map(({ owner }) => owner);
  const isOfNoLine = change.kind === "overturned" || change.kind === "credited" || change.kind === "available";
  return isOfNoLine ? [] : [change.owner];
};
