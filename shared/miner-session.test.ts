import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { failure } from "./errors.ts";
import { limits } from "./limits.ts";
import { ABORT_GRACE_MS, RESEND_MS } from "./miner-jobs.ts";
import { type Step, stepMiner } from "./miner-session.ts";
import {
  assertMinerInvariants,
  createMinerSession,
  gatesOpen,
  type MinerEffect,
  type MinerEvent,
  minerStateOf,
  statusOf,
} from "./miner-state.ts";
import { seededRng } from "./random.ts";

type Unsent<T> = T extends unknown ? Omit<T, "at"> : never;

/** A miner under the test's hand: `send` is one event at the current time, and gives its effects. */
function testMiner(seed = 1) {
  const session = createMinerSession();
  const rng = seededRng(seed);
  let at = 1_000;
  let wakeAt: number | null = null;
  const send = (event: Unsent<MinerEvent>): MinerEffect[] => {
    const step: Step = stepMiner(session, { ...event, at } as MinerEvent, rng);
    wakeAt = step.wakeAt;
    assertMinerInvariants(session);
    return step.effects;
  };
  return {
    session,
    send,
    now: () => at,
    wakeAt: () => wakeAt,
    /** Moves the clock and ticks. */
    after(ms: number) {
      at += ms;
      return send({ kind: "tick" });
    },
    join(keep: string[] = []) {
      if (session.link.at === "down") this.after(Math.max(0, session.link.retryAt - at));
      send({ kind: "connected" });
      send({ kind: "challenged" });
      return send({ kind: "welcomed", session: `s_${at}`, keep });
    },
    prepare(model = "digits@1", together = 1) {
      send({ kind: "prepare", model });
      return send({ kind: "prepared", model, together });
    },
    assign(assignments: string[], leaseMs = 60_000, model = "digits@1") {
      return send({ kind: "assigned", model, items: assignments.map((assignment) => ({ assignment, leaseMs })) });
    },
  };
}

function readyMiner(together = 1, slots = 1) {
  const miner = testMiner();
  miner.send({ kind: "start", slots });
  miner.join();
  miner.prepare("digits@1", together);
  return miner;
}

const ofKind = <K extends MinerEffect["kind"]>(effects: MinerEffect[], kind: K) =>
  effects.filter((effect): effect is MinerEffect & { kind: K } => effect.kind === kind);

describe("joining", () => {
  it("does nothing before start", () => {
    const miner = testMiner();
    expect(miner.after(1_000_000)).toEqual([]);
    expect(miner.send({ kind: "prepare", model: "digits@1" })).toEqual([]);
    expect(miner.wakeAt()).toBeNull();
  });

  it("dials on start, answers the challenge, and says its status once welcomed", () => {
    const miner = testMiner();
    expect(miner.send({ kind: "start", slots: 2 })).toEqual([{ kind: "dial" }]);
    expect(miner.send({ kind: "connected" })).toEqual([]);
    expect(miner.send({ kind: "challenged" })).toEqual([{ kind: "greet" }]);
    const effects = miner.send({ kind: "welcomed", session: "s_1", keep: [] });
    expect(effects).toEqual([{ kind: "status", status: { accepting: true, slots: 2, resident: [] } }]);
    expect(minerStateOf(miner.session)).toBe("ready");
  });

  it("waits elsewhere until the other tab is gone", () => {
    const miner = testMiner();
    expect(miner.send({ kind: "elsewhere" })).toEqual([]);
    expect(minerStateOf(miner.session)).toBe("elsewhere");
    expect(miner.send({ kind: "start", slots: 1 })).toEqual([{ kind: "dial" }]);
  });

  it("gives up a hub that is silent, and dials again", () => {
    const miner = testMiner();
    miner.send({ kind: "start", slots: 1 });
    miner.send({ kind: "connected" });
    expect(miner.after(limits.helloTimeoutMs)).toEqual([{ kind: "hang-up" }]);
    expect(miner.after((miner.wakeAt() as number) - miner.now())).toEqual([{ kind: "dial" }]);
  });

  it("backs off from 200 ms to 30 s with jitter, and starts over after a link that held", () => {
    const miner = testMiner();
    miner.send({ kind: "start", slots: 1 });
    const delays: number[] = [];
    for (let i = 0; i < 12; i++) {
      miner.send({ kind: "lost" });
      delays.push((miner.wakeAt() as number) - miner.now());
      miner.after(delays.at(-1) as number);
    }
    for (const [i, delay] of delays.entries()) {
      const longest = Math.min(30_000, 200 * 2 ** i);
      expect(delay).toBeGreaterThanOrEqual(longest / 2);
      expect(delay).toBeLessThanOrEqual(longest);
    }
    expect(new Set(delays.slice(-4)).size).toBe(4);
    miner.join();
    miner.after(5_000);
    miner.send({ kind: "lost" });
    expect((miner.wakeAt() as number) - miner.now()).toBeLessThanOrEqual(200);
  });

  it("fails with the reason where the browser cannot mine", () => {
    const miner = testMiner();
    expect(miner.send({ kind: "unable", why: "no adapter" })).toEqual([]);
    expect(minerStateOf(miner.session)).toBe("failed");
    expect(miner.session.why).toBe("no adapter");
    expect(miner.send({ kind: "start", slots: 1 })).toEqual([{ kind: "dial" }]);
  });

  it("waits as long as a refusal asks", () => {
    const miner = testMiner();
    miner.send({ kind: "start", slots: 1 });
    miner.send({ kind: "connected" });
    miner.send({ kind: "refused", assignment: null, error: failure("rate-limited", "later", { retryAfter: 7 }) });
    expect((miner.wakeAt() as number) - miner.now()).toBeGreaterThanOrEqual(7_000);
  });

  it.each([
    ["suspended", "suspended"],
    ["protocol-mismatch", "failed"],
    ["replaced", "failed"],
  ] as const)("stops for good when refused as %s", (code, state) => {
    const miner = readyMiner();
    const effects = miner.send({ kind: "refused", assignment: null, error: failure(code, "because") });
    expect(effects.map((effect) => effect.kind)).toEqual(["hang-up", "release"]);
    expect(minerStateOf(miner.session)).toBe(state);
    expect(miner.session.why).toBe("because");
    expect(miner.wakeAt()).toBeNull();
  });

  it("starts a fresh session when the hub cannot follow its sequence", () => {
    const miner = readyMiner();
    const error = failure("out-of-sequence", "expected 1");
    expect(miner.send({ kind: "refused", assignment: null, error })).toEqual([{ kind: "hang-up" }]);
    expect(miner.session.link.at).toBe("down");
  });
});

describe("preparing", () => {
  it("prepares one model at a time and reports each", () => {
    const miner = testMiner();
    miner.send({ kind: "start", slots: 1 });
    miner.join();
    expect(miner.send({ kind: "prepare", model: "a@1" })).toEqual([{ kind: "prepare", model: "a@1" }]);
    expect(miner.send({ kind: "prepare", model: "b@1" })).toEqual([]);
    expect(minerStateOf(miner.session)).toBe("preparing");
    expect(miner.send({ kind: "prepared", model: "a@1", together: 1 })).toEqual([
      { kind: "prepare", model: "b@1" },
      { kind: "report-prepared", model: "a@1" },
      { kind: "status", status: { accepting: true, slots: 1, resident: ["a@1"] } },
    ]);
    expect(miner.send({ kind: "prepare-failed", model: "b@1", fault: "out-of-memory", message: "m" })).toEqual([
      { kind: "report-unprepared", model: "b@1", fault: "out-of-memory", message: "m" },
    ]);
  });

  it("keeps what was prepared while the link was down, and reports it at the welcome", () => {
    const miner = testMiner();
    miner.send({ kind: "start", slots: 1 });
    miner.join();
    miner.send({ kind: "prepare", model: "a@1" });
    miner.send({ kind: "lost" });
    expect(miner.send({ kind: "prepared", model: "a@1", together: 1 })).toEqual([]);
    expect(miner.join()).toContainEqual({ kind: "report-prepared", model: "a@1" });
  });

  it("begins again when asked again, and drops the stale answer", () => {
    const miner = testMiner();
    miner.send({ kind: "start", slots: 1 });
    miner.join();
    miner.send({ kind: "prepare", model: "a@1" });
    expect(miner.send({ kind: "prepare", model: "a@1" })).toEqual([
      { kind: "stop-preparing", model: "a@1" },
      { kind: "prepare", model: "a@1" },
    ]);
  });

  it("stops at pause and begins again at resume", () => {
    const miner = testMiner();
    miner.send({ kind: "start", slots: 1 });
    miner.join();
    miner.send({ kind: "prepare", model: "a@1" });
    expect(miner.send({ kind: "pause" })).toContainEqual({ kind: "stop-preparing", model: "a@1" });
    expect(miner.send({ kind: "resume" })).toContainEqual({ kind: "prepare", model: "a@1" });
  });
});

describe("working", () => {
  it("runs what is assigned and numbers the results", () => {
    const miner = readyMiner();
    expect(miner.assign(["a_1", "a_2"])).toEqual([{ kind: "run", run: 1, model: "digits@1", assignments: ["a_1"] }]);
    expect(minerStateOf(miner.session)).toBe("working");
    expect(miner.send({ kind: "ran", run: 1, done: ["a_1"], failed: [] })).toEqual([
      { kind: "run", run: 2, model: "digits@1", assignments: ["a_2"] },
      { kind: "send", results: [{ assignment: "a_1", seq: 1 }] },
    ]);
    const effects = miner.send({ kind: "ran", run: 2, done: ["a_2"], failed: [] });
    expect(effects).toEqual([{ kind: "send", results: [{ assignment: "a_2", seq: 2 }] }]);
  });

  it("runs together what may be stacked, of one model only", () => {
    const miner = readyMiner(3);
    miner.prepare("other@1", 3);
    miner.assign(["a_1"]);
    miner.assign(["a_2", "a_3", "a_4", "a_5"]);
    miner.assign(["b_1"], 60_000, "other@1");
    const second = miner.send({ kind: "ran", run: 1, done: ["a_1"], failed: [] });
    expect(ofKind(second, "run")[0]?.assignments).toEqual(["a_2", "a_3", "a_4"]);
    const third = miner.send({ kind: "ran", run: 2, done: ["a_2", "a_3", "a_4"], failed: [] });
    expect(ofKind(third, "run")[0]?.assignments).toEqual(["a_5"]);
  });

  it("fills every slot", () => {
    const miner = readyMiner(1, 2);
    expect(ofKind(miner.assign(["a_1", "a_2", "a_3"]), "run")).toHaveLength(2);
  });

  it("refuses work for a model it does not have", () => {
    const miner = readyMiner();
    const effects = miner.assign(["a_1"], 60_000, "other@1");
    expect(effects).toMatchObject([{ kind: "fail", assignments: ["a_1"], fault: "load-failed" }]);
  });

  it("reports each failed item with its own fault", () => {
    const miner = readyMiner(2);
    miner.assign(["a_1", "a_2"]);
    const failed = [{ assignment: "a_2", fault: "device-lost" as const, message: "gone" }];
    const effects = miner.send({ kind: "ran", run: 1, done: ["a_1"], failed });
    expect(effects).toEqual([
      { kind: "fail", assignments: ["a_2"], fault: "device-lost", message: "gone" },
      { kind: "send", results: [{ assignment: "a_1", seq: 1 }] },
    ]);
  });

  it("idles between runs so that computing takes its share of the time", () => {
    const miner = readyMiner();
    miner.send({ kind: "governed", run: true, why: null, duty: 0.25 });
    miner.assign(["a_1", "a_2"]);
    miner.after(100);
    expect(ofKind(miner.send({ kind: "ran", run: 1, done: ["a_1"], failed: [] }), "run")).toEqual([]);
    expect(ofKind(miner.after(299), "run")).toEqual([]);
    expect(ofKind(miner.after(1), "run")).toHaveLength(1);
  });

  it("signs 2 s after the first unsigned result, however many follow", () => {
    const miner = readyMiner();
    miner.assign(["a_1", "a_2"]);
    miner.send({ kind: "ran", run: 1, done: ["a_1"], failed: [] });
    miner.after(1_500);
    miner.send({ kind: "ran", run: 2, done: ["a_2"], failed: [] });
    expect(miner.after(500)).toEqual([{ kind: "sign", seq: 2 }]);
  });

  it("signs the chain after 2 s, and after 64 results at once", () => {
    const miner = readyMiner(limits.assignmentsPerMessage);
    miner.assign(["a_1"]);
    miner.send({ kind: "ran", run: 1, done: ["a_1"], failed: [] });
    expect(miner.after(limits.chainEveryMs - 1)).toEqual([]);
    expect(miner.after(1)).toEqual([{ kind: "sign", seq: 1 }]);
    const many = Array.from({ length: 64 }, (_, i) => `a_m${i}`);
    miner.assign(many);
    expect(miner.send({ kind: "ran", run: 2, done: many, failed: [] }).at(-1)).toEqual({ kind: "sign", seq: 65 });
  });
});

describe("letting go", () => {
  it("hands everything back at pause, ends a run that goes on, and works again after resume", () => {
    const miner = readyMiner();
    miner.assign(["a_1", "a_2"]);
    const effects = miner.send({ kind: "pause" });
    expect(ofKind(effects, "fail").flatMap((effect) => effect.assignments)).toEqual(["a_2", "a_1"]);
    expect(ofKind(effects, "fail").every((effect) => effect.fault === "paused")).toBe(true);
    expect(ofKind(effects, "status")[0]?.status).toMatchObject({ accepting: false, reason: "paused by the person" });
    expect(minerStateOf(miner.session)).toBe("paused");
    expect(miner.after(ABORT_GRACE_MS)).toEqual([{ kind: "abort", run: 1 }]);
    expect(miner.assign(["a_3"])).toMatchObject([{ kind: "fail", fault: "paused" }]);
    expect(ofKind(miner.send({ kind: "resume" }), "status")[0]?.status.accepting).toBe(true);
  });

  it("lets a short run end by itself, and drops its result", () => {
    const miner = readyMiner();
    miner.assign(["a_1"]);
    miner.send({ kind: "cancelled", assignments: ["a_1"] });
    expect(miner.send({ kind: "ran", run: 1, done: ["a_1"], failed: [] })).toEqual([
      { kind: "forget", assignments: ["a_1"] },
    ]);
    expect(miner.after(ABORT_GRACE_MS)).toEqual([]);
  });

  it("goes on with a run of which only some items were cancelled", () => {
    const miner = readyMiner(2);
    miner.assign(["a_1", "a_2"]);
    miner.send({ kind: "cancelled", assignments: ["a_1"] });
    expect(miner.after(ABORT_GRACE_MS)).toEqual([]);
    const effects = miner.send({ kind: "ran", run: 1, done: ["a_1", "a_2"], failed: [] });
    expect(ofKind(effects, "send")[0]?.results).toEqual([{ assignment: "a_2", seq: 1 }]);
  });

  it("drops work whose lease is over", () => {
    const miner = readyMiner();
    miner.assign(["a_1", "a_2"], 500);
    expect(miner.after(500)).toEqual([{ kind: "forget", assignments: ["a_2", "a_1"] }]);
    expect(miner.after(ABORT_GRACE_MS)).toEqual([{ kind: "abort", run: 1 }]);
  });

  it("holds back as the governor says, with its reason", () => {
    const miner = readyMiner();
    miner.send({ kind: "governed", run: false, why: "on battery", duty: 1 });
    expect(minerStateOf(miner.session)).toBe("paused");
    expect(statusOf(miner.session).reason).toBe("on battery");
  });

  it("drains: ends what runs, hands back what waits, signs, stops", () => {
    const miner = readyMiner();
    miner.assign(["a_1", "a_2"]);
    const effects = miner.send({ kind: "drain" });
    expect(ofKind(effects, "fail")).toMatchObject([{ assignments: ["a_2"], fault: "paused" }]);
    expect(minerStateOf(miner.session)).toBe("draining");
    expect(miner.send({ kind: "ran", run: 1, done: ["a_1"], failed: [] }).map((effect) => effect.kind)).toEqual([
      "send",
      "sign",
      "hang-up",
      "release",
    ]);
    expect(minerStateOf(miner.session)).toBe("stopped");
  });

  it("stops at once, and signs what it sent", () => {
    const miner = readyMiner();
    miner.assign(["a_1", "a_2"]);
    miner.send({ kind: "ran", run: 1, done: ["a_1"], failed: [] });
    const kinds = miner.send({ kind: "stop" }).map((effect) => effect.kind);
    expect(kinds).toEqual(["fail", "sign", "hang-up", "release"]);
  });
});

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
    fc.record({ kind: fc.constantFrom("governed", "prepared", "refuse"), n: number }),
  ) as fc.Arbitrary<{ kind: string; n?: number }>;

  /** The other side: holds tensors by assignment, obeys effects, and checks them. */
  function world(seed: number) {
    const miner = testMiner(seed);
    const { session } = miner;
    const held = new Set<string>();
    const runs = new Map<number, string[]>();
    let last = { seq: 0, signed: 0, answered: new Set<string>() };
    let assignments = 0;
    let unsignedSince: number | null = null;

    const obey = (effects: MinerEffect[]) => {
      for (const effect of effects) {
        switch (effect.kind) {
          case "run":
            expect(gatesOpen(session)).toBe(true);
            expect(effect.assignments.every((assignment) => held.has(assignment))).toBe(true);
            runs.set(effect.run, effect.assignments);
            expect(runs.size).toBeLessThanOrEqual(session.slots);
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
          const items = ids.map((assignment) => ({ assignment, leaseMs: 100 + n * 100 }));
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
          return send({ kind: "prepared", model: "digits@1", together: (n % 3) + 1 });
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
