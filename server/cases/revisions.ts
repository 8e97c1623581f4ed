import type { AccountId, CaseId, ModelKey, OwnerId, TaskId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { assert, ok } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import type { Case, HubEffect, StandingNote } from "../core/events.ts";
import { type Ground, groundKey } from "../core/trust.ts";
import { accounts, heldPayOwner } from "../economy/accounts.ts";
import { postCase } from "../economy/case-postings.ts";
import { stakesOf } from "../economy/case-stakes.ts";
import { commonsSettings } from "../economy/domains.ts";
import { heldInterest } from "../economy/held-task.ts";
import type { Transfer } from "../economy/ledger.ts";
import { overturn } from "../economy/overturn.ts";
import { canonicalJson } from "../economy/receipts.ts";
import { refundClaim } from "../economy/refund-claims.ts";
import { claimRecord } from "../settlement/claim-payer.ts";
import { raisePay, takeBonusBack } from "../settlement/demand.ts";
import { COMMONS, type DomainMap } from "../settlement/domain-map.ts";
import type { CaseRecord, HistoryLine } from "../store/case-records.ts";
import type { HeldChange } from "../store/held-changes.ts";
import type { PartyRecord } from "../store/party-records.ts";
import type { Books } from "../store/party-store.ts";
import type { AuditLine, Batch, Store, TaskRecord } from "../store/store.ts";
import type { WebhookEvent } from "../store/webhook-store.ts";
import { reportDecidedEvent, stakeSlashedEvent } from "../webhooks/events.ts";
import { slashCollateral } from "./case-collateral.ts";
import type { Exhibits } from "./exhibits.ts";

/**
 * What looks back: overturned answers and decided cases need postings and balances of earlier commits, and every step of a
 * case goes to the books and the audit log, whose lines on cases name nobody. Rare, so it reads the store when one comes:
 * first what only this loop changes (`gather`), then, in the transaction that writes it, balances and collateral (`revise`).
 */
export interface Revision {
  transfers: Transfer[];
  tasks: TaskRecord[];
  audit: AuditLine[];
  cases: CaseRecord[];
  held: HeldChange[];
  parties: PartyRecord[];
  webhookEvents: WebhookEvent[];
}

export interface RevisionParts {
  books: Pick<Books, "balance" | "all">;
  domains: DomainMap;
  /** Verification pools by domain, as the rest of the batch leaves them. */
  pools: ReadonlyMap<string, Nano>;
  exhibits: Exhibits;
}

const QUARANTINE = "quarantined-classes";

type Looking = Extract<
  HubEffect,
  { kind: "overturned" | "case-closed" | "case-opened" | "case-withdrawn" | "class-quarantined" }
>;
const looksBack = ({ kind }: HubEffect): boolean =>
  kind === "overturned" || kind.startsWith("case-") || kind === "class-quarantined";

/** What the effects look back at. */
export interface Past {
  effects: Looking[];
  tasks: Map<TaskId, TaskRecord>;
  settlements: Map<TaskId, Transfer>;
  /** What is still held for a task, by owner. */
  held: Map<TaskId, Map<OwnerId, Nano>>;
  /** What pledges added to a settlement. */
  bonuses: Map<TaskId, Transfer>;
  cases: Map<CaseId, CaseRecord>;
  /** What an approved closing has still to take from accounts. */
  reserved: Map<AccountId, Nano>;
}

/** Null where the effects hold nothing of the kind. */
export async function gather(effects: readonly HubEffect[], store: Store): Promise<Past | null> {
  const found = effects.filter((effect): effect is Looking => looksBack(effect));
  if (found.length === 0) return null;
  const reserved = await store.settlement.reserved();
  const past: Past = {
    effects: found,
    tasks: new Map(),
    settlements: new Map(),
    held: new Map(),
    bonuses: new Map(),
    cases: new Map(),
    reserved,
  };
  for (const effect of found) {
    if (effect.kind === "overturned") {
      const { task } = effect.fact;
      const record = await store.task(task);
      if (record) past.tasks.set(task, record);
      const { settlement, bonus } = await postingsOf(store, task);
      past.settlements.set(task, settlement);
      if (bonus) past.bonuses.set(task, bonus);
      past.held.set(task, await store.settlement.heldFor(task));
    } else if (effect.kind === "case-closed" || effect.kind === "case-withdrawn") {
      const id = effect.kind === "case-closed" ? effect.decision.case : effect.case;
      const record = await store.case(id);
      if (record) past.cases.set(id, record);
      const task = record?.task && (await store.task(record.task));
      if (task) past.tasks.set(task.task, task);
    } else if (effect.kind === "class-quarantined") {
      const others = (await quarantinedGrounds(store)).filter(
        (ground) => groundKey(ground) !== groundKey(effect.ground),
      );
      await store.setSetting(QUARANTINE, JSON.stringify([...others, effect.ground]));
    }
  }
  return past;
}

export const nothingRevised = (): Revision => ({
  transfers: [],
  tasks: [],
  audit: [],
  cases: [],
  held: [],
  parties: [],
  webhookEvents: [],
});

export async function revise(past: Past, { books, domains, pools, exhibits }: RevisionParts): Promise<Revision> {
  const revision = nothingRevised();
  const close = (id: CaseId, change: Partial<CaseRecord>) => {
    const found = revision.cases.findLast((one) => one.case === id) ?? past.cases.get(id);
    if (found) revision.cases.push({ ...found, ...change });
  };
  const balances = new Map<AccountId, Nano>([...pools].map(([domain, pool]) => [accounts.pool(domain), pool]));
  const load = async (account: AccountId) => {
    if (balances.has(account)) return;
    balances.set(account, (await books.balance(account)) - (past.reserved.get(account) ?? 0n));
  };
  const balanceOf = (account: AccountId): Nano => balances.get(account) ?? 0n;
  const post = (transfer: Transfer | null) => {
    if (!transfer) return;
    revision.transfers.push(transfer);
    for (const { account, amount } of transfer.legs) balances.set(account, balanceOf(account) + amount);
  };
  const log = (at: number, action: string, subject: string, detail: unknown, actor = "hub") =>
    revision.audit.push({ at, actor, action, subject, detail: JSON.parse(canonicalJson(detail)) });

  for (const effect of past.effects) {
    if (effect.kind === "overturned") {
      const { fact } = effect;
      const record = revision.tasks.find(({ task }) => task === fact.task) ?? past.tasks.get(fact.task);
      if (record?.state === "overturned") continue;
      const settlement = past.settlements.get(fact.task) as Transfer;
      const domain = record ? domains.domainOf(record.model) : COMMONS;
      for (const { account } of settlement.legs) {
        await load(account);
        const owner = heldPayOwner(account);
        if (owner) await load(accounts.miner(owner));
      }
      for (const account of [accounts.domain(domain), accounts.foundation]) await load(account);
      const { transfer, claim } = overturn(fact, settlement, balanceOf, domain, past.held.get(fact.task));
      post(transfer);
      const fromPool = transfer?.legs.find(({ account }) => account === accounts.pool(domain));
      if (transfer && fromPool) {
        const { id: by } = transfer;
        revision.held.push({ kind: "credited", domain, owner: fact.owner, gain: fromPool.amount, by });
      }
      if (claim > 0n) {
        const body = refundClaim(fact, domain, claim);
        revision.parties.push({ ...claimRecord(body), at: fact.at, by: "hub" });
      }
      const bonus = past.bonuses.get(fact.task);
      if (bonus && record) {
        const held = past.held.get(fact.task) ?? new Map();
        const back = await takeBonusBack(record.model, bonus, settlement, held, fact.at, books);
        post(back.transfer);
        revision.parties.push(...back.parties);
      }
      revision.held.push({ kind: "overturned", task: fact.task }, { kind: "refuted", owner: fact.owner, at: fact.at });
      if (record) {
        const timeline = [...record.timeline, { at: fact.at, what: `overturned: ${fact.reason}` }];
        revision.tasks.push({ ...record, state: "overturned", timeline });
      }
      log(fact.at, "answer-overturned", fact.task, { ...fact, claim });
    } else if (effect.kind === "case-closed") {
      const { decision } = effect;
      const { case: id, owner, at, openedAt, ruling, reviewer, reason = "" } = decision;
      const account = accounts.minerHeld(owner);
      await load(account);
      const record = revision.cases.findLast((one) => one.case === id) ?? past.cases.get(id) ?? null;
      const domain = domainOfCase(record, domains);
      const { severePercent } = domains.settings(domain) ?? commonsSettings;
      const [held, inPool] = [balanceOf(account), balanceOf(accounts.pool(domain))];
      post(postCase(decision, held, inPool, domain, severePercent));
      const moved = stakesOf(ruling, held, inPool, at - openedAt, severePercent);
      if (record?.kind === "suspension") revision.held.push({ kind: "thawed", owner });
      if (ruling === "dismissed" && moved.interest > 0n) {
        const held = heldInterest(id, owner, moved.interest, at, domain);
        revision.held.push({ kind: "settled", held, by: `case:${id}` });
      } else if (ruling === "minor")
        revision.held.push({ kind: "forfeited", owner, amount: moved.slashed, by: `case:${id}` });
      else if (ruling === "severe") revision.held.push({ kind: "expelled", owner });
      if (ruling !== "dismissed") {
        const collateral = await slashCollateral(decision, books, domains);
        for (const transfer of collateral.transfers) post(transfer);
        revision.parties.push(...collateral.parties);
        revision.webhookEvents.push(...collateral.losses.map((loss) => stakeSlashedEvent(decision, loss)));
      }
      const reported = record?.task && past.tasks.get(record.task);
      if (reported) revision.webhookEvents.push(reportDecidedEvent(decision, reported.task, reported.customer));
      log(at, "case-decided", id, { case: id, ruling, reason, held, ...moved }, reviewer);
      close(id, { state: "decided", closedAt: at, ruling, reviewer, reason });
    } else if (effect.kind === "case-opened") {
      const { case: id, at, strikes, evidence, owner } = effect.opened;
      revision.held.push({ kind: "frozen", owner });
      log(at, "case-opened", id, { case: id, kind: "suspension", strikes, mismatches: evidence.length });
      revision.cases.push(recordOf(effect.opened, exhibits));
    } else if (effect.kind === "case-withdrawn") {
      const { case: id, owner, at, why } = effect;
      revision.held.push({ kind: "thawed", owner });
      log(at, "case-withdrawn", id, { case: id, why });
      close(id, { state: "withdrawn", closedAt: at, reason: why });
    } else {
      const { deviceClass } = effect.ground;
      log(effect.at, "class-quarantined", deviceClass, { ...effect.ground, owners: effect.owners });
    }
  }
  return revision;
}

/**
 * Writes a batch with what pledges add to it and what it looks back at, in one transaction that reads the books as they are.
 * Returns what came to the batch's own.
 */
export async function commitRevision(
  store: Store,
  settled: Batch,
  at: Millis,
  wanted: ReadonlySet<ModelKey>,
  decide: (books: Books) => Promise<Revision>,
): Promise<Pick<Revision, "transfers" | "held">> {
  const written = await store.parties.act<Pick<Revision, "transfers" | "held">>(
    { key: null, inputHash: "", at },
    async (books) => {
      const { batch, bonuses } = await raisePay(settled, wanted, books);
      const { transfers, tasks, audit, cases, held, parties, webhookEvents } = await decide(books);
      return ok({
        ...batch,
        tasks: [...(batch.tasks ?? []), ...tasks],
        transfers: [...(batch.transfers ?? []), ...transfers],
        held: [...(batch.held ?? []), ...held],
        audit,
        cases,
        parties: [...(batch.parties ?? []), ...parties],
        webhookEvents: [...(batch.webhookEvents ?? []), ...webhookEvents],
        reply: { transfers: [...bonuses, ...transfers], held },
      });
    },
  );
  assert(written.ok, "a revision is refused by nobody");
  return written.value.reply;
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

async function postingsOf(store: Store, task: TaskId): Promise<{ settlement: Transfer; bonus: Transfer | null }> {
  const { data } = await store.entries({ task }, { limit: 100, after: null });
  const posted = (kind: "settle" | "bonus"): Transfer | null => {
    const found = data.find(({ transfer }) => transfer === `${kind}:${task}`);
    return found ? { id: found.transfer, kind, at: found.at, task, legs: found.legs } : null;
  };
  const settlement = posted("settle");
  assert(settlement, `${task} is overturned, but was never settled`);
  return { settlement, bonus: posted("bonus") };
}
