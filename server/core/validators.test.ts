import { expect, it } from "vitest";
import type { SessionId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { assert } from "../../shared/result.ts";
import type { Tensor } from "../../shared/tensor.ts";
import { groundOn } from "./checkers.ts";
import type { HubEffect } from "./events.ts";
import type { MinerSession } from "./roster.ts";
import { model, scalarOf, World, y } from "./test-world.ts";
import { groundKey } from "./trust.ts";

const sessionOf = (world: World, id: SessionId): MinerSession => {
  const session = world.state.roster.sessions.get(id);
  assert(session, `${id} is connected`);
  return session;
};

/** Makes a session's owner one whose word counts. */
function prove(world: World, id: SessionId, passes = 20): void {
  const session = sessionOf(world, id);
  session.standing.passed[groundKey(groundOn(session, model.key))] = passes;
}

const assignsOf = (world: World) =>
  world.pending.filter((effect): effect is Extract<HubEffect, { kind: "assign" }> => effect.kind === "assign");

it("gets checks and no answers to compute, and its accepted checks go to settlement", () => {
  const world = new World(11);
  world.join("miner", "honest", "203.0.1.0/24");
  const validator = world.join("phone", "honest", "203.0.2.0/24", "validator");
  world.drain();
  for (let i = 0; i < 200; i++) {
    const task = world.submit(`${i}`, i % 2 === 0 ? "verified" : "fast", i + 1);
    world.drain();
    world.rightAnswer(task, i + 1);
  }
  const executions = world.done.flatMap((fact) => fact.executions);
  const own = executions.filter(({ by }) => by === "own_phone");
  expect(own.length).toBeGreaterThan(60);
  expect(own.every(({ role, accepted, signed }) => role === "check" && accepted && signed)).toBe(true);
  expect(executions.some(({ by }) => by === "reference")).toBe(true);
  expect(sessionOf(world, validator).accepted).toBe(
    own.length + world.poolWork.flatMap((fact) => fact.executions).filter(({ by }) => by === "own_phone").length,
  );
});

it("alone serves nobody: the reference node answers, and without one nobody does", () => {
  const world = new World(2);
  const validator = world.join("phone", "honest", null, "validator");
  world.drain();
  const task = world.submit("one");
  expect(assignsOf(world)).toEqual([]);
  world.drain();
  world.rightAnswer(task);
  expect(world.done[0]?.executions.map(({ by }) => by)).toEqual(["reference"]);
  world.state.options.referenceServes = false;
  const refused = world.submit("two");
  expect(world.replies.get(refused)).toMatchObject({ ok: false, error: { code: "no-capable-miner" } });
  expect(sessionOf(world, validator).assignments.size).toBe(0);
});

it("takes most checks off the miners, however fast they are, but not all", () => {
  const world = new World(5);
  for (const name of ["a", "b", "c"]) world.join(name, "honest", `203.0.${name.charCodeAt(0)}.0/24`);
  const phone = world.join("phone", "honest", "198.51.100.0/24", "validator");
  world.drain();
  for (let i = 0; i < 400; i++) {
    for (const on of sessionOf(world, phone).models.values()) on.serviceMs = 400;
    world.submit(`${i}`, "verified", i + 1);
    world.drain();
  }
  const checks = world.done.flatMap((fact) =>
    fact.executions.filter(({ role, by }) => role === "check" && by !== "reference"),
  );
  const share = checks.filter(({ by }) => by === "own_phone").length / checks.length;
  expect(share).toBeGreaterThan(0.65);
  expect(share).toBeLessThan(0.85);
});

it("as a newcomer has no last word: the reference node decides a slight disagreement, and it is no third run", () => {
  const world = new World(1);
  Object.assign(world.state, { checks: { ...world.state.checks, referenceShare: 0 } });
  const miner = world.join("miner", "honest", "203.0.1.0/24");
  const phone = world.join("phone", "silent", "203.0.2.0/24", "validator");
  const third = world.join("third", "honest", "203.0.3.0/24", "validator");
  world.drain();
  prove(world, miner, 200);
  const slightly = (outputs: Tensor[]) => [y(scalarOf(outputs[0] as Tensor), 2 * (1 + 3e-4))];
  /** The miner answers, the phone's check differs a little; what the hub asks for next. */
  const disagree = (name: string): HubEffect[] => {
    sessionOf(world, third).accepting = false;
    world.state.roster.refresh(sessionOf(world, third));
    world.submit(name, "verified", 4);
    const [primary] = world.pending.splice(0);
    world.react(primary as HubEffect);
    const [check] = world.pending.splice(0);
    assert(check?.kind === "assign" && check.session === phone, "the phone checks");
    sessionOf(world, third).accepting = true;
    world.state.roster.refresh(sessionOf(world, third));
    const item = check.items[0] as (typeof check.items)[number];
    world.answer(phone, item.assignment, slightly(item.inputs));
    return [...world.pending];
  };
  prove(world, third);
  expect(disagree("first").map(({ kind }) => kind)).toEqual(["run-reference"]);
  world.drain();
  prove(world, phone);
  prove(world, third, 19);
  expect(disagree("second").map(({ kind }) => kind)).toEqual(["run-reference"]);
  world.drain();
  prove(world, phone);
  prove(world, third);
  expect(disagree("third")).toMatchObject([{ kind: "assign", session: third }]);
});

it("is sent canaries among its checks, and pays for lies with strikes like any checker", () => {
  const world = new World(3);
  world.join("miner", "honest", "203.0.1.0/24");
  world.join("phone", "honest", "203.0.2.0/24", "validator");
  world.drain();
  for (let i = 0; i < 300; i++) {
    world.submit(`${i}`, "verified", i + 1);
    world.drain();
  }
  const canaries = world.poolWork.filter(({ why }) => why === "canary").flatMap(({ executions }) => executions);
  expect(canaries.length).toBeGreaterThan(5);
  expect(canaries.every(({ by, role, accepted }) => by === "own_phone" && role === "check" && accepted)).toBe(true);

  const liar = world.join("liar", "tampers", "203.0.3.0/24", "validator");
  world.drain();
  const { standing } = sessionOf(world, liar);
  for (let i = 0; i < 1_000 && !standing.suspended; i++) {
    const task = world.submit(`lie${i}`, "verified", i + 1);
    world.drain();
    world.rightAnswer(task, i + 1);
  }
  expect(standing.suspended).toBe(true);
});

it("loads only what fits a phone, and is refused a model that takes it too long", () => {
  const world = new World(1);
  world.state.models.clear();
  world.apply({
    kind: "model.published",
    at: world.now,
    model: { ...model, memoryBytes: limits.validatorModelBytes + 1 },
  });
  const phone = world.join("phone", "honest", null, "validator");
  expect(world.pending).toEqual([]);
  world.apply({
    kind: "model.published",
    at: world.now,
    model: { ...model, referenceMs: limits.validatorCheckMs + 1 },
  });
  world.tick(300);
  expect(world.pending).toEqual([]);
  world.apply({ kind: "model.published", at: world.now, model: { ...model, memoryBytes: limits.validatorModelBytes } });
  world.tick(300);
  expect(world.pending).toMatchObject([{ kind: "prepare", session: phone, model: model.key }]);
  world.pending = [];
  const outputs = model.golden.map((vector) => vector.outputs);
  const said = { at: world.now, session: phone, model: model.key, outputs, digest: "", loadMs: 1 };
  world.apply({ kind: "miner.prepared", ...said, runMs: limits.validatorCheckMs + 1 });
  expect(world.refused).toMatchObject([{ event: "prepared", error: { code: "value-out-of-range", field: "runMs" } }]);
  expect(world.state.roster.able(model.key, "validator")).toEqual([]);
});

it("that let a check wait gets none until it has prepared the model again", () => {
  const world = new World(4);
  world.join("miner", "honest", "203.0.1.0/24");
  const phone = world.join("phone", "honest", "203.0.2.0/24", "validator");
  world.drain();
  for (const on of sessionOf(world, phone).models.values()) on.serviceMs = limits.validatorCheckMs + 1;
  world.submit("one");
  world.drain();
  expect(world.done[0]?.executions.map(({ by }) => by)).toEqual(["own_miner", "reference"]);
  world.tick(300);
  expect(world.pending).toMatchObject([{ kind: "prepare", session: phone }]);
  world.drain();
  expect(world.state.roster.able(model.key, "validator")).toHaveLength(1);
});

it("gives back what it held as a miner when it comes again as a validator", () => {
  const world = new World(6);
  const before = world.join("person", "silent");
  world.drain();
  const task = world.submit("one");
  world.pending = [];
  expect(sessionOf(world, before).assignments.size).toBe(1);
  world.now += 10;
  const after = world.join("person", "honest", null, "validator");
  expect(world.kept.at(-1)).toMatchObject({ session: after, assignments: [] });
  expect(sessionOf(world, after).models.get(model.key)?.state).not.toBe("admitted");
  world.drain();
  world.rightAnswer(task);
  expect(world.done[0]?.executions.map(({ by }) => by)).toEqual(["reference"]);
});
