import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { AssignmentId, CaseId, ModelKey, OwnerId, TaskId } from "../../shared/ids.ts";
import type { Mismatch } from "./events.ts";
import {
  freshStanding,
  type Ground,
  groundKey,
  inGoodStanding,
  isProven,
  mismatchesOf,
  passesOf,
  recordMismatch,
  recordPass,
  strikeRule,
  trustOf,
  voidStrikes,
} from "./trust.ts";

const ground: Ground = { model: "m@1" as ModelKey, runtime: "webgpu", deviceClass: "c1" };
const mismatch = (at = 0, on: Ground = ground): Mismatch => ({
  at,
  task: "t_1" as TaskId,
  assignment: "a_1" as AssignmentId,
  ...on,
  found: "check",
  inputHash: "i",
  commitment: "mine",
  reference: "right",
  distance: 7,
  compared: "y: elements",
  referenceMs: 3,
});
const fresh = () => freshStanding("own_a" as OwnerId, 0);

describe("strikes", () => {
  it("suspend at the fourth mismatch of a newcomer, at the sixth of whoever is at the floor", () => {
    const newcomer = fresh();
    expect([1, 2, 3, 4].map(() => recordMismatch(newcomer, mismatch()))).toEqual([false, false, false, true]);
    expect(recordMismatch(newcomer, mismatch())).toBe(false); // it is out already
    const trusted = fresh();
    for (let i = 0; i < 500; i++) recordPass(trusted, ground, 0);
    expect(trusted.strikes).toBe(strikeRule.floor);
    expect([1, 2, 3, 4, 5, 6].map(() => recordMismatch(trusted, mismatch())).indexOf(true)).toBe(5);
  });

  it("set k back, and remember what was proven", () => {
    const standing = fresh();
    for (let i = 0; i < 120; i++) recordPass(standing, ground, 0);
    expect(passesOf(standing, ground)).toBe(120);
    recordMismatch(standing, mismatch());
    expect(passesOf(standing, ground)).toBe(0);
    expect(isProven(standing, ground)).toBe(true);
    expect(isProven(standing, { ...ground, deviceClass: "c2" })).toBe(false);
  });

  it("put an owner out of good standing until passes outweigh them", () => {
    const standing = fresh();
    expect(inGoodStanding(standing)).toBe(true);
    recordMismatch(standing, mismatch());
    expect(inGoodStanding(standing)).toBe(false);
    for (let i = 0; i < 25; i++) recordPass(standing, ground, 0);
    expect(inGoodStanding(standing)).toBe(true);
  });

  it("a recheck that passes counts for strikes and trust, not for k", () => {
    const standing = fresh();
    recordPass(standing, ground, 0, false);
    expect(passesOf(standing, ground)).toBe(0);
    expect(standing.strikes).toBeLessThan(0);
    expect(trustOf(standing)).toBeGreaterThan(0.5);
  });
});

describe("voidStrikes", () => {
  it("takes back those of one ground, and a suspension that rested on them", () => {
    const standing = fresh();
    for (let i = 0; i < 4; i++) recordMismatch(standing, mismatch());
    standing.openCase = "c_1" as CaseId;
    expect(voidStrikes(standing, { ...ground, deviceClass: "other" }, 1)).toBe(false);
    expect(standing.suspended).toBe(true);
    expect(voidStrikes(standing, ground, 1)).toBe(true);
    expect(standing).toMatchObject({ suspended: false, openCase: null });
    expect(mismatchesOf(standing)).toEqual([]);
    expect(voidStrikes(standing, ground, 2)).toBe(false);
  });

  it("does not take back what a person has ruled", () => {
    const standing = fresh();
    for (let i = 0; i < 4; i++) recordMismatch(standing, mismatch());
    expect(voidStrikes(standing, ground, 1)).toBe(false);
    expect(standing.suspended).toBe(true);
  });
});

describe("a standing", () => {
  it("says why, in bounded room, whatever happens", () => {
    const what = fc.oneof(
      { weight: 5, arbitrary: fc.record({ kind: fc.constant("pass" as const), on: fc.integer({ min: 0, max: 200 }) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("fail" as const), on: fc.integer({ min: 0, max: 200 }) }) },
    );
    fc.assert(
      fc.property(fc.array(what, { maxLength: 400 }), (events) => {
        const standing = fresh();
        let at = 0;
        for (const { kind, on } of events) {
          at += 1_000;
          const where = { ...ground, deviceClass: `c${on}` };
          if (kind === "pass") recordPass(standing, where, at);
          else recordMismatch(standing, mismatch(at, where));
          expect(standing.strikes).toBeGreaterThanOrEqual(strikeRule.floor);
          expect(trustOf(standing)).toBeGreaterThan(0);
          expect(trustOf(standing)).toBeLessThan(1);
          expect(passesOf(standing, where)).toBeLessThanOrEqual(standing.proven[groundKey(where)] ?? 0);
        }
        expect(standing.history.length).toBeLessThanOrEqual(32);
        expect(Object.keys(standing.proven).length).toBeLessThanOrEqual(64);
        const last = standing.history.at(-1);
        if (last && last.kind !== "suspended") expect(last.strikes).toBe(standing.strikes);
        expect(JSON.parse(JSON.stringify(standing))).toEqual(standing);
      }),
    );
  });
});
