import type { AccountId, TaskId } from "../shared/ids.ts";
import type { Nano } from "../shared/money.ts";
import { assert } from "../shared/result.ts";
import type { HubEffect } from "./core/events.ts";
import { type Ground, groundKey } from "./core/trust.ts";
import { accounts } from "./economy/accounts.ts";
import { postCase } from "./economy/case-postings.ts";
import type { Transfer } from "./economy/ledger.ts";
import { overturn } from "./economy/overturn.ts";
import { canonicalJson } from "./economy/receipts.ts";
import type { AuditLine, Store, TaskRecord } from "./store/store.ts";

/**
 * What looks back: overturned answers and decided cases need postings and balances of earlier commits, and every step of a
 * case goes to the audit log. Rare, so it reads the store when one comes.
 */
export interface Revision {
  transfers: Transfer[];
  tasks: TaskRecord[];
  audit: AuditLine[];
  poolGain: Nano;
}

const DOMAIN = "commons";
const QUARANTINE = "quarantined-classes";

/** `pool` is the verification pool as the rest of the batch leaves it. Null where the effects hold nothing of the kind. */
export async function revise(effects: readonly HubEffect[], store: Store, pool: Nano): Promise<Revision | null> {
  const revision: Revision = { transfers: [], tasks: [], audit: [], poolGain: 0n };
  const balances = new Map<AccountId, Nano>([[accounts.pool(DOMAIN), pool]]);
  const load = async (account: AccountId) => {
    if (!balances.has(account)) balances.set(account, (await store.account(account))?.balance ?? 0n);
  };
  const post = (transfer: Transfer | null) => {
    if (!transfer) return;
    revision.transfers.push(transfer);
    for (const { account, amount } of transfer.legs) {
      balances.set(account, (balances.get(account) ?? 0n) + amount);
      if (account === accounts.pool(DOMAIN)) revision.poolGain += amount;
    }
  };
  const log = (at: number, action: string, detail: unknown) =>
    revision.audit.push({ at, actor: "hub", action, detail: JSON.parse(canonicalJson(detail)) });

  for (const effect of effects) {
    if (effect.kind === "overturned") {
      const { fact } = effect;
      const settlement = await settlementOf(store, fact.task);
      for (const { account } of settlement.legs) await load(account);
      for (const account of [accounts.domain(DOMAIN), accounts.foundation]) await load(account);
      const { transfer, claim } = overturn(fact, settlement, (account) => balances.get(account) ?? 0n, DOMAIN);
      post(transfer);
      const record = await store.task(fact.task);
      if (record) {
        const timeline = [...record.timeline, { at: fact.at, what: `overturned: ${fact.reason}` }];
        revision.tasks.push({ ...record, state: "overturned", timeline });
      }
      log(fact.at, "answer-overturned", { ...fact, claim });
    } else if (effect.kind === "case-closed") {
      const { decision } = effect;
      const held = accounts.minerHeld(decision.owner);
      await load(held);
      post(postCase(decision, balances.get(held) ?? 0n, balances.get(accounts.pool(DOMAIN)) ?? 0n, DOMAIN));
      log(decision.at, "case-closed", decision);
    } else if (effect.kind === "case-opened") log(effect.opened.at, "case-opened", effect.opened);
    else if (effect.kind === "case-withdrawn") log(effect.at, "case-withdrawn", effect);
    else if (effect.kind === "class-quarantined") {
      log(effect.at, "class-quarantined", { ...effect.ground, owners: effect.owners });
      const others = (await quarantinedGrounds(store)).filter(
        (ground) => groundKey(ground) !== groundKey(effect.ground),
      );
      await store.setSetting(QUARANTINE, JSON.stringify([...others, effect.ground]));
    }
  }
  return revision.transfers.length + revision.audit.length > 0 ? revision : null;
}

/** Device classes that were quarantined before this start. */
export async function quarantinedGrounds(store: Store): Promise<Ground[]> {
  return JSON.parse((await store.setting(QUARANTINE)) ?? "[]") as Ground[];
}

async function settlementOf(store: Store, task: TaskId): Promise<Transfer> {
  const id = `settle:${task}`;
  const { data } = await store.entries({ task }, { limit: 100, after: null });
  const found = data.find(({ transfer }) => transfer === id);
  assert(found, `${task} is overturned, but was never settled`);
  return { id, kind: "settle", at: found.at, task, legs: found.legs };
}
