import { createHash, randomBytes } from "node:crypto";
import { failure, type TabgridError } from "../../shared/errors.ts";
import type { CaseId, OwnerId } from "../../shared/ids.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import type { Clock } from "../../shared/time.ts";
import type { CaseRuling, Overturn } from "../core/events.ts";
import { freshStanding } from "../core/trust.ts";
import { accounts } from "../economy/accounts.ts";
import { stakesOf } from "../economy/case-stakes.ts";
import type { CaseDetail, CaseView, Gateway, TaskView } from "../gateway/gateway.ts";
import { exchangeOf } from "../runtime/kept-answers.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { DomainMap } from "../settlement/domain-map.ts";
import type { CaseRecord, Exchange } from "../store/case-records.ts";
import type { AuditLine, Store } from "../store/store.ts";
import { reportDecidedEvent } from "../webhooks/events.ts";
import { domainOfCase } from "./revisions.ts";

/**
 * The reviewer's desk (../shared/policy.md, "Fault of a device, fault of a person"): shows cases without a name, takes
 * rulings to the core, and opens a case for a reported answer. A suspension opens its case in the core.
 */
export interface CaseDeskParts {
  runtime: Runtime;
  store: Store;
  clock: Clock;
  domains: DomainMap;
  textOf: Gateway["modelText"];
  /** Names the cases of reports. */
  newId?: () => string;
}

export type CaseDesk = Pick<Gateway, "cases" | "case" | "decideCase" | "reportAnswer" | "audit">;

/** Within which a person rules. */
const DUE_MS = 7 * 86_400_000;

const randomId = (): string => `c_${randomBytes(9).toString("base64url")}`;

export function createCaseDesk(parts: CaseDeskParts): CaseDesk {
  const { runtime, store, clock, domains, textOf, newId = randomId } = parts;
  /** Cases whose ruling is under way: the core hears of each once. */
  const deciding = new Set<CaseId>();

  async function detailOf(record: CaseRecord): Promise<CaseDetail> {
    const audit = await store.auditLog(record.case, { limit: 100, after: null });
    return { ...viewOf(record), stakes: await stakesNow(record), audit: audit.data };
  }

  async function stakesNow(record: CaseRecord): Promise<CaseDetail["stakes"]> {
    const { state, kind, owner, openedAt } = record;
    if (state !== "open") return null;
    const held = owner === null ? null : await store.account(accounts.minerHeld(owner));
    const pool = await store.account(accounts.pool(domainOfCase(record, domains)));
    const frozenMs = kind === "suspension" ? clock.now() - openedAt : 0;
    const of = (ruling: CaseRuling) => stakesOf(ruling, held?.balance ?? 0n, pool?.balance ?? 0n, frozenMs);
    return { dismissed: of("dismissed"), minor: of("minor"), severe: of("severe") };
  }

  /** What an upheld report gives back; null where the answer is overturned already. */
  async function overturnOf(record: CaseRecord, owner: OwnerId): Promise<Overturn | null> {
    const task = record.task === null ? null : await store.task(record.task);
    if (task?.state !== "settled") return null;
    const leaf = await leafOf(store, task.task);
    const primary = leaf?.executions.find((one) => one.by === owner);
    return {
      task: task.task,
      at: clock.now(),
      customer: task.customer,
      price: task.price,
      owner,
      assignment: (primary?.assignment ?? "") as Overturn["assignment"],
      commitment: leaf?.commitment ?? "",
      reference: "",
      reason: "reported as harmful, and a reviewer upheld the report",
    };
  }

  async function rule(record: CaseRecord, decision: Parameters<Gateway["decideCase"]>[1]): Promise<void> {
    const at = clock.now();
    const { case: id, owner } = record;
    if (owner === null) {
      const { ruling, reviewer, reason } = decision;
      const closed: CaseRecord = { ...record, state: "decided", closedAt: at, ruling, reviewer, reason };
      const line: AuditLine = {
        at,
        actor: reviewer,
        action: "case-decided",
        subject: id,
        detail: { case: id, ruling, reason },
      };
      const task = record.task && (await store.task(record.task));
      const told = task ? [reportDecidedEvent({ case: id, at, ruling }, task.task, task.customer)] : [];
      await store.commit({ cases: [closed], audit: [line], webhookEvents: told });
      return;
    }
    const standing = (await store.standing(owner)) ?? freshStanding(owner, at);
    const report = record.kind === "report" ? { overturns: await overturnOf(record, owner) } : undefined;
    runtime.report({ kind: "case.decided", at, case: id, owner, ...decision, standing, ...(report && { report }) });
    await runtime.caughtUp();
  }

  return {
    async cases(state, page) {
      const { data, hasMore } = await store.cases(state, page);
      return { data: data.map(viewOf), hasMore };
    },

    async case(id) {
      const record = await store.case(id);
      return record && (await detailOf(record));
    },

    async decideCase(id, decision) {
      const record = await store.case(id);
      if (!record) return err(failure("unknown-case", `no case ${id}`, { field: "case", got: id }));
      if (record.state !== "open" || deciding.has(id)) {
        const got = record.state === "open" ? "being decided" : record.state;
        return err(failure("case-closed", `case ${id} is ${got}`, { field: "case", expected: "an open case", got }));
      }
      if (record.owner === null && decision.ruling !== "dismissed") {
        const message = "the hub's own node gave this answer: there is nobody to fine";
        return err(failure("wrong-state", message, { field: "ruling", expected: "dismissed", got: decision.ruling }));
      }
      deciding.add(id);
      try {
        await rule(record, decision);
      } finally {
        deciding.delete(id);
      }
      const decided = (await store.case(id)) as CaseRecord;
      if (decided.state === "decided") return ok(await detailOf(decided));
      // The device class was found at fault in the same moment.
      return err(failure("case-closed", `case ${id} is ${decided.state}`, { field: "case", got: decided.state }));
    },

    async reportAnswer(task, complaint) {
      const kept = runtime.answers.of(task.task);
      const at = task.model.lastIndexOf("@");
      const text = kept?.isText ? await textOf(task.model.slice(0, at), task.model.slice(at + 1)) : null;
      const exchange = kept && exchangeOf(kept, text?.ok ? text.value : null);
      return report(store, clock, newId() as CaseId, task, complaint, exchange);
    },
    audit: (subject, page) => store.auditLog(subject, page),
  };
}

interface Leaf {
  commitment: string;
  inputHash: string;
  executions: { by: string; assignment: string | null; role: string; accepted: boolean }[];
}

async function leafOf(store: Store, task: TaskView["task"]): Promise<Leaf | null> {
  const receipt = await store.receipt(`r_${task.slice(2)}` as never);
  return receipt && (JSON.parse(receipt.leaf) as Leaf);
}

async function report(
  store: Store,
  clock: Clock,
  id: CaseId,
  task: TaskView,
  complaint: string,
  exchange: Exchange | null,
): Promise<Result<{ case: CaseId }, TabgridError>> {
  const leaf = await leafOf(store, task.task);
  if (!leaf) {
    const detail = { field: "receipt", expected: "a settled task", got: task.state };
    return err(failure("wrong-state", `${task.task} has no receipt: its task is ${task.state}`, detail));
  }
  if (await store.caseOf(task.task)) {
    return err(failure("wrong-state", "this answer has been reported", { field: "receipt", expected: "one report" }));
  }
  const at = clock.now();
  const accepted = leaf.executions.filter((one) => one.accepted);
  const author = accepted.find(({ role }) => role !== "check" && role !== "third") ?? accepted[0];
  const { model, level, basis, endedAt } = task;
  const record: CaseRecord = {
    case: id,
    kind: "report",
    owner: author && author.by !== "reference" ? (author.by as OwnerId) : null,
    task: task.task,
    openedAt: at,
    evidence: {
      kind: "report",
      complaint,
      model: model as never,
      level,
      basis,
      inputHash: leaf.inputHash,
      commitment: leaf.commitment,
      executions: leaf.executions.length,
      settledAt: endedAt ?? at,
      exchange,
    },
    state: "open",
    closedAt: null,
    ruling: null,
    reviewer: null,
    reason: null,
  };
  const line: AuditLine = {
    at,
    actor: "customer",
    action: "case-opened",
    subject: id,
    detail: { case: id, kind: "report" },
  };
  await store.commit({ cases: [record], audit: [line] });
  return ok({ case: id });
}

function viewOf({ owner, task: _task, ...record }: CaseRecord): CaseView {
  return { ...record, party: pseudonym(record.case), dueAt: record.openedAt + DUE_MS, finable: owner !== null };
}

/** Of the case, so that two cases of one person do not show that they are. */
const pseudonym = (id: CaseId): string =>
  `Party ${createHash("sha256").update(id).digest("hex").slice(0, 4).toUpperCase()}`;
