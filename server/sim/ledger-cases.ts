import type { AssignmentId, CaseId, ModelKey, OwnerId, TaskId } from "../../shared/ids.ts";
import { createCaseDesk } from "../cases/cases.ts";
import { Exhibits } from "../cases/exhibits.ts";
import { commitRevision, gather, revise } from "../cases/revisions.ts";
import type { CaseRuling, HubEffect, Mismatch } from "../core/events.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { TestBooks } from "../settlement/test-books.ts";
import type { CaseRecord } from "../store/case-records.ts";
import type { Version } from "../store/party-records.ts";
import { type Act, type Answer, type Draw, done, type Kinds } from "./ledger-draw.ts";
import { factOf, type MadeUp, settlingNow } from "./ledger-work.ts";

/** Answers that are overturned, and cases: opened by a suspension or a report, ruled on, withdrawn. */
export const caseKinds: Kinds = {
  overturn: [
    45,
    (d) => {
      const { settled, dear } = d.lived;
      const one = d.of([settled.slice(-30), settled, settled, dear][d.below(4)] as readonly MadeUp[]);
      return async () => {
        const made = one && (await madeBy(d, one));
        if (!made) return null;
        const { task, customer, price, owner, assignment } = made;
        const found = { commitment: "", reference: "", reason: "the recheck differs" };
        const fact = { task, at: d.at, customer, price, owner, assignment, ...found };
        return look(d.books, d.at, [{ kind: "overturned", fact }]);
      };
    },
  ],
  "open a case": [
    28,
    (d) => {
      const among = d.below(3);
      return async () => {
        const owner = await d.once("owner", async () => suspect(d, among));
        if (!owner) return null;
        const model = await d.model();
        const evidence = model ? [mismatchOf(model, d)] : [];
        const opened = { case: `c_${d.id}` as CaseId, owner, at: d.at, strikes: 10, evidence, history: [] };
        if (await d.books.store.case(opened.case)) return done;
        return look(d.books, d.at, [{ kind: "case-opened", opened }]);
      };
    },
  ],
  "report an answer": [
    16,
    (d) => {
      const one = d.of(d.lived.settled);
      return async () => {
        if (!one) return null;
        const desk = caseDesk(d);
        if (await d.books.store.case(`c_${d.id}` as CaseId)) return done;
        const record = await d.books.store.task(one.request.task as TaskId);
        if (!record) return null;
        const task = { ...record, position: null, etaMs: null, receipt: null };
        return desk.reportAnswer(task, "harmful");
      };
    },
  ],
  dismiss: [14, (d) => rule(d, "dismissed")],
  "rule minor": [16, (d) => rule(d, "minor")],
  "rule severe": [14, (d) => rule(d, "severe")],
  "withdraw a case": [
    10,
    (d) =>
      ended(d, isSuspension, async ({ case: id, owner }) => [
        { kind: "case-withdrawn", case: id, owner: owner as OwnerId, at: d.at, why: "device" },
      ]),
  ],
};

/** Whom an overturn would be about; null where it cannot be. */
async function madeBy(d: Draw, one: MadeUp) {
  const { version, isOpen } = await d.once("made", async () => {
    const record = await d.books.store.task(one.request.task as TaskId);
    const versions: readonly Version[] = await d.lived.versions();
    return { version: versions.find(({ model }) => model === record?.model), isOpen: record?.state === "settled" };
  });
  if (!isOpen || !version) return null;
  const fact = factOf(one, version);
  const made = fact.executions.find(({ by }) => by !== "reference");
  if (!made?.assignment) return null;
  return { ...fact, owner: made.by as OwnerId, assignment: made.assignment };
}

/** Somebody who is not under a case: one who has a deposit, one to whom stake is delegated, or anybody. */
async function suspect(d: Draw, among: number): Promise<OwnerId | null> {
  const registered = among === 0 ? (await d.record("registration", "registered"))?.body.owner : null;
  const delegated = await d.record("position", "staked", ({ validator }) => validator !== null);
  const owner = registered ?? (among < 2 ? delegated?.body.validator : null) ?? d.owner;
  const isUnder = (await openCases(d)).some((one) => isSuspension(one) && one.owner === owner);
  return isUnder ? null : owner;
}

const openCases = async ({ books }: Draw): Promise<CaseRecord[]> =>
  (await books.store.cases("open", { limit: 200, after: null })).data;

const isSuspension = ({ kind }: CaseRecord): boolean => kind === "suspension";
const isFinable = ({ owner }: CaseRecord): boolean => owner !== null;

const rule = (d: Draw, ruling: CaseRuling): Act =>
  ended(d, isFinable, async (found) => {
    const { case: id, task } = found;
    const owner = found.owner as OwnerId;
    const at = d.at;
    const isReport = found.kind === "report";
    const decision = { case: id, owner, at, openedAt: isReport ? at : found.openedAt, reviewer: "reviewer", ruling };
    const effects: HubEffect[] = [{ kind: "case-closed", decision }];
    if (!isReport || ruling === "dismissed") return effects;
    // As the core has it: the customer has the price back before anybody is fined; whoever is out has no other case.
    const record = task && (await d.books.store.task(task));
    if (record?.state === "settled") {
      const reason = "reported as harmful, and a reviewer upheld the report";
      const about = { task: record.task, customer: record.customer, price: record.price };
      const found = { assignment: "" as AssignmentId, commitment: "", reference: "", reason };
      effects.unshift({ kind: "overturned", fact: { ...about, at, owner, ...found } });
    }
    const other = (await openCases(d)).find((one) => isSuspension(one) && one.owner === owner);
    if (ruling === "severe" && other) {
      const why = "another case put the owner out";
      effects.splice(-1, 0, { kind: "case-withdrawn", case: other.case, owner, at, why });
    }
    return effects;
  });

/** An odd one is asked of the reviewer's desk, for a case that is closed or never was. */
const ended =
  (d: Draw, fits: (found: CaseRecord) => boolean, how: (found: CaseRecord) => Promise<HubEffect[]>): Act =>
  async () => {
    if (d.odd) {
      const { data } = await d.books.store.cases("decided", { limit: 20, after: null });
      const id = await d.once("closed", async () => d.of(data)?.case ?? ("c_nothing" as CaseId));
      return caseDesk(d).decideCase(id, { ruling: "severe", reviewer: "reviewer", reason: "" });
    }
    const effects = await d.once("effects", async () => {
      const found = d.of((await openCases(d)).filter(fits));
      return found ? { found, effects: await how(found) } : null;
    });
    if (!effects) return null;
    if ((await d.books.store.case(effects.found.case))?.state !== "open") return done;
    return look(d.books, d.at, effects.effects);
  };

/** What looks back, as the hub writes it. */
async function look(books: TestBooks, at: number, effects: HubEffect[]): Promise<Answer> {
  const { store, domains } = books;
  const past = await gather(effects, store);
  if (!past) return null;
  const { pools } = await settlingNow(books);
  const exhibits = new Exhibits(() => null);
  await commitRevision(store, {}, at, domains.wanted, (read) =>
    revise(past, { books: read, domains, pools, exhibits }),
  );
  return done;
}

/** Without a core: what it is asked here never comes to one. */
function caseDesk({ books, id, at }: Draw) {
  const runtime = { answers: { of: () => null } } as unknown as Runtime;
  const { store, domains } = books;
  const textOf = () => Promise.reject(new Error("nothing was kept"));
  return createCaseDesk({ runtime, store, domains, clock: { now: () => at }, textOf, newId: () => `c_${id}` });
}

const mismatchOf = (model: ModelKey, { at }: Draw): Mismatch => ({
  at,
  task: "" as TaskId,
  assignment: "" as AssignmentId,
  model,
  runtime: "wasm",
  deviceClass: "d",
  found: "check",
  inputHash: "",
  commitment: "",
  reference: "",
  distance: 9,
  compared: "",
  referenceMs: 1,
});
