import { sql, type Transaction } from "kysely";
import type { OwnerId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import type { Millis } from "../../shared/time.ts";
import type { Transfer } from "../economy/ledger.ts";
import { CLEAN_MS, FURTHER_TASKS, HOLD_MS, matureTransfer } from "../economy/maturation.ts";
import type { Engine } from "./engine.ts";
import type { Tables } from "./tables.ts";
import { countSettled, type TallyRows } from "./tally-rows.ts";

/** One bounded step of maturing (economy/maturation.ts says when), in an open transaction. */
export interface MaturingStep {
  now: Millis;
  /** Where the step before ended; "" begins a round. */
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
const TASKS_A_STEP = 2_000n;
const OWNERS_A_STEP = 40n;
const LINES_A_STEP = 4_000;

export async function matureStep(engine: Engine, trx: Trx, step: MaturingStep, tally: TallyRows): Promise<Matured> {
  if (await matureParts(engine, trx, step.now, tally)) return { transfers: [], after: step.after };
  const owners = await dueOwners(trx, step);
  const transfers: Transfer[] = [];
  let { after } = step;
  let left = LINES_A_STEP;
  for (const owner of owners) {
    const { transfer, taken, isCut } = await matureOwner(engine, trx, owner, step, tally, left);
    if (transfer) transfers.push(transfer);
    left -= taken;
    // Has more lines than the step had left: the next one begins with the same owner.
    if (isCut || left === 0) return { transfers, after: isCut ? after : owner.owner };
    after = owner.owner;
  }
  return { transfers, after: BigInt(owners.length) === OWNERS_A_STEP ? after : null };
}

/** True where more are due. */
async function matureParts(engine: Engine, trx: Trx, now: Millis, tally: TallyRows): Promise<boolean> {
  const { rows } = await sql<Tables["held_tasks"]>`
    select * from held_tasks where parts = 0 and at <= ${BigInt(now - HOLD_MS)}
    order by at, task limit ${TASKS_A_STEP}`.execute(trx);
  if (rows.length === 0) return false;
  for (const row of rows) tally.countParts(row);
  const tasks = rows.map(({ task }) => task);
  await sql`update held_tasks set parts = 1 where ${engine.isOneOf("task", tasks)}`.execute(trx);
  await countSettled(engine, trx, tasks, tally);
  return BigInt(rows.length) === TASKS_A_STEP;
}

interface DueOwner {
  owner: OwnerId;
  accepted: bigint;
  refuted_at: bigint;
}

/** Whose oldest line may mature, unless it is bonded. */
async function dueOwners(trx: Trx, { now, after }: MaturingStep): Promise<DueOwner[]> {
  const { rows } = await sql<DueOwner>`
    select held_owners.owner, held_owners.accepted, held_owners.refuted_at from held_owners
    join held_pay on held_pay.owner = held_owners.owner
      and held_pay.seq = (select min(seq) from held_pay as first where first.owner = held_owners.owner)
    where held_owners.frozen = 0 and held_owners.owner > ${after} and held_pay.at <= ${BigInt(now - HOLD_MS)}
      and (held_owners.accepted - held_pay.accepted >= ${BigInt(FURTHER_TASKS)}
        or case when held_pay.at > held_owners.refuted_at then held_pay.at else held_owners.refuted_at end
          <= ${BigInt(now - CLEAN_MS)})
    order by held_owners.owner limit ${OWNERS_A_STEP}`.execute(trx);
  return rows;
}

async function matureOwner(
  engine: Engine,
  trx: Trx,
  { owner, accepted, refuted_at: refutedAt }: DueOwner,
  { now, bonds }: MaturingStep,
  tally: TallyRows,
  most: number,
): Promise<{ transfer: Transfer | null; taken: number; isCut: boolean }> {
  const { rows: lines } = await sql<Tables["held_pay"]>`
    select * from held_pay where owner = ${owner} order by seq limit ${BigInt(most)}`.execute(trx);
  const bond = bonds.get(owner);
  let left = bond ? await heldBy(trx, owner) : 0n;
  const stays = bond?.(left) ?? 0n;
  const tasks = new Map<string, bigint>();
  let matured = 0n;
  let upTo = 0n;
  let taken = 0;
  for (const { seq, task, at, amount, accepted: before } of lines) {
    const clean = Number(at > refutedAt ? at : refutedAt);
    const isClean = accepted - before >= BigInt(FURTHER_TASKS) || now - clean >= CLEAN_MS;
    if (now - Number(at) < HOLD_MS || !isClean || (bond && left - amount < stays)) break;
    left -= amount;
    matured += amount;
    upTo = seq;
    taken += 1;
    tasks.set(task, (tasks.get(task) ?? 0n) + 1n);
  }
  if (taken === 0) return { transfer: null, taken, isCut: false };
  await sql`delete from held_pay where owner = ${owner} and seq <= ${upTo}`.execute(trx);
  for (const count of new Set(tasks.values())) {
    const paid = [...tasks].flatMap(([task, lines]) => (lines === count ? [task] : []));
    await sql`update held_tasks set unpaid = unpaid - ${count} where ${engine.isOneOf("task", paid)}`.execute(trx);
  }
  await countSettled(engine, trx, [...tasks.keys()], tally);
  const transfer = matured > 0n ? matureTransfer(owner, matured, now, upTo) : null;
  return { transfer, taken, isCut: taken === most };
}

async function heldBy(trx: Trx, owner: OwnerId): Promise<Nano> {
  const { rows } = await sql<{ held: bigint | null }>`
    select cast(sum(amount) as bigint) as held from held_pay where owner = ${owner}`.execute(trx);
  return rows[0]?.held ?? 0n;
}
