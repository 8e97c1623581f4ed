import { sql, type Transaction } from "kysely";
import type { OwnerId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import type { Millis } from "../../shared/time.ts";
import type { Transfer } from "../economy/ledger.ts";
import { CLEAN_MS, FURTHER_TASKS, HOLD_MS, matureTransfer } from "../economy/maturation.ts";
import type { Engine } from "./engine.ts";
import type { Tables } from "./tables.ts";
import { countSettled, settleWhole, type TallyRows } from "./tally-rows.ts";

/**
 * One bounded step of maturing (economy/maturation.ts says when), in an open transaction. What is due goes slice by slice in
 * order of time: all pay of up to so many tasks, owner by owner, and then those tasks. The rows of a slice lie together in
 * every table, so that a step costs what it matures, however much is held and however long nothing has matured.
 */
export interface MaturingStep {
  now: Millis;
  /** Where the step before ended; "" begins a round, and each of its slices. */
  after: string;
  /** How much of an owner's held pay must stay (economy/registration.ts); owners of whom nothing must are left out. */
  bonds: ReadonlyMap<OwnerId, (held: Nano) => Nano>;
}

export interface Matured {
  transfers: Transfer[];
  /** Where the next step goes on; null: the round is over. */
  after: string | null;
}

type Trx = Transaction<Tables>;
const TASKS_A_SLICE = 10_000n;
const TASKS_A_READ = 1_000n;
const OWNERS_A_STEP = 200n;
const LINES_A_STEP = 4_000;
const LINES_AT_FIRST = 16;

/** Tasks settled up to `upTo`; of their pay, what belongs to owners behind `owner`. */
interface Slice {
  upTo: Millis;
  owner: string;
}

const placeOf = ({ upTo, owner }: Slice): string => `${upTo} ${owner}`;

export async function matureStep(engine: Engine, trx: Trx, step: MaturingStep, tally: TallyRows): Promise<Matured> {
  const slice = await sliceOf(trx, step);
  const paid = new Map<string, bigint>();
  const transfers: Transfer[] = [];
  const owners = await dueOwners(trx, step, slice);
  let left = LINES_A_STEP;
  for (const owner of owners) {
    const { transfer, taken, isCut } = await matureOwner(trx, owner, step, slice.upTo, left, paid);
    if (transfer) transfers.push(transfer);
    left -= taken;
    // Has more lines than the step had left: the next one begins with the same owner.
    if (!isCut) slice.owner = owner.owner;
    if (isCut || left === 0) break;
  }
  await countPaid(engine, trx, paid, tally);
  if (left === 0 || BigInt(owners.length) === OWNERS_A_STEP) return { transfers, after: placeOf(slice) };
  const isDone = await matureParts(engine, trx, slice.upTo, tally);
  return { transfers, after: isDone && slice.upTo === step.now - HOLD_MS ? null : "" };
}

async function sliceOf(trx: Trx, { now, after }: MaturingStep): Promise<Slice> {
  const cut = after.indexOf(" ");
  if (cut > 0) return { upTo: Number(after.slice(0, cut)), owner: after.slice(cut + 1) };
  const { rows } = await sql<{ at: bigint }>`
    select at from held_tasks where parts = 0 and at <= ${BigInt(now - HOLD_MS)}
    order by at, task limit 1 offset ${TASKS_A_SLICE - 1n}`.execute(trx);
  return { upTo: rows[0] ? Number(rows[0].at) : now - HOLD_MS, owner: "" };
}

/** What matures whatever becomes of the miners' pay, and tasks of which that was the last. False where more are due. */
async function matureParts(engine: Engine, trx: Trx, upTo: Millis, tally: TallyRows): Promise<boolean> {
  for (let done = 0n; done < TASKS_A_SLICE; done += TASKS_A_READ) {
    const { rows } = await sql<Tables["held_tasks"]>`
      select * from held_tasks where parts = 0 and at <= ${BigInt(upTo)}
      order by at, task limit ${TASKS_A_READ}`.execute(trx);
    for (const row of rows) tally.countParts(row);
    const whole = rows.filter(({ unpaid }) => unpaid === 0n);
    const waiting = rows.flatMap(({ task, unpaid }) => (unpaid > 0n ? [task] : []));
    await settleWhole(engine, trx, whole, tally);
    if (waiting.length > 0)
      await sql`update held_tasks set parts = 1 where ${engine.isOneOf("task", waiting)}`.execute(trx);
    if (BigInt(rows.length) < TASKS_A_READ) return true;
  }
  return false;
}

interface DueOwner {
  owner: OwnerId;
  accepted: bigint;
  refuted_at: bigint;
}

/** Whose oldest line may mature, unless it is bonded. */
async function dueOwners(trx: Trx, { now }: MaturingStep, { upTo, owner }: Slice): Promise<DueOwner[]> {
  const { rows } = await sql<DueOwner>`
    select held_owners.owner, held_owners.accepted, held_owners.refuted_at from held_owners
    join held_pay on held_pay.owner = held_owners.owner
      and held_pay.seq = (select min(seq) from held_pay as first where first.owner = held_owners.owner)
    where held_owners.frozen = 0 and held_owners.owner > ${owner} and held_pay.at <= ${BigInt(upTo)}
      and (held_owners.accepted - held_pay.accepted >= ${BigInt(FURTHER_TASKS)}
        or case when held_pay.at > held_owners.refuted_at then held_pay.at else held_owners.refuted_at end
          <= ${BigInt(now - CLEAN_MS)})
    order by held_owners.owner limit ${OWNERS_A_STEP}`.execute(trx);
  return rows;
}

/** `paid`: lines that matured, by task; added to. `most`: lines. */
async function matureOwner(
  trx: Trx,
  { owner, accepted, refuted_at: refutedAt }: DueOwner,
  { now, bonds }: MaturingStep,
  upTo: Millis,
  most: number,
  paid: Map<string, bigint>,
): Promise<{ transfer: Transfer | null; taken: number; isCut: boolean }> {
  const bond = bonds.get(owner);
  let left = bond ? await heldBy(trx, owner) : 0n;
  const stays = bond?.(left) ?? 0n;
  let matured = 0n;
  let last = 0n;
  let taken = 0;
  for await (const { seq, task, at, amount, accepted: before } of linesOf(trx, owner, most)) {
    const clean = Number(at > refutedAt ? at : refutedAt);
    const isClean = accepted - before >= BigInt(FURTHER_TASKS) || now - clean >= CLEAN_MS;
    if (Number(at) > upTo || !isClean || (bond && left - amount < stays)) break;
    left -= amount;
    matured += amount;
    last = seq;
    taken += 1;
    paid.set(task, (paid.get(task) ?? 0n) + 1n);
  }
  if (taken === 0) return { transfer: null, taken, isCut: false };
  await sql`delete from held_pay where owner = ${owner} and seq <= ${last}`.execute(trx);
  const transfer = matured > 0n ? matureTransfer(owner, matured, now, last) : null;
  return { transfer, taken, isCut: taken === most };
}

/** An owner's first lines, read as far as they are wanted: each time as many as before. */
async function* linesOf(trx: Trx, owner: OwnerId, most: number): AsyncGenerator<Tables["held_pay"]> {
  let after = 0n;
  for (let read = 0, wanted = Math.min(most, LINES_AT_FIRST); wanted > 0; ) {
    const { rows } = await sql<Tables["held_pay"]>`
      select * from held_pay where owner = ${owner} and seq > ${after} order by seq limit ${BigInt(wanted)}`.execute(
      trx,
    );
    yield* rows;
    if (rows.length < wanted) return;
    after = rows.at(-1)?.seq ?? after;
    read += wanted;
    wanted = Math.min(most - read, read);
  }
}

/** Takes the lines off their tasks, and counts those of which everything has matured. */
async function countPaid(engine: Engine, trx: Trx, paid: ReadonlyMap<string, bigint>, tally: TallyRows): Promise<void> {
  if (paid.size === 0) return;
  for (const count of new Set(paid.values())) {
    const tasks = [...paid].flatMap(([task, lines]) => (lines === count ? [task] : []));
    await sql`update held_tasks set unpaid = unpaid - ${count} where ${engine.isOneOf("task", tasks)}`.execute(trx);
  }
  await countSettled(engine, trx, [...paid.keys()], tally);
}

async function heldBy(trx: Trx, owner: OwnerId): Promise<Nano> {
  const { rows } = await sql<{ held: bigint | null }>`
    select cast(sum(amount) as bigint) as held from held_pay where owner = ${owner}`.execute(trx);
  return rows[0]?.held ?? 0n;
}
