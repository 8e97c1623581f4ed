import type { AccountId, CustomerId, OwnerId, TaskId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { assert } from "../../shared/result.ts";
import type { Standing } from "../core/events.ts";
import { accounts, mayBeNegative } from "../economy/accounts.ts";
import { type CheckCredit, CheckCredits } from "../economy/check-credit.ts";
import { type Hold, hold } from "../economy/holds.ts";
import { assertBalanced, inputHash, type Transfer } from "../economy/ledger.ts";
import { sha256 } from "../store/sha256.ts";

/** With the transfer that moved the pool: where that is posted already, so is this. */
export type Credited = CheckCredit & { by: string };

/**
 * The store's rules in memory (server/store/ledger-writer.ts): what is committed is all or nothing and outlives a crash; a
 * transfer is posted once; a hold ends once, whole; no balance but the issuer's falls below zero.
 */
export class Books {
  readonly balances = new Map<AccountId, Nano>();
  readonly settlements = new Map<TaskId, Transfer>();
  readonly transfers: Transfer[] = [];
  readonly credits = new CheckCredits();
  #posted = new Map<string, string>();
  #holds = new Map<TaskId, Hold>();
  #standings = new Map<OwnerId, string>();
  #onPosted: (transfer: Transfer) => void;

  constructor(onPosted: (transfer: Transfer) => void) {
    this.#onPosted = onPosted;
  }

  balance(account: AccountId): Nano {
    return this.balances.get(account) ?? 0n;
  }

  /** False where the customer cannot pay. */
  hold(request: Hold, at: number): boolean {
    assert(!this.#holds.has(request.task), `a second hold for ${request.task}`);
    if (this.balance(accounts.customer(request.customer)) < request.amount) return false;
    this.#holds.set(request.task, request);
    this.#post(hold(request, at));
    return true;
  }

  commit(transfers: readonly Transfer[], standings: readonly Standing[], credits: readonly Credited[] = []): void {
    for (const credit of credits) if (!this.#posted.has(credit.by)) this.credits.add(credit);
    for (const transfer of transfers) this.#post(transfer);
    for (const standing of standings) this.#standings.set(standing.owner, JSON.stringify(standing));
  }

  openHold(task: TaskId): Hold | undefined {
    return this.#holds.get(task);
  }

  openHolds(): Hold[] {
    return [...this.#holds.values()];
  }

  standing(owner: OwnerId): Standing | null {
    const text = this.#standings.get(owner);
    return text === undefined ? null : (JSON.parse(text) as Standing);
  }

  #post(transfer: Transfer): void {
    assertBalanced(transfer);
    const content = inputHash(transfer, sha256);
    const before = this.#posted.get(transfer.id);
    assert(before === undefined || before === content, `${transfer.id} is posted already, with other content`);
    if (before !== undefined) return;
    this.#posted.set(transfer.id, content);
    this.#endHold(transfer);
    for (const { account, amount } of transfer.legs) {
      const balance = this.balance(account) + amount;
      assert(balance >= 0n || mayBeNegative(account), `${transfer.id} leaves ${account} at ${balance}`);
      this.balances.set(account, balance);
    }
    if (transfer.kind === "settle") this.settlements.set(transfer.task as TaskId, transfer);
    this.transfers.push(transfer);
    this.#onPosted(transfer);
  }

  #endHold({ id, kind, task, legs }: Transfer): void {
    if (kind !== "settle" && kind !== "void" && kind !== "expire") return;
    const open = this.#holds.get(task as TaskId);
    assert(open, `${id}: its hold is not open`);
    const account = accounts.customerHeld(open.customer as CustomerId);
    const released = -(legs.find((leg) => leg.account === account)?.amount ?? 0n);
    assert(released === open.amount, `${id} releases ${released} of a hold of ${open.amount}`);
    this.#holds.delete(task as TaskId);
  }
}
