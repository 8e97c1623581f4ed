import type { AccountId, CaseId, TaskId } from "../shared/ids.ts";
import type { Nano } from "../shared/money.ts";
import { assert } from "../shared/result.ts";
import type { Case, HubEffect, StandingNote } from "./core/events.ts";
import { type Ground, groundKey } from "./core/trust.ts";
import { COMMONS, type DomainMap } from "./domain-map.ts";
import { accounts, poolDomain } from "./economy/accounts.ts";
import { postCase } from "./economy/case-postings.ts";
import { stakesOf } from "./economy/case-stakes.ts";
import type { Transfer } from "./economy/ledger.ts";
import { overturn } from "./economy/overturn.ts";
import { canonicalJson } from "./economy/receipts.ts";
import type { Exhibits } from "./exhibits.ts";
import type { CaseRecord, HistoryLine } from "./store/case-records.ts";
import type { AuditLine, Store, TaskRecord } from "./store/store.ts";

/**
 * What looks back: overturned answers and decided cases need postings and balances of earlier commits, and every step of a
 * case goes to the books and the audit log, whose lines on cases name nobody. Rare, so it reads the store when one comes.
 */
export interface Revision {
  transfers: Transfer[];
  tasks: TaskRecord[];
  audit: AuditLine[];
  cases: CaseRecord[];
  /** By domain. */
  poolGains: Map<string, Nano>;
}

export interface RevisionParts {
  store: Store;
  domains: DomainMap;
  /** Verification pools by domain, as the rest of the batch leaves them. */
  pools: ReadonlyMap<string, Nano>;
  exhibits: Exhibits;
}

const QUARANTINE = "quarantined-classes";

/** Null where the effects hold nothing of the kind. */
export async function revise(
  effects: readonly HubEffect[],
  { store, domains, pools, exhibits }: RevisionParts,
): Promise<Revision | null> {
  const revision: Revision = { transfers: [], tasks: [], audit: [], cases: [], poolGains: new Map() };
  const close = async (id: CaseId, change: Partial<CaseRecord>) => {
    const found = revision.cases.findLast((one) => one.case === id) ?? (await store.case(id));
    if (found) revision.cases.push({ ...found, ...change });
  };
  const balances = new Map<AccountId, Nano>([...pools].map(([domain, pool]) => [accounts.pool(domain), pool]));
  const load = async (account: AccountId) => {
    if (!balances.has(account)) balances.set(account, (await store.account(account))?.balance ?? 0n);
  };
  const post = (transfer: Transfer | null) => {
    if (!transfer) return;
    revision.transfers.push(transfer);
    for (const { account, amount } of transfer.legs) {
      balances.set(account, (balances.get(account) ?? 0n) + amount);
      const domain = poolDomain(account);
      if (domain !== null) revision.poolGains.set(domain, (revision.poolGains.get(domain) ?? 0n) + amount);
    }
  };
  const log = (at: number, action: string, subject: string, detail: unknown, actor = "hub") =>
    revision.audit.push({ at, actor, action, subject, detail: JSON.parse(canonicalJson(detail)) });

  for (const effect of effects) {
    if (effect.kind === "overturned") {
      const { fact } = effect;
      const record = revision.tasks.find(({ task }) => task === fact.task) ?? (await store.task(fact.task));
      if (record?.state === "overturned") continue;
      const settlement = await settlementOf(store, fact.task);
      for (const { account } of settlement.legs) await load(account);
      const domain = record ? domains.domainOf(record.model) : COMMONS;
      for (const account of [accounts.domain(domain), accounts.foundation]) await load(account);
      const { transfer, claim } = overturn(fact, settlement, (account) => balances.get(account) ?? 0n, domain);
      post(transfer);
      if (record) {
        const timeline = [...record.timeline, { at: fact.at, what: `overturned: ${fact.reason}` }];
        revision.tasks.push({ ...record, state: "overturned", timeline });
      }
      log(fact.at, "answer-overturned", fact.task, { ...fact, claim });
    } else if (effect.kind === "case-closed") {
      const { decision } = effect;
      const { case: id, at, openedAt, ruling, reviewer, reason = "" } = decision;
      const account = accounts.minerHeld(decision.owner);
      await load(account);
      const domain = domainOfCase(revision.cases.findLast((one) => one.case === id) ?? (await store.case(id)), domains);
      const [held, inPool] = [balances.get(account) ?? 0n, balances.get(accounts.pool(domain)) ?? 0n];
      post(postCase(decision, held, inPool, domain));
      const moved = stakesOf(ruling, held, inPool, at - openedAt);
      log(at, "case-decided", id, { case: id, ruling, reason, held, ...moved }, reviewer);
      await close(id, { state: "decided", closedAt: at, ruling, reviewer, reason });
    } else if (effect.kind === "case-opened") {
      const { case: id, at, strikes, evidence } = effect.opened;
      log(at, "case-opened", id, { case: id, kind: "suspension", strikes, mismatches: evidence.length });
      revision.cases.push(recordOf(effect.opened, exhibits));
    } else if (effect.kind === "case-withdrawn") {
      const { case: id, at, why } = effect;
      log(at, "case-withdrawn", id, { case: id, why });
      await close(id, { state: "withdrawn", closedAt: at, reason: why });
    } else if (effect.kind === "class-quarantined") {
      const { deviceClass } = effect.ground;
      log(effect.at, "class-quarantined", deviceClass, { ...effect.ground, owners: effect.owners });
      const others = (await quarantinedGrounds(store)).filter(
        (ground) => groundKey(ground) !== groundKey(effect.ground),
      );
      await store.setSetting(QUARANTINE, JSON.stringify([...others, effect.ground]));
    }
  }
  return revision.transfers.length + revision.audit.length > 0 ? revision : null;
}

/** The domain of the first answer that the case is about: its pool gains and pays. */
export function domainOfCase(record: Pick<CaseRecord, "evidence"> | null, domains: DomainMap): string {
  const evidence = record?.evidence;
  const model = evidence?.kind === "report" ? evidence.model : evidence?.exhibits[0]?.model;
  return model ? domains.domainOf(model) : COMMONS;
}

/** Device classes that were quarantined before this start. */
export async function quarantinedGrounds(store: Store): Promise<Ground[]> {
  return JSON.parse((await store.setting(QUARANTINE)) ?? "[]") as Ground[];
}

const recordOf = ({ case: id, owner, at, strikes, evidence, history }: Case, exhibits: Exhibits): CaseRecord => ({
  case: id,
  kind: "suspension",
  owner,
  task: null,
  openedAt: at,
  evidence: {
    kind: "suspension",
    strikes,
    exhibits: evidence.map((mismatch) => exhibits.of(mismatch)),
    history: history.map(lineOf),
  },
  state: "open",
  closedAt: null,
  ruling: null,
  reviewer: null,
  reason: null,
});

/** The mismatch itself, which names a task, is among the exhibits. */
function lineOf(note: StandingNote): HistoryLine {
  if (note.kind !== "mismatch") return note;
  const { mismatch, ...line } = note;
  return { ...line, model: mismatch.model, distance: mismatch.distance };
}

async function settlementOf(store: Store, task: TaskId): Promise<Transfer> {
  const id = `settle:${task}`;
  const { data } = await store.entries({ task }, { limit: 100, after: null });
  const found = data.find(({ transfer }) => transfer === id);
  assert(found, `${task} is overturned, but was never settled`);
  return { id, kind: "settle", at: found.at, task, legs: found.legs };
}
