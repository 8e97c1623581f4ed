import { type Kysely, sql, type Transaction } from "kysely";
import type { AccountId, ModelKey, OwnerId } from "../../shared/ids.ts";
import { assert } from "../../shared/result.ts";
import { accounts } from "../economy/accounts.ts";
import {
  type EpochTally,
  emptyTally,
  type ModelTally,
  modelOf,
  type Period,
  type PeriodTally,
  periodOf,
} from "../economy/epoch-tally.ts";
import type { Engine } from "./engine.ts";
import type { Claims } from "./held-changes.ts";
import type { Tables } from "./tables.ts";

/** What matured in an epoch, as rows that are added to: they grow with parties and models, not with tasks. */
const BILLION = 1_000_000_000n;
/** PostgreSQL and SQLite alike; both parts only grow, and 10¹⁰ additions fit. */
const addUp = `on conflict (epoch, domain, since, model, kind, party)
  do update set billions = tallies.billions + excluded.billions, units = tallies.units + excluded.units`;

type Trx = Transaction<Tables>;
type PeriodKind = Exclude<keyof PeriodTally, keyof Period | "models">;
export type TallyKind = PeriodKind | keyof ModelTally | "availability" | "stake";

export class TallyRows {
  readonly #sums = new Map<string, Tables["tallies"]>();
  readonly #epoch: bigint;

  constructor(epoch: bigint) {
    this.#epoch = epoch;
  }

  /** Of a domain where `model` is "", of a model where `party` is ""; whatever its settings where `since` is left out. */
  add(
    kind: TallyKind,
    amount: bigint,
    { domain, since = 0n }: { domain: string; since?: bigint },
    model = "",
    party = "",
  ): void {
    if (amount === 0n) return;
    const key = JSON.stringify([domain, Number(since), model, kind, party]);
    const known = this.#sums.get(key);
    const sum = (known ? known.billions * BILLION + known.units : 0n) + amount;
    const place = { epoch: this.#epoch, domain, since, model, kind, party };
    this.#sums.set(key, { ...place, billions: sum / BILLION, units: sum % BILLION });
  }

  /** The parts that mature after 72 h, whatever becomes of the miners' pay: economy/epoch-tally.ts, `countParts`. */
  countParts({ domain, since, model, burn, creator }: Tables["held_tasks"]): void {
    this.add("burn", burn, { domain, since });
    this.add("royalties", creator, { domain, since }, model);
  }

  /** The whole task: `countTask`. */
  countTask(task: Tables["held_tasks"]): void {
    const { domain, since, model } = task;
    const period = { domain, since };
    for (const kind of ["revenue", "foundation", "processor", "emission"] as const) this.add(kind, task[kind], period);
    this.add("revenue", task.revenue, period, model);
    const claims = JSON.parse(task.claims) as Claims;
    const count = (kind: "work" | "checks", list: Claims["pay"]) => {
      for (const [owner, worth] of list) this.add(kind, BigInt(worth), period, model, accounts.miner(owner as OwnerId));
    };
    count("work", claims.pay);
    count("checks", claims.checks);
  }

  async write(engine: Engine, trx: Trx): Promise<void> {
    const rows = [...this.#sums.values()].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
    await engine.insertRows(trx, "tallies", rows, addUp);
  }
}

const keyOf = ({ domain, since, model, kind, party }: Tables["tallies"]): string =>
  JSON.stringify([domain, Number(since), model, kind, party]);

/** The open one, which no hub fences until the transaction ends. */
export async function runningEpoch(engine: Engine, trx: Trx): Promise<bigint> {
  for (;;) {
    const { rows } = await sql<{ epoch: bigint; state: string }>`
      select epoch, state from epochs order by epoch desc limit 1 ${engine.forUpdate}`.execute(trx);
    const [last] = rows;
    assert(last, "there is always an epoch");
    // Whoever waited for a fence sees the row that was fenced, and looks again.
    if (last.state === "open") return last.epoch;
  }
}

/** Of these tasks, counts and forgets those of which everything has matured. */
export async function countSettled(
  engine: Engine,
  trx: Trx,
  tasks: readonly string[],
  tally: TallyRows,
): Promise<void> {
  const { rows } = await sql<Tables["held_tasks"]>`
    select * from held_tasks where ${engine.isOneOf("task", tasks)} and unpaid = 0 and parts = 1`.execute(trx);
  await settleWhole(engine, trx, rows, tally);
}

/** Counts and forgets tasks of which everything has matured. */
export async function settleWhole(
  engine: Engine,
  trx: Trx,
  rows: readonly Tables["held_tasks"][],
  tally: TallyRows,
): Promise<void> {
  if (rows.length === 0) return;
  for (const row of rows) tally.countTask(row);
  const tasks = rows.map(({ task }) => task);
  await sql`delete from held_tasks where ${engine.isOneOf("task", tasks)}`.execute(trx);
}

/** What was counted by mistake of time, in the epoch after a fence that moved, belongs to the one before. */
export async function foldTally(trx: Trx, from: bigint, into: bigint): Promise<void> {
  await sql`insert into tallies (epoch, domain, since, model, kind, party, billions, units)
    select cast(${into} as bigint), domain, since, model, kind, party, billions, units from tallies where epoch = ${from}
    ${sql.raw(addUp)}`.execute(trx);
  await sql`delete from tallies where epoch = ${from}`.execute(trx);
}

export interface StoredTally {
  tally: EpochTally;
  /** Attested, ms, by domain and model. */
  availability: Map<string, Map<ModelKey, Map<AccountId, bigint>>>;
  /** nano-DN × ms by domain. */
  stakes: Map<string, Map<AccountId, bigint>>;
}

export async function readTally(db: Kysely<Tables>, epoch: number): Promise<StoredTally> {
  const { rows } = await sql<Tables["tallies"]>`
    select * from tallies where epoch = ${BigInt(epoch)} order by domain, since, model, kind, party`.execute(db);
  const tally = emptyTally();
  const availability: StoredTally["availability"] = new Map();
  const stakes: StoredTally["stakes"] = new Map();
  for (const { domain, since, model: key, kind, party, billions, units } of rows) {
    const amount = billions * BILLION + units;
    const model = key as ModelKey;
    if (kind === "stake") {
      entry(stakes, domain, () => new Map<AccountId, bigint>()).set(party as AccountId, amount);
      continue;
    }
    if (kind === "availability") {
      const ofDomain = entry(availability, domain, () => new Map<ModelKey, Map<AccountId, bigint>>());
      entry(ofDomain, model, () => new Map<AccountId, bigint>()).set(party as AccountId, amount);
      continue;
    }
    const period = periodOf(tally, { domain, since: Number(since) });
    if (key === "") {
      period[kind as PeriodKind] = amount;
      continue;
    }
    const inModel = modelOf(period, model);
    if (kind === "work" || kind === "checks") inModel[kind].set(party as AccountId, amount);
    else inModel[kind as "revenue" | "royalties"] = amount;
  }
  return { tally, availability, stakes };
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const fresh = make();
  map.set(key, fresh);
  return fresh;
}
