import { describe, expect, it } from "vitest";
import { failure } from "./errors.ts";
import { limits } from "./limits.ts";
import { ABORT_GRACE_MS } from "./miner-jobs.ts";
import { minerStateOf, statusOf } from "./miner-state.ts";

import { ofKind, readyMiner, testMiner } from "./test-miner.ts";

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
    expect(miner.assign(["a_1", "a_2"])).toEqual([
      { kind: "run", run: 1, mode: "run", model: "digits@1", assignments: ["a_1"] },
    ]);
    expect(minerStateOf(miner.session)).toBe("working");
    expect(miner.send({ kind: "ran", run: 1, done: ["a_1"], failed: [] })).toEqual([
      { kind: "run", run: 2, mode: "run", model: "digits@1", assignments: ["a_2"] },
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
