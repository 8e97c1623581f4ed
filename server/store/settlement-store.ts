import { type Kysely, sql, type Transaction } from "kysely";
import type { AccountId, OwnerId, TaskId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { assert } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import type { CheckCredit } from "../economy/check-credit.ts";
import type { EpochMemory, EpochPlan } from "../economy/epoch-plan.ts";
import type { Transfer } from "../economy/ledger.ts";
import type { Page, Paged } from "../gateway/gateway.ts";
import type { Engine } from "./engine.ts";
import {
  type EpochRecord,
  epochRecord,
  memoryText,
  readMemory,
  readTransfer,
  summaryOf,
  summaryText,
  transferText,
} from "./epoch-records.ts";
import { paged } from "./ledger-reads.ts";
import type { LedgerWriter } from "./ledger-writer.ts";
import { type Matured, type MaturingStep, matureStep } from "./maturing.ts";
import { PayoutStore } from "./payout-store.ts";
import type { Tables } from "./tables.ts";
import { foldTally, readTally, runningEpoch, type StoredTally, TallyRows } from "./tally-rows.ts";

type Trx = Transaction<Tables>;

export interface SettlementParts {
  engine: Engine;
  db: Kysely<Tables>;
  /** One transaction, after the writes before it. */
  write<T>(work: (trx: Trx, ledger: LedgerWriter) => Promise<T>): Promise<T>;
  read<T>(work: () => Promise<T>): Promise<T>;
}

/** What changes an epoch together with other books. */
export type EpochStep =
  /** `stakes`: DN × ms of each party since the fence before. */
  | { kind: "fenced"; epoch: number; at: Millis; stakes: readonly { domain: string; party: AccountId; time: bigint }[] }
  | { kind: "approved"; plan: EpochPlan; by: string; at: Millis }
  | { kind: "closed"; epoch: number; at: Millis; receipts: EpochRecord["receipts"] };

/** Batch of plan transfers that one transaction posts. */
const POSTED_AT_ONCE = 200n;
const ROOTS_A_PAGE = 5_000n;

/**
 * Held pay and epochs, as the store keeps them. Fencing, approving and closing are one transaction each; between them the
 * state stands in the row of the epoch, so that whoever starts next goes on.
 */
export class SettlementStore {
  readonly #parts: SettlementParts;
  readonly payouts: PayoutStore;

  constructor(parts: SettlementParts) {
    this.#parts = parts;
    this.payouts = new PayoutStore(parts);
  }

  /** One step of maturing, posted and counted in the running epoch. */
  mature(step: MaturingStep): Promise<Matured> {
    const { engine } = this.#parts;
    return this.#parts.write(async (trx, ledger) => {
      const tally = new TallyRows(await runningEpoch(engine, trx));
      const matured = await matureStep(engine, trx, step, tally);
      if (matured.transfers.length > 0) await ledger.post(matured.transfers);
      await tally.write(engine, trx);
      return matured;
    });
  }

  /** What is still held for a task, by owner; empty where all has matured. */
  heldFor(task: TaskId): Promise<Map<OwnerId, Nano>> {
    return this.#parts.read(async () => {
      const { rows } = await sql<{ owner: OwnerId; amount: Nano }>`
        select owner, cast(sum(amount) as bigint) as amount from held_pay where task = ${task} group by owner`.execute(
        this.#parts.db,
      );
      return new Map(rows.map(({ owner, amount }) => [owner, amount]));
    });
  }

  /** What verification pools have from owners' work, less what they paid for looking at it. */
  credits(): Promise<CheckCredit[]> {
    return this.#parts.read(async () => {
      const { rows } = await sql<CheckCredit>`
        select domain, owner, credit as gain from check_credits where credit <> 0 order by domain, owner`.execute(
        this.#parts.db,
      );
      return rows;
    });
  }

  balances(names: readonly AccountId[]): Promise<Map<AccountId, Nano>> {
    const { engine, db } = this.#parts;
    return this.#parts.read(async () => {
      const { rows } = await sql<{ account: AccountId; balance: Nano }>`
        select account, balance from accounts where ${engine.isOneOf("account", names)}`.execute(db);
      return new Map(rows.map(({ account, balance }) => [account, balance]));
    });
  }

  /** The first epoch begins when a hub first starts. */
  begin(at: Millis): Promise<void> {
    return this.#parts.write(async (trx) => {
      await sql`update epochs set opened_at = ${BigInt(at)} where epoch = 1 and opened_at = 0`.execute(trx);
    });
  }

  running(): Promise<EpochRecord> {
    return this.#parts.read(async () => {
      const { rows } = await sql<Tables["epochs"]>`select * from epochs order by epoch desc limit 1`.execute(
        this.#parts.db,
      );
      return epochRecord(rows[0] as Tables["epochs"]);
    });
  }

  epoch(epoch: number): Promise<EpochRecord | null> {
    return this.#parts.read(async () => {
      const { rows } = await sql<Tables["epochs"]>`select * from epochs where epoch = ${BigInt(epoch)}`.execute(
        this.#parts.db,
      );
      return rows[0] ? epochRecord(rows[0]) : null;
    });
  }

  /** Newest first; `after` is an epoch. */
  epochs(page: Page): Promise<Paged<EpochRecord>> {
    return this.#parts.read(async () => {
      const before = page.after === null ? sql`true` : sql`epoch < ${BigInt(page.after)}`;
      const { rows } = await sql<Tables["epochs"]>`
        select * from epochs where ${before} order by epoch desc limit ${BigInt(page.limit + 1)}`.execute(
        this.#parts.db,
      );
      return paged(rows.map(epochRecord), page.limit);
    });
  }

  /** What the last closed epoch leaves to the next. */
  memory(): Promise<EpochMemory> {
    return this.#parts.read(async () => {
      const { rows } = await sql<{ memory: string | null }>`
        select memory from epochs where state = 'closed' order by epoch desc limit 1`.execute(this.#parts.db);
      return readMemory(rows[0]?.memory ?? null);
    });
  }

  tally(epoch: number): Promise<StoredTally> {
    return this.#parts.read(() => readTally(this.#parts.db, epoch));
  }

  /** Where each hub's chain stood when the epoch was fenced. */
  fences(epoch: number): Promise<{ hub: string; seq: bigint; hash: string }[]> {
    return this.#parts.read(async () => {
      const { rows } = await sql<{ hub: string; seq: bigint; hash: string }>`
        select hub, seq, hash from fences where epoch = ${BigInt(epoch)} order by hub`.execute(this.#parts.db);
      return rows;
    });
  }

  /** Within a transaction of others: they bring what belongs to it. */
  step(trx: Trx, step: EpochStep): Promise<void> {
    if (step.kind === "fenced") return this.#fence(trx, step);
    return step.kind === "approved" ? this.#approve(trx, step) : this.#closed(trx, step);
  }

  /**
   * Ends the epoch here on every chain: what matures later belongs to the next, which opens. A fence that is moved takes in
   * what the next epoch had counted.
   */
  async #fence(trx: Trx, { epoch, at, stakes }: Extract<EpochStep, { kind: "fenced" }>): Promise<void> {
    const { engine } = this.#parts;
    const [from, next, time] = [BigInt(epoch), BigInt(epoch + 1), BigInt(at)];
    const running = await runningEpoch(engine, trx);
    assert(running === from || running === next, `epoch ${epoch} is fenced while ${running} is running`);
    if (running === next) {
      await foldTally(trx, next, from);
      await sql`update epochs set opened_at = ${time} where epoch = ${next}`.execute(trx);
    } else {
      await sql`insert into epochs (epoch, state, opened_at) values (${next}, 'open', ${time})`.execute(trx);
    }
    await sql`update epochs set state = 'previewed', fenced_at = ${time}, digest = null, plan = null
      where epoch = ${from}`.execute(trx);
    await sql`delete from fences where epoch = ${from}`.execute(trx);
    // From one hub's chain to the next by the index: a scan would cost what was ever posted.
    await sql`insert into fences (epoch, hub, seq, hash)
      with recursive chains (hub) as (
        select min(hub) from transfers
        union all
        select (select min(next.hub) from transfers as next where next.hub > chains.hub) from chains
          where chains.hub is not null
      )
      select cast(${from} as bigint), transfers.hub, transfers.seq, transfers.hash from chains
        join transfers on transfers.hub = chains.hub
          and transfers.seq = (select max(last.seq) from transfers as last where last.hub = chains.hub)`.execute(trx);
    const tally = new TallyRows(from);
    for (const { domain, party, time: staked } of stakes) tally.add("stake", staked, { domain }, "", party);
    await tally.write(engine, trx);
  }

  /** Keeps the plan: from here on it is posted as it is. */
  async #approve(trx: Trx, { plan, by, at }: Extract<EpochStep, { kind: "approved" }>): Promise<void> {
    const epoch = BigInt(plan.epoch);
    const rows = plan.transfers.map((transfer, i) => {
      return { epoch, position: BigInt(i), id: transfer.id, transfer: transferText(transfer) };
    });
    await this.#parts.engine.insertRows(trx, "epoch_transfers", rows);
    await sql`update epochs set state = 'approved', approved_by = ${by}, approved_at = ${BigInt(at)},
      memory = ${memoryText(plan.memory)}, plan = ${summaryText(summaryOf(plan))} where epoch = ${epoch}`.execute(trx);
  }

  previewed(epoch: number, plan: EpochPlan): Promise<void> {
    return this.#parts.write(async (trx) => {
      await sql`update epochs set digest = ${plan.digest}, plan = ${summaryText(summaryOf(plan))}
        where epoch = ${BigInt(epoch)} and state = 'previewed'`.execute(trx);
    });
  }

  closing(epoch: number, at: Millis): Promise<void> {
    return this.#parts.write(async (trx) => {
      await sql`update epochs set closing_at = coalesce(closing_at, ${BigInt(at)})
        where epoch = ${BigInt(epoch)}`.execute(trx);
    });
  }

  /** What an approved plan has still to take from accounts: it is spoken for. */
  reserved(): Promise<Map<AccountId, Nano>> {
    return this.#parts.read(async () => {
      const { rows } = await sql<{ transfer: string }>`
        select transfer from epoch_transfers
        where epoch = (select max(epoch) from epochs where state = 'approved')
          and not exists (select 1 from transfers where transfers.id = epoch_transfers.id)`.execute(this.#parts.db);
      const reserved = new Map<AccountId, Nano>();
      for (const { account, amount } of rows.flatMap(({ transfer }) => readTransfer(transfer).legs)) {
        if (amount < 0n) reserved.set(account, (reserved.get(account) ?? 0n) - amount);
      }
      return reserved;
    });
  }

  /** Posts a part of what is missing; what it posted, none when all is done. */
  postPart(epoch: number): Promise<Transfer[]> {
    return this.#parts.write(async (trx, ledger) => {
      const part = await this.#unposted(trx, epoch, POSTED_AT_ONCE);
      if (part.length > 0) await ledger.post(part);
      return part;
    });
  }

  async #unposted(db: Kysely<Tables>, epoch: number, most: bigint): Promise<Transfer[]> {
    const { rows } = await sql<{ transfer: string }>`
      select transfer from epoch_transfers where epoch = ${BigInt(epoch)}
        and not exists (select 1 from transfers where transfers.id = epoch_transfers.id)
      order by position limit ${most}`.execute(db);
    return rows.map(({ transfer }) => readTransfer(transfer));
  }

  /**
   * Signed roots of the epoch's receipts, page by page, in the order of hubs and of their chains: what lies behind the fence
   * of the epoch before, up to its own.
   */
  async *receiptRoots(epoch: number): AsyncGenerator<{ root: string; size: number }[]> {
    const [to, from] = [await this.fences(epoch), await this.fences(epoch - 1)];
    if (epoch === 1) yield* this.#rootsOf(null, 0n, 0n);
    for (const { hub, seq } of to) {
      yield* this.#rootsOf(hub, from.find((one) => one.hub === hub)?.seq ?? 0n, seq);
    }
  }

  /** In which closed epoch the receipts of a commit are; null before it is closed. */
  epochOfReceipts(root: string): Promise<number | null> {
    return this.#parts.read(async () => {
      const { rows } = await sql<{ epoch: bigint | null }>`
        select min(epochs.epoch) as epoch from receipt_batches
          left join fences on fences.hub = receipt_batches.hub and fences.seq >= receipt_batches.seq
          join epochs on epochs.epoch = coalesce(fences.epoch, 1)
        where receipt_batches.root = ${root} and epochs.state = 'closed'
          and (receipt_batches.hub is null or fences.epoch is not null)`.execute(this.#parts.db);
      return rows[0]?.epoch == null ? null : Number(rows[0].epoch);
    });
  }

  async *#rootsOf(hub: string | null, from: bigint, to: bigint): AsyncGenerator<{ root: string; size: number }[]> {
    let after: RootRow | null = null;
    do {
      const page: RootRow[] = await this.#parts.read(() => readRoots(this.#parts.db, hub, from, to, after));
      if (page.length > 0) yield page.map(({ root, size }) => ({ root, size: Number(size) }));
      after = page.at(-1) ?? null;
    } while (after);
  }

  /** The last step: nothing of the plan is missing. */
  async #closed(trx: Trx, { epoch, at, receipts }: Extract<EpochStep, { kind: "closed" }>): Promise<void> {
    const missing = await this.#unposted(trx, epoch, 1n);
    assert(missing.length === 0, `epoch ${epoch} is closed while ${missing[0]?.id} is not posted`);
    await sql`update epochs set state = 'closed', closed_at = ${BigInt(at)}, receipts_root = ${receipts?.root ?? null},
      receipts_size = ${receipts ? BigInt(receipts.size) : null}, receipts_signature = ${receipts?.signature ?? null}
      where epoch = ${BigInt(epoch)} and state = 'approved'`.execute(trx);
  }
}

type RootRow = Pick<Tables["receipt_batches"], "root" | "size" | "seq">;

async function readRoots(
  db: Kysely<Tables>,
  hub: string | null,
  from: bigint,
  to: bigint,
  after: RootRow | null,
): Promise<RootRow[]> {
  const place = hub === null ? sql`hub is null` : sql`hub = ${hub} and seq > ${from} and seq <= ${to}`;
  const start =
    hub === null ? sql`root > ${after?.root ?? ""}` : sql`(seq, root) > (${after?.seq ?? 0n}, ${after?.root ?? ""})`;
  const order = hub === null ? sql`root` : sql`seq, root`;
  const { rows } = await sql<RootRow>`
    select root, size, seq from receipt_batches where ${place} and ${start} order by ${order} limit ${ROOTS_A_PAGE}`.execute(
    db,
  );
  return rows;
}
