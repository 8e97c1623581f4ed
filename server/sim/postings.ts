import type { OwnerId, TaskId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { executionsPriced } from "../../shared/pricing.ts";
import { assert } from "../../shared/result.ts";
import type { HubEffect, Standing } from "../core/events.ts";
import { accounts } from "../economy/accounts.ts";
import { postCase } from "../economy/case-postings.ts";
import { CheckCredits } from "../economy/check-credit.ts";
import { expireHold, voidHold } from "../economy/holds.ts";
import type { Transfer } from "../economy/ledger.ts";
import { overturn } from "../economy/overturn.ts";
import { payPoolWork } from "../economy/pool-work.ts";
import { commonsRevenue, settle } from "../economy/revenue.ts";
import { madeBy } from "../economy/task-pay.ts";
import { sha256 } from "../store/sha256.ts";
import type { Books, Credited } from "./books.ts";

const DOMAIN = commonsRevenue.domain;

/** What a batch of effects writes into the books, as server/runtime/runtime.ts and server/cases/revisions.ts do it. */
export function postings(
  effects: readonly HubEffect[],
  books: Books,
  at: number,
): { transfers: Transfer[]; standings: Standing[]; credits: Credited[]; pool: Nano } {
  const transfers: Transfer[] = [];
  const standings = new Map<OwnerId, Standing>();
  const expired = new Set<TaskId>();
  let pool = books.balance(accounts.pool(DOMAIN));
  const credits = new CheckCredits(books.credits.all());
  const credited: Credited[] = [];
  const credit = (owner: OwnerId | null, gain: Nano, by: Transfer | null) => {
    if (owner === null || by === null) return;
    credits.add({ domain: DOMAIN, owner, gain });
    credited.push({ domain: DOMAIN, owner, gain, by: by.id });
  };
  const post = (transfer: Transfer | null) => {
    if (transfer) transfers.push(transfer);
  };
  const balanceOf = (account: Transfer["legs"][number]["account"]): Nano =>
    transfers
      .flatMap(({ legs }) => legs)
      .reduce((sum, leg) => (leg.account === account ? sum + leg.amount : sum), books.balance(account));
  for (const effect of effects) {
    switch (effect.kind) {
      case "task-changed":
        if (effect.state === "expired") expired.add(effect.task);
        break;
      case "void-hold": {
        const held = books.openHold(effect.task);
        assert(held, `the hold of ${effect.task} is voided, but it is not open`);
        post((expired.has(effect.task) ? expireHold : voidHold)(held, at));
        break;
      }
      case "check-done": {
        const { fact } = effect;
        const execution = fact.price / BigInt(executionsPriced(fact.level));
        const forChecks = credits.forChecks(DOMAIN, madeBy(fact), pool, execution);
        const settled = settle(fact, commonsRevenue, forChecks, sha256);
        assert(settled.ok, "a published model's shares are valid");
        const { transfer, poolGain } = settled.value;
        pool += poolGain;
        credit(settled.value.madeBy, poolGain, transfer);
        post(transfer);
        break;
      }
      case "pool-work": {
        const { fact } = effect;
        const paid = payPoolWork(fact, commonsRevenue, credits.forHub(DOMAIN, fact.subject, pool));
        assert(paid.ok, "a published model's shares are valid");
        const { transfer, poolGain } = paid.value;
        pool += poolGain;
        credit(fact.subject, poolGain, transfer);
        post(transfer);
        break;
      }
      case "overturned": {
        const { task } = effect.fact;
        const settlement =
          books.settlements.get(task) ?? transfers.find(({ kind, task: of }) => kind === "settle" && of === task);
        assert(settlement, `${task} is overturned, but was never settled`);
        const { transfer } = overturn(effect.fact, settlement, balanceOf, DOMAIN);
        post(transfer);
        const before = pool;
        pool = balanceOf(accounts.pool(DOMAIN));
        credit(effect.fact.owner, pool - before, transfer);
        break;
      }
      case "case-closed": {
        const { decision } = effect;
        post(postCase(decision, balanceOf(accounts.minerHeld(decision.owner)), pool, DOMAIN));
        pool = balanceOf(accounts.pool(DOMAIN));
        break;
      }
      case "standing":
        standings.set(effect.standing.owner, effect.standing);
    }
  }
  return { transfers, standings: [...standings.values()], credits: credited, pool };
}
