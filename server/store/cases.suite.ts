import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { CaseId, ModelKey, OwnerId, TaskId } from "../../shared/ids.ts";
import type { CaseRecord } from "./case-records.ts";
import { openStore } from "./open.ts";
import type { Place } from "./store.suite.ts";
import type { Store } from "./store.ts";

/** Cases, the audit log and the table of what runs where: the same on each database. */
export function describeCases(makePlace: () => Promise<Place>): void {
  let place: Place;
  let store: Store;

  const open = async () => {
    const opened = await openStore(place.config("one"));
    await opened.migrate();
    return opened;
  };
  const reopen = async () => {
    await store.close();
    store = await open();
  };

  beforeEach(async () => {
    place = await makePlace();
    store = await open();
  });
  afterEach(async () => {
    await store.close().catch(() => {});
    await place.remove();
  });

  describe("records of review", () => {
    it("keep cases: opened once, decided once, and found by state, task and age", async () => {
      const opened = (id: string, openedAt: number, task: string | null): CaseRecord => ({
        case: id as CaseId,
        kind: task ? "report" : "suspension",
        owner: task ? null : ("own_a" as OwnerId),
        task: task as TaskId | null,
        openedAt,
        evidence: {
          kind: "suspension",
          strikes: 9.2,
          exhibits: [],
          history: [{ kind: "suspended", at: 5, strikes: 9.2 }],
        },
        state: "open",
        closedAt: null,
        ruling: null,
        reviewer: null,
        reason: null,
      });
      const [first, second, third] = [opened("c_z", 5, null), opened("c_b", 7, "t_1"), opened("c_a", 7, null)];
      await store.commit({ cases: [first, second, third] });
      const closing = { state: "decided", closedAt: 9, ruling: "severe", reviewer: "operator", reason: "ü" } as const;
      const closed = { ...third, ...closing };
      await store.commit({
        cases: [{ ...closed, openedAt: 99, evidence: { ...third.evidence, strikes: 0 } as never }],
      });
      await reopen();
      expect(await store.case(third.case)).toEqual(closed);
      expect(await store.case("c_x" as CaseId)).toBeNull();
      expect(await store.caseOf("t_1" as TaskId)).toEqual(second);
      expect(await store.caseOf("t_2" as TaskId)).toBeNull();
      const page = { limit: 2, after: null };
      expect(await store.cases(null, page)).toEqual({ data: [second, closed], hasMore: true });
      expect(await store.cases(null, { ...page, after: "c_a" })).toEqual({ data: [first], hasMore: false });
      expect(await store.cases("open", page)).toEqual({ data: [second, first], hasMore: false });
      expect(await store.cases("withdrawn", page)).toEqual({ data: [], hasMore: false });
      expect(await store.openCases()).toBe(2);
      await expect(store.commit({ cases: [opened("c_again", 8, "t_1")] })).rejects.toMatchObject({ code: "conflict" });
    });

    it("keep the audit log in order, of all subjects or one", async () => {
      const line = (at: number, subject?: string) => {
        const about = subject === undefined ? {} : { subject };
        return { at, actor: "hub", action: `a${at}`, ...about, detail: { at } };
      };
      await store.commit({ audit: [line(1), line(2, "c_a"), line(2, "c_b")] });
      await store.commit({ audit: [line(3, "c_a")] });
      const first = await store.auditLog(null, { limit: 3, after: null });
      expect(first.data.map(({ action, subject }) => [action, subject])).toEqual([
        ["a3", "c_a"],
        ["a2", "c_b"],
        ["a2", "c_a"],
      ]);
      const rest = await store.auditLog(null, { limit: 3, after: first.data.at(-1)?.cursor as string });
      expect(rest).toMatchObject({ data: [{ action: "a1", subject: null, detail: { at: 1 } }], hasMore: false });
      expect((await store.auditLog("c_a", { limit: 9, after: null })).data.map(({ at }) => at)).toEqual([3, 2]);
      await expect(store.auditLog(null, { limit: 1, after: "x" })).rejects.toMatchObject({ error: { field: "after" } });
    });

    it("count what runs where over commits and restarts", async () => {
      const count = (deviceClass: string, admitted: number, lastAt: number) => {
        return {
          model: "digits@1" as ModelKey,
          runtime: "wasm",
          deviceClass,
          admitted,
          refused: 1,
          quarantined: 0,
          lastAt,
        };
      };
      await store.commit({ compatibility: [count("b", 2, 5), count("a", 1, 5)] });
      await reopen();
      await store.commit({ compatibility: [count("b", 3, 8)] });
      expect(await store.compatibility()).toEqual([count("a", 1, 5), { ...count("b", 5, 8), refused: 2 }]);
    });
  });
}
