import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { failure } from "./errors.ts";
import { limits } from "./limits.ts";
import { ABORT_GRACE_MS, RESEND_MS } from "./miner-jobs.ts";
import { gatesOpen, type MinerEffect, type MinerEvent } from "./miner-state.ts";

import type { AssignmentMode } from "./protocol.ts";
import { ofKind, readyMiner, testMiner, type Unsent } from "./test-miner.ts";

describe("coming back after a lost link", () => {
  it("keeps what the hub kept: goes on, sends again from 1, and drops the rest", () => {
    const miner = readyMiner();
    miner.assign(["a_1", "a_2", "a_3"]);
    miner.send({ kind: "ran", run: 1, done: ["a_1"], failed: [] });
    miner.send({ kind: "lost" });
    expect(ofKind(miner.send({ kind: "ran", run: 2, done: ["a_2"], failed: [] }), "send")).toEqual([]);
    const effects = miner.join(["a_1", "a_2", "a_4"]);
    expect(ofKind(effects, "send")[0]?.results).toEqual([
      { assignment: "a_2", seq: 1 },
      { assignment: "a_1", seq: 2 },
    ]);
    expect(ofKind(effects, "fail")).toMatchObject([{ assignments: ["a_4"], fault: "paused" }]);
    // a_3 was running and is no longer wanted.
    expect(ofKind(effects, "forget").flatMap((effect) => effect.assignments)).toContain("a_3");
    expect(miner.after(ABORT_GRACE_MS)).toContainEqual({ kind: "abort", run: 3 });
  });

  it("lets go of a sent result after a time", () => {
    const miner = readyMiner();
    miner.assign(["a_1"]);
    miner.send({ kind: "ran", run: 1, done: ["a_1"], failed: [] });
    miner.after(limits.chainEveryMs);
    expect(miner.after(RESEND_MS)).toEqual([{ kind: "forget", assignments: ["a_1"] }]);
  });
});

describe("any interleaving", () => {
  const number = fc.integer({ min: 0, max: 40 });
  const command = fc.oneof(
    fc
      .constantFrom("start", "pause", "resume", "drain", "stop", "lost", "connected", "challenged", "welcomed")
      .map((kind) => ({ kind })),
    fc.record({ kind: fc.constantFrom("wait", "assign", "end", "fail", "cancel", "prepare"), n: number }),
    fc.record({ kind: fc.constant("wait"), n: number }),
    fc.record({ kind: fc.constantFrom("governed", "prepared", "refuse", "generated"), n: number }),
  ) as fc.Arbitrary<{ kind: string; n?: number }>;

  /** The other side: holds tensors by assignment, obeys effects, and checks them. */
  function world(seed: number) {
    const miner = testMiner(seed);
    const { session } = miner;
    const held = new Set<string>();
    const runs = new Map<number, string[]>();
    let last = { seq: 0, signed: 0, answered: new Set<string>() };
    let assignments = 0;
    let texts = 3;
    const busy = (mode: AssignmentMode) =>
      [...session.runs.values()].filter(({ jobs }) => jobs.some((job) => job.mode === mode)).length;
    let unsignedSince: number | null = null;

    const obey = (effects: MinerEffect[]) => {
      for (const effect of effects) {
        switch (effect.kind) {
          case "run":
            expect(gatesOpen(session)).toBe(true);
            expect(effect.assignments.every((assignment) => held.has(assignment))).toBe(true);
            runs.set(effect.run, effect.assignments);
            if (effect.mode !== "run") expect(effect.assignments).toHaveLength(1);
            expect(busy("run")).toBeLessThanOrEqual(session.slots);
            expect(busy("generate")).toBeLessThanOrEqual(Math.max(1, texts));
            break;
          case "send-tokens":
            expect(session.link.at).toBe("up");
            expect(effect.assignments.length).toBeGreaterThan(0);
            expect(effect.assignments.every((assignment) => held.has(assignment))).toBe(true);
            break;
          case "interrupt":
            expect(runs.has(effect.run)).toBe(true);
            break;
          case "abort":
            expect(runs.delete(effect.run)).toBe(true);
            break;
          case "send":
            for (const { assignment, seq } of effect.results) {
              expect(seq).toBe(++last.seq);
              expect(held.has(assignment)).toBe(true);
              expect(last.answered.has(assignment)).toBe(false);
              last.answered.add(assignment);
            }
            unsignedSince ??= miner.now();
            break;
          case "fail":
            for (const assignment of effect.assignments) {
              expect(last.answered.has(assignment)).toBe(false);
              last.answered.add(assignment);
              held.delete(assignment);
            }
            break;
          case "forget":
            for (const assignment of effect.assignments) held.delete(assignment);
            break;
          case "sign":
            expect(effect.seq).toBeGreaterThan(last.signed);
            expect(effect.seq).toBe(last.seq);
            last.signed = effect.seq;
            unsignedSince = null;
            break;
          case "release":
            held.clear();
            runs.clear();
            break;
        }
      }
    };
    const send = (event: Unsent<MinerEvent>) => obey(miner.send(event));

    const act = ({ kind, n = 0 }: { kind: string; n?: number }) => {
      const someHeld = [...held].filter((_, i) => i % 3 === n % 3);
      switch (kind) {
        case "start":
          return send({ kind: "start", slots: 2 });
        case "pause":
        case "resume":
        case "drain":
        case "stop":
        case "connected":
        case "challenged":
        case "lost":
          return send({ kind });
        case "welcomed":
          if (session.link.at !== "greeting") return;
          last = { seq: 0, signed: 0, answered: new Set() };
          unsignedSince = null;
          return send({ kind: "welcomed", session: `s_${n}`, keep: [...someHeld, "a_unknown"] });
        case "wait": {
          const until = miner.now() + n * 50;
          for (let steps = 0; ; steps++) {
            expect(steps).toBeLessThan(10_000);
            const wakeAt = miner.wakeAt();
            if (wakeAt === null || wakeAt > until) break;
            obey(miner.after(Math.max(0, wakeAt - miner.now())));
            expect(miner.wakeAt() ?? Number.POSITIVE_INFINITY).toBeGreaterThan(miner.now());
          }
          obey(miner.after(until - miner.now()));
          if (session.link.at === "up" && unsignedSince !== null) {
            expect(miner.now() - unsignedSince).toBeLessThan(limits.chainEveryMs);
          }
          return;
        }
        case "assign": {
          const ids = Array.from({ length: (n % 4) + 1 }, () => `a_${++assignments}`);
          for (const id of ids) held.add(id);
          const mode = n % 3 === 0 ? ("generate" as const) : undefined;
          const items = ids.map((assignment) => ({ assignment, leaseMs: 100 + n * 100, mode }));
          return send({ kind: "assigned", model: n % 5 === 0 ? "unknown@1" : "digits@1", items });
        }
        case "end":
        case "fail": {
          const run = [...runs.keys()][n % Math.max(1, runs.size)];
          if (run === undefined) return;
          const items = runs.get(run) as string[];
          runs.delete(run);
          for (const assignment of items) if (kind === "end") held.add(assignment);
          const failed = items.map((assignment) => ({ assignment, fault: "run-failed" as const, message: "m" }));
          return send({ kind: "ran", run, done: kind === "end" ? items : [], failed: kind === "end" ? [] : failed });
        }
        case "cancel":
          return send({ kind: "cancelled", assignments: someHeld });
        case "prepare":
          return send({ kind: "prepare", model: "digits@1" });
        case "prepared":
          // The world is that of one model; how many texts it makes changes only while none is under way.
          if (busy("generate") === 0) texts = n % 4;
          return send({ kind: "prepared", model: "digits@1", together: (n % 3) + 1, texts });
        case "generated":
          return send({ kind: "generated", runs: runs.size > 0 ? [...runs.keys()].slice(n % runs.size) : [n] });
        case "governed":
          return send({ kind: "governed", run: n % 3 > 0, why: "held back", duty: 0.1 + (n % 10) / 11 });
        case "refuse":
          return send({
            kind: "refused",
            assignment: someHeld[0] ?? null,
            error: failure(n % 2 ? "assignment-closed" : "out-of-sequence", "m"),
          });
      }
    };
    return { miner, act, held, runs };
  }

  it("keeps the invariants, wakes in time, and holds no tensor after stop", () => {
    fc.assert(
      fc.property(fc.integer(), fc.array(command, { maxLength: 80 }), (seed, commands) => {
        const { miner, act, held, runs } = world(seed);
        for (const joined of ["start", "connected", "challenged", "welcomed", "prepare", "prepared"])
          act({ kind: joined });
        for (const each of commands) act(each);
        // Whatever happened: with open gates and a hub that answers, everything that is assigned comes to an end.
        act({ kind: "stop" });
        expect(held.size).toBe(0);
        expect(runs.size).toBe(0);
        expect(miner.wakeAt()).toBeNull();
      }),
      { numRuns: 500 },
    );
  });

  it("comes to rest: with no more events but time, nothing stays at hand", () => {
    fc.assert(
      fc.property(fc.integer(), fc.array(command, { maxLength: 80 }), (seed, commands) => {
        const { miner, act, held, runs } = world(seed);
        for (const joined of ["start", "connected", "challenged", "welcomed", "prepare", "prepared"])
          act({ kind: joined });
        for (const each of commands) act(each);
        for (let i = 0; i < 60; i++) {
          while (runs.size > 0) act({ kind: "end" });
          act({ kind: "wait", n: 40 });
        }
        expect(miner.session.waiting).toEqual([]);
        expect(held.size).toBe(miner.session.outbox.length);
        expect(miner.session.outbox.length === 0 || miner.session.link.at !== "up").toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});
