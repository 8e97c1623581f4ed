import type { OwnerId, TaskId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { assert } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import { accounts } from "./accounts.ts";
import { apportion } from "./apportion.ts";
import { countParts, countTask, type EpochTally } from "./epoch-tally.ts";
import type { HeldTask } from "./held-task.ts";
import { legsOf, type Transfer } from "./ledger.ts";

/**
 * When pay becomes its party's own (../shared/money.md, "Holding"). Of a settled task
 *
 *   the other parties' parts   after 72 h
 *   a miner's pay              after 72 h and (50 further accepted tasks of the owner or 14 clean days), unless it is
 *                              frozen by a case, or bonded: needed for the domain's minimum collateral
 *   the whole task             when all its pay has matured: then an epoch counts it for emission, once
 *
 * so that revenue and the claims which it raises meet in one epoch. A refuted result starts the clean days again; an
 * overturned task drops out with all that had not matured.
 */
export const HOLD_MS = 72 * 3_600_000;
export const CLEAN_MS = 14 * 86_400_000;
export const FURTHER_TASKS = 50;

interface HeldPay {
  task: TaskId;
  at: Millis;
  amount: Nano;
  /** Accepted tasks of the owner up to and with this one. */
  accepted: number;
}

interface Owner {
  accepted: number;
  refutedAt: Millis;
  frozen: boolean;
  /** Oldest first. */
  pay: HeldPay[];
}

export class Maturation {
  readonly #tasks = new Map<TaskId, { held: HeldTask; unpaid: number; parts: boolean }>();
  /** Tasks whose parts of other parties have not matured, oldest first. */
  #waiting: TaskId[] = [];
  readonly #owners = new Map<OwnerId, Owner>();
  /** Tasks of which a ruling ended a line since the last maturing. */
  #ended: TaskId[] = [];

  /** In the order of settlement. */
  settled(held: HeldTask): void {
    assert(!this.#tasks.has(held.task), `${held.task} was settled twice`);
    this.#tasks.set(held.task, { held, unpaid: held.pay.length, parts: false });
    this.#waiting.push(held.task);
    for (const id of new Set(held.pay.map(({ owner }) => owner))) this.#owner(id).accepted += 1;
    for (const { owner: id, amount } of held.pay) {
      const owner = this.#owner(id);
      owner.pay.push({ task: held.task, at: held.at, amount, accepted: owner.accepted });
    }
  }

  overturned(task: TaskId): void {
    this.#tasks.delete(task);
  }

  refuted(id: OwnerId, at: Millis): void {
    this.#owner(id).refutedAt = at;
  }

  /** A case was opened; `thaw` when it was dismissed or ended with the owner staying. */
  freeze(id: OwnerId): void {
    this.#owner(id).frozen = true;
  }

  thaw(id: OwnerId): void {
    this.#owner(id).frozen = false;
  }

  /** A decided case took `amount` of the held pay: every line gives in proportion. */
  forfeited(id: OwnerId, amount: Nano, tieBreak: (id: string) => string): void {
    const lines = this.#heldPay(id).map((line, i) => ({ line, key: `${line.task}:${i}` }));
    const taken = apportion(amount, new Map(lines.map(({ line, key }) => [key, line.amount])), tieBreak);
    for (const { line, key } of lines) line.amount -= taken?.get(key) ?? 0n;
  }

  /** Held pay of an owner that is neither matured nor overturned. */
  held(id: OwnerId): Nano {
    return this.#heldPay(id).reduce((sum, { amount }) => sum + amount, 0n);
  }

  /** A ruling ended all held pay of the owner; its tasks mature for the others, and what it would have claimed has no claimant. */
  expelled(id: OwnerId): void {
    const owner = this.#owner(id);
    owner.frozen = false;
    for (const { task } of owner.pay.splice(0)) {
      const open = this.#tasks.get(task);
      if (!open) continue;
      const isOther = (one: { owner: OwnerId }) => one.owner !== id;
      const { held } = open;
      open.held = { ...held, pay: held.pay.filter(isOther), checks: held.checks.filter(isOther) };
      open.unpaid -= 1;
      this.#ended.push(task);
    }
  }

  /**
   * All that matures by `now` is added to the tally; one transfer an owner moves held pay into its own account. `bonded`:
   * how much of an owner's held pay must stay (registration.ts).
   */
  mature(now: Millis, bonded: (owner: OwnerId) => Nano, tally: EpochTally): Transfer[] {
    const due = this.#waiting.findIndex((id) => (this.#tasks.get(id)?.held.at ?? 0) + HOLD_MS > now);
    for (const id of due < 0 ? this.#waiting.splice(0) : this.#waiting.splice(0, due)) {
      const task = this.#tasks.get(id);
      if (!task) continue;
      task.parts = true;
      countParts(tally, task.held);
      this.#countIfWhole(id, tally);
    }
    for (const id of this.#ended.splice(0)) this.#countIfWhole(id, tally);
    const transfers: Transfer[] = [];
    for (const [id, owner] of this.#owners) {
      if (owner.frozen) continue;
      const matured = this.#matureOwner(id, owner, now, bonded(id), tally);
      if (matured > 0n) transfers.push(matureTransfer(id, matured, now));
    }
    return transfers;
  }

  #matureOwner(id: OwnerId, owner: Owner, now: Millis, bonded: Nano, tally: EpochTally): Nano {
    let left = this.held(id);
    let matured = 0n;
    let done = 0;
    for (const { task, at, amount, accepted } of owner.pay) {
      const isClean = owner.accepted - accepted >= FURTHER_TASKS || now - Math.max(at, owner.refutedAt) >= CLEAN_MS;
      if (now - at < HOLD_MS || !isClean || left - amount < bonded) break;
      left -= amount;
      matured += amount;
      done += 1;
      const open = this.#tasks.get(task);
      assert(open, `pay for ${task}, which is not held`);
      open.unpaid -= 1;
      this.#countIfWhole(task, tally);
    }
    owner.pay.splice(0, done);
    return matured;
  }

  #countIfWhole(id: TaskId, tally: EpochTally): void {
    const task = this.#tasks.get(id);
    if (!task?.parts || task.unpaid > 0) return;
    countTask(tally, task.held);
    this.#tasks.delete(id);
  }

  /** Drops what was overturned. */
  #heldPay(id: OwnerId): HeldPay[] {
    const owner = this.#owner(id);
    owner.pay = owner.pay.filter(({ task }) => this.#tasks.has(task));
    return owner.pay;
  }

  #owner(id: OwnerId): Owner {
    const known = this.#owners.get(id);
    if (known) return known;
    const fresh = { accepted: 0, refutedAt: Number.NEGATIVE_INFINITY, frozen: false, pay: [] };
    this.#owners.set(id, fresh);
    return fresh;
  }
}

/** `upTo` tells apart what matures of an owner at one time in several steps. */
export function matureTransfer(owner: OwnerId, amount: Nano, at: Millis, upTo?: bigint): Transfer {
  const gains = new Map([
    [accounts.minerHeld(owner), -amount],
    [accounts.miner(owner), amount],
  ]);
  return { id: `mature:${owner}:${upTo ?? at}`, kind: "mature", at, task: null, legs: legsOf(gains) };
}
