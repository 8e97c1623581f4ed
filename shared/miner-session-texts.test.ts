import { describe, expect, it } from "vitest";
import { limits } from "./limits.ts";
import { INTERRUPT_GRACE_MS } from "./miner-jobs.ts";
import { statusOf } from "./miner-state.ts";
import { ofKind, readyMiner } from "./test-miner.ts";

const MODEL = "shakespeare@1";

/** Ready for `digits@1` on one slot, and for a text model that makes two texts at once. */
function textMiner(texts = 2) {
  const miner = readyMiner();
  miner.send({ kind: "prepare", model: MODEL });
  miner.send({ kind: "prepared", model: MODEL, together: 64, texts });
  const assign = (assignments: string[], mode: "generate" | "score" = "generate", leaseMs = 1_000) =>
    miner.send({
      kind: "assigned",
      model: MODEL,
      items: assignments.map((assignment) => ({ assignment, leaseMs, mode })),
    });
  return { miner, assign };
}

describe("texts", () => {
  it("run side by side in one worker, each by itself, and take no slot from tensors", () => {
    const { miner, assign } = textMiner();
    expect(ofKind(assign(["a_1", "a_2", "a_3"]), "run")).toEqual([
      { kind: "run", run: 1, mode: "generate", model: MODEL, assignments: ["a_1"] },
      { kind: "run", run: 2, mode: "generate", model: MODEL, assignments: ["a_2"] },
    ]);
    expect(ofKind(miner.assign(["d_1", "d_2"]), "run").map(({ assignments }) => assignments)).toEqual([["d_1"]]);
    const next = ofKind(miner.send({ kind: "ran", run: 1, done: ["a_1"], failed: [] }), "run");
    expect(next).toMatchObject([{ mode: "generate", assignments: ["a_3"] }]);
    expect(ofKind(assign(["c_1"], "score"), "run")).toEqual([]);
    const then = ofKind(miner.send({ kind: "ran", run: 2, done: ["a_2"], failed: [] }), "run");
    expect(then).toMatchObject([{ mode: "score", assignments: ["c_1"] }]);
  });

  it("are announced as slots, so that the hub sends as many", () => {
    expect(statusOf(textMiner(3).miner.session).slots).toBe(3);
    expect(statusOf(textMiner(64).miner.session).slots).toBe(limits.slotsMax);
    expect(statusOf(readyMiner(1, 2).session).slots).toBe(2);
  });

  it("keep their lease by progress alone", () => {
    const { miner, assign } = textMiner();
    assign(["a_1", "a_2"]);
    miner.after(900);
    expect(miner.send({ kind: "generated", runs: [1] })).toEqual([
      { kind: "send-tokens", assignments: ["a_1"], again: false },
    ]);
    // a_2 was silent: it is interrupted, and its slot is free when it ends.
    expect(miner.after(100)).toEqual([
      { kind: "interrupt", run: 2 },
      { kind: "forget", assignments: ["a_2"] },
    ]);
    miner.after(799);
    expect(miner.send({ kind: "generated", runs: [1] })).toHaveLength(1);
    expect(miner.session.runs.get(1)?.jobs[0]?.leaseEndsAt).toBe(miner.now() + 1_000);
  });

  it("send what is at hand of several in one message", () => {
    const { miner, assign } = textMiner();
    assign(["a_1", "a_2"]);
    expect(miner.send({ kind: "generated", runs: [1, 2, 7] })).toEqual([
      { kind: "send-tokens", assignments: ["a_1", "a_2"], again: false },
    ]);
  });

  it("are interrupted when cancelled, and no token of them leaves any more", () => {
    const { miner, assign } = textMiner();
    assign(["a_1"]);
    expect(miner.send({ kind: "cancelled", assignments: ["a_1"] })).toEqual([
      { kind: "interrupt", run: 1 },
      { kind: "forget", assignments: ["a_1"] },
    ]);
    expect(miner.send({ kind: "generated", runs: [1] })).toEqual([]);
    expect(miner.send({ kind: "ran", run: 1, done: ["a_1"], failed: [] })).toEqual([
      { kind: "forget", assignments: ["a_1"] },
    ]);
    expect(miner.after(INTERRUPT_GRACE_MS)).toEqual([]);
  });

  it("cost the worker its life only when it does not listen", () => {
    const { miner, assign } = textMiner();
    assign(["a_1"]);
    miner.send({ kind: "cancelled", assignments: ["a_1"] });
    expect(miner.after(INTERRUPT_GRACE_MS - 1)).toEqual([]);
    expect(miner.after(1)).toEqual([{ kind: "abort", run: 1 }]);
  });

  it("go back to the hub at pause, in the middle", () => {
    const { miner, assign } = textMiner();
    assign(["a_1", "a_2"]);
    miner.send({ kind: "generated", runs: [1] });
    const effects = miner.send({ kind: "pause" });
    expect(ofKind(effects, "fail")).toMatchObject([
      { assignments: ["a_1"], fault: "paused" },
      { assignments: ["a_2"], fault: "paused" },
    ]);
    expect(ofKind(effects, "interrupt").map(({ run }) => run)).toEqual([1, 2]);
  });

  it("go on through a lost link, and are told again from their first token", () => {
    const { miner, assign } = textMiner();
    assign(["a_1", "a_2"], "generate", 60_000);
    assign(["c_1"], "score");
    miner.send({ kind: "generated", runs: [1] });
    miner.send({ kind: "lost" });
    expect(miner.send({ kind: "generated", runs: [1] })).toEqual([]);
    const effects = miner.join(["a_1", "c_1"]);
    expect(ofKind(effects, "send-tokens")).toEqual([{ kind: "send-tokens", assignments: ["a_1"], again: true }]);
    expect(ofKind(effects, "interrupt")).toEqual([{ kind: "interrupt", run: 2 }]);
    expect(miner.send({ kind: "generated", runs: [1] })).toEqual([
      { kind: "send-tokens", assignments: ["a_1"], again: false },
    ]);
  });
});
