import { describe, expect, it } from "vitest";
import type { AssignmentId, SessionId, TaskId } from "../../shared/ids.ts";
import { nextInt, seededRng } from "../../shared/random.ts";
import { type Tensor, tensorOf } from "../../shared/tensor.ts";
import type { HubEffect } from "./events.ts";
import { type Behaviour, model, scalarOf, World, y } from "./test-world.ts";
import { trustOf } from "./trust.ts";

describe("hub.step", () => {
  it("answers from the reference node when no miner is there", () => {
    const world = new World();
    const task = world.submit("a");
    world.drain();
    world.rightAnswer(task);
    expect(world.done[0]).toMatchObject({
      task,
      basis: "reference",
      executions: [{ by: "reference", accepted: true }],
    });
  });

  it("checks a miner's result by another owner or by the reference node, and settles once signed", () => {
    const world = new World(7);
    world.join("a");
    world.join("b");
    world.drain();
    const tasks = Array.from({ length: 40 }, (_, i) => world.submit(`${i}`));
    world.drain();
    for (const task of tasks) world.rightAnswer(task);
    expect(world.done).toHaveLength(40);
    const bases = world.done.map((fact) => fact.basis);
    expect(bases).toContain("checked");
    expect(bases).toContain("reference");
    for (const fact of world.done) {
      expect(fact.executions).toHaveLength(2);
      expect(new Set(fact.executions.map((execution) => execution.by)).size).toBe(2);
      expect(fact.executions.every((execution) => execution.accepted && execution.signed)).toBe(true);
    }
  });

  it("takes batch work when nobody waits who pays the whole price", () => {
    const world = new World();
    world.join("a");
    world.drain();
    const batch = Array.from({ length: 40 }, (_, i) => world.submit(`b${i}`, "fast", 3, { preemptible: true }));
    const paid = Array.from({ length: 5 }, (_, i) => world.submit(`p${i}`, "fast"));
    const queue = world.state.queue.of(model.key);
    expect(paid.map((task) => queue.position(task))).toEqual([0, 1, 2, 3, 4]);
    const waiting = batch.map((task) => queue.position(task)).filter((position) => position !== null);
    expect(waiting).toEqual(waiting.map((_, at) => paid.length + at));
    expect(waiting.length).toBeGreaterThan(5);
    world.drain();
    for (const task of [...batch, ...paid]) world.rightAnswer(task);
  });

  it("says with each execution how its owner stood: trust, passed checks, what it had at risk", () => {
    const world = new World(7);
    world.join("a");
    world.apply({ kind: "owner.funds", at: world.now, owner: "own_a" as never, atRisk: 123n });
    world.drain();
    for (let i = 0; i < 3; i++) {
      world.submit(`${i}`);
      world.drain();
    }
    const [first, , third] = world.done.map(({ executions }) => executions);
    expect(first?.[0]?.standing).toMatchObject({ passed: 1, atRisk: 123n });
    expect(third?.[0]?.standing).toMatchObject({ passed: 3, atRisk: 123n });
    expect(third?.[0]?.standing?.trust).toBeGreaterThan(first?.[0]?.standing?.trust ?? 1);
    expect(first?.find(({ by }) => by === "reference")).not.toHaveProperty("standing");
  });

  it("does not settle before the signature, and pays nothing that stays unsigned", () => {
    const world = new World();
    const session = world.join("a");
    world.drain();
    const task = world.submit("one");
    for (let effect = world.pending.shift(); effect; effect = world.pending.shift()) world.react(effect);
    world.rightAnswer(task);
    expect(world.done).toHaveLength(0);
    world.apply({ kind: "miner.lost", at: world.now, session });
    world.tick(31_000);
    expect(world.done[0]?.executions[0]).toMatchObject({ by: "own_a", accepted: true, signed: false });
  });

  it("never returns a tampered result; the tamperer's trust falls until it is suspended", () => {
    const world = new World(3);
    const cheat = world.join("cheat", "tampers");
    const honest = world.join("honest");
    world.drain();
    const standing = (session: SessionId) =>
      world.state.roster.sessions.get(session)?.standing as never as Parameters<typeof trustOf>[0];
    for (let i = 0; i < 60; i++) {
      const task = world.submit(`${i}`, i % 5 === 0 ? "quorum-3" : "verified", i + 1);
      world.drain();
      world.rightAnswer(task, i + 1);
    }
    expect(trustOf(standing(cheat))).toBeLessThan(0.3);
    expect(standing(cheat).suspended).toBe(true);
    expect(trustOf(standing(honest))).toBeGreaterThan(0.9);
    for (const fact of world.done) {
      for (const execution of fact.executions) if (execution.by === "own_cheat") expect(execution.accepted).toBe(false);
    }
    expect(world.work.every((line) => line.owner === "own_cheat" && line.outcome === "refuted")).toBe(true);
  });

  it("delivers fast answers at once; a refuted one ends as failed with its hold voided", () => {
    const world = new World(2);
    world.join("cheat", "tampers");
    world.drain();
    const task = world.submit("x", "fast");
    world.react(world.pending.shift() as HubEffect);
    expect(world.replies.get(task)).toMatchObject({ ok: true, basis: "pending" });
    world.drain();
    expect(world.voided).toEqual([task]);
    expect(world.done).toHaveLength(0);
  });

  it("reassigns work of a silent miner after its lease, and of a lost one after its grace", () => {
    const world = new World(5);
    world.join("silent", "silent");
    world.drain();
    const first = world.submit("first");
    world.drain();
    const quick = world.join("quick");
    world.drain();
    expect(world.replies.has(first)).toBe(false);
    world.tick(11_000);
    world.drain();
    world.rightAnswer(first);
    world.behaviours.set(quick, "silent");
    const second = world.submit("second");
    const held = [...world.state.assignments.values()].find((assignment) => assignment.task === second);
    world.pending = [];
    world.apply({ kind: "miner.lost", at: world.now, session: held?.session as SessionId });
    world.tick(3_100);
    world.behaviours.set(quick, "honest");
    for (const [session] of world.behaviours) world.behaviours.set(session, "honest");
    world.drain();
    world.rightAnswer(second);
  });

  it("keeps the work of a miner that comes back within its grace", () => {
    const world = new World();
    const before = world.join("a");
    world.drain();
    const task = world.submit("one");
    const assign = world.pending.find((effect) => effect.kind === "assign") as Extract<HubEffect, { kind: "assign" }>;
    world.pending = [];
    world.apply({ kind: "miner.lost", at: world.now, session: before });
    world.now += 500;
    const after = world.join("a");
    const kept = world.kept.at(-1);
    const assignment = assign.items[0]?.assignment as AssignmentId;
    expect(kept).toMatchObject({ session: after, assignments: [assignment] });
    world.answer(after, assignment, [y(3)]);
    world.drain();
    world.rightAnswer(task);
  });

  it("hedges a straggler that would miss its deadline", () => {
    const world = new World(9);
    const slow = world.join("slow", "silent");
    world.drain();
    world.state.hedgeAllowance = 1;
    const task = world.submit("one");
    world.drain();
    const assignment = [...world.state.assignments.values()][0];
    if (assignment) assignment.leaseEndsAt = Number.POSITIVE_INFINITY;
    world.join("quick");
    world.drain();
    world.tick(10_500);
    world.drain();
    world.rightAnswer(task);
    expect(world.done[0]?.executions[0]).toMatchObject({ by: "own_quick", role: "hedge" });
    expect(world.state.roster.sessions.get(slow)?.assignments.size).toBe(0);
  });

  it("fails a task at its deadline with its hold voided, and cancels at the caller's word", () => {
    const world = new World();
    world.join("silent", "silent");
    world.drain();
    const late = world.submit("late");
    const gone = world.submit("gone");
    world.drain();
    world.apply({ kind: "task.cancelled", at: world.now, task: gone });
    expect(world.replies.get(gone)).toMatchObject({ ok: false, error: { code: "cancelled" } });
    world.state.models.set(model.key, { ...model, referenceMs: null });
    world.tick(20_100);
    expect(world.replies.get(late)).toMatchObject({ ok: false, error: { code: "deadline-missed" } });
    expect(new Set(world.voided)).toEqual(new Set([late, gone]));
    expect(world.state.assignments.size).toBe(0);
  });

  it("gives a model only to miners whose known answers match", () => {
    const world = new World();
    const session = world.join("broken");
    const prepare = world.pending.shift() as HubEffect;
    world.pending = [];
    expect(prepare.kind).toBe("prepare");
    world.apply({
      kind: "miner.prepared",
      at: world.now,
      session,
      model: model.key,
      outputs: [[y(2, 2.1)]],
      digest: "",
      loadMs: 1,
      runMs: 1,
    });
    expect(world.state.roster.able(model.key)).toHaveLength(0);
    expect(world.refused[0]).toMatchObject({ event: "prepared", error: { code: "wrong-outputs" } });
  });

  it("refuses wrong, repeated, foreign and unknown results without changing anything", () => {
    const world = new World(4);
    const a = world.join("a", "silent");
    world.drain();
    world.submit("one");
    const assignment = [...world.state.assignments.keys()][0] as AssignmentId;
    const b = world.join("b", "silent");
    world.drain();
    const before = world.state.assignments.size;
    world.answer(b, assignment, [y(3)]);
    world.answer(a, "a_nobody" as AssignmentId, [y(3)]);
    world.answer(a, assignment, [tensorOf("y", "float32", [2], Float32Array.of(6, 6))]);
    world.answer(a, assignment, [tensorOf("z", "float32", [1], Float32Array.of(6))]);
    expect(world.state.assignments.size).toBe(before);
    world.answer(a, assignment, [y(3)]);
    world.answer(a, assignment, [y(3)]);
    expect(world.refused.map((refusal) => refusal.error.code)).toEqual([
      "not-your-assignment",
      "unknown-assignment",
      "wrong-outputs",
      "wrong-outputs",
      "duplicate-result",
    ]);
  });

  it("batches what waits together and keeps two messages in flight per slot", () => {
    const world = new World(6);
    const only = world.join("only");
    world.drain();
    for (let i = 0; i < 30; i++) world.submit(`${i}`);
    const assigns = world.pending.filter((effect) => effect.kind === "assign");
    expect(assigns.length).toBe(2);
    world.react(world.pending.shift() as HubEffect);
    const next = world.pending.filter((effect) => effect.kind === "assign").at(-1);
    expect(next?.items.length).toBe(8);
    expect(world.state.roster.sessions.get(only)?.messages.size).toBeLessThanOrEqual(2);
    world.drain();
    expect(world.done).toHaveLength(30);
  });

  it("holds its invariants through 200 random lives", () => {
    for (let seed = 1; seed <= 200; seed++) randomLife(seed);
  });
});

/** Random arrivals, losses, returns, silence and tampering; at the end everyone is answered, rightly, once. */
function randomLife(seed: number): void {
  const world = new World(seed);
  const rng = seededRng(seed * 7919);
  const sessions: SessionId[] = [];
  const tasks: { id: TaskId; level: string; value: number }[] = [];
  for (let i = 0; i < 150; i++) {
    const dice = rng.next();
    if (dice < 0.08) {
      const behaviour = (["honest", "honest", "honest", "tampers", "silent"] as const)[nextInt(rng, 5)] as Behaviour;
      sessions.push(
        world.join(`n${nextInt(rng, 8)}`, behaviour, rng.next() < 0.5 ? null : `203.0.${nextInt(rng, 9)}.0/24`),
      );
    } else if (dice < 0.13 && sessions.length > 0) {
      world.apply({ kind: "miner.lost", at: world.now, session: sessions[nextInt(rng, sessions.length)] as SessionId });
    } else if (dice < 0.6) {
      const level = (["fast", "verified", "quorum-3"] as const)[nextInt(rng, 3)] as "fast" | "verified" | "quorum-3";
      const value = 1 + nextInt(rng, 9);
      tasks.push({ id: world.submit(`${seed}_${i}`, level, value), level, value });
    } else if (dice < 0.65) world.tick(400);
    else {
      for (let n = 0; n < 4 && world.pending.length > 0; n++) {
        const [effect] = world.pending.splice(nextInt(rng, world.pending.length), 1);
        world.react(effect as HubEffect);
      }
    }
  }
  for (let round = 0; round < 24; round++) {
    world.drain();
    world.tick(10_000);
  }
  const context = `seed ${seed}`;
  expect(world.state.tasks.size, context).toBe(0);
  expect(world.state.assignments.size, context).toBe(0);
  expect(world.state.queue.size, context).toBe(0);
  expect(world.state.referenceInFlight, context).toBe(0);
  const settled = new Set(world.done.map((fact) => fact.task));
  expect(settled.size, context).toBe(world.done.length);
  for (const { id, level, value } of tasks) {
    expect(world.replies.has(id), `${context}: ${id} is answered`).toBe(true);
    expect(settled.has(id), `${context}: ${id} is settled or voided`).toBe(!world.voided.includes(id));
    const reply = world.replies.get(id);
    if (reply?.ok && level !== "fast") expect(scalarOf(reply.outputs[0] as Tensor), context).toBe(value * 2);
  }
  for (const fact of world.done) {
    expect(
      fact.executions.some((execution) => execution.accepted),
      context,
    ).toBe(true);
    const owners = fact.executions.map((execution) => execution.by);
    expect(new Set(owners).size, `${context}: no owner twice`).toBe(owners.length);
  }
}
