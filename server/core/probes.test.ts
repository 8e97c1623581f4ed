import { expect, it } from "vitest";
import type { MinerId, ModelKey, OwnerId, SessionId } from "../../shared/ids.ts";
import type { Tensor } from "../../shared/tensor.ts";
import type { HubEvent } from "./events.ts";
import { step } from "./hub.ts";
import { PROBES_LAST_MS, type ProbeSet } from "./probes.ts";
import { model, scalarOf, World, y } from "./test-world.ts";
import { groundKey, NEWCOMER_PASSES } from "./trust.ts";

/** Renewed probes: they refuse whoever has only recorded answers, and tell whose fixed answers are not its device's. */

const inputOf = (value: number): Tensor => ({ ...y(value, 1), name: "x" });
const setOf = (madeAt: number, ...values: number[]): ProbeSet => ({
  model: model.key,
  madeAt,
  vectors: values.map((value) => ({ inputs: [inputOf(value)], outputs: [y(value)] })),
});
const renewed = (world: World, set: ProbeSet): HubEvent => ({ kind: "probes.renewed", at: world.now, set });

/** Takes the hub's question and gives these answers. */
function prepare(
  world: World,
  name: string,
  answer: (inputs: Tensor[]) => Tensor[],
  bits = { digest: "class-a", renewed: "r1" },
) {
  const before = world.state.roster.byMiner.get(`m_${name}` as MinerId);
  if (before) world.apply({ kind: "miner.lost", at: world.now, session: before });
  if (before) world.tick(4_000); // gone for good
  world.pending = [];
  const session = world.join(name);
  const asked = world.pending.find((effect) => effect.kind === "prepare");
  if (asked?.kind !== "prepare") throw new Error("it is asked to prepare");
  const vectors = [...model.golden.map(({ inputs }) => inputs), ...(asked.probes ?? [])];
  world.apply({
    kind: "miner.prepared",
    at: world.now,
    session,
    model: model.key,
    outputs: vectors.map(answer),
    loadMs: 1,
    runMs: 1,
    digest: bits.digest,
    ...(asked.probes && { renewed: bits.renewed }),
  });
  return onOf(world, session);
}

const onOf = (world: World, session: SessionId) => world.state.roster.sessions.get(session)?.models.get(model.key);
const honest = (inputs: Tensor[]): Tensor[] => [y(scalarOf(inputs[0] as Tensor))];

/** Answers what it has heard before, by input; for anything else the first thing it has. */
function recorded(world: World): (inputs: Tensor[]) => Tensor[] {
  const heard = new Map(
    [...model.golden, ...(world.state.probes.get(model.key)?.vectors ?? [])].map(({ inputs, outputs }) => [
      scalarOf(inputs[0] as Tensor),
      outputs,
    ]),
  );
  return (inputs) => heard.get(scalarOf(inputs[0] as Tensor)) ?? (model.golden[0]?.outputs as Tensor[]);
}

it("admits recorded answers only until the probes are renewed", () => {
  const world = new World();
  expect(prepare(world, "early", recorded(world))).toMatchObject({ state: "admitted", probes: null });
  world.apply(renewed(world, setOf(world.now, 5, 6)));
  const thief = recorded(world);
  expect(prepare(world, "thief", thief)).toMatchObject({ state: "admitted" });
  world.now += PROBES_LAST_MS;
  world.apply(renewed(world, setOf(world.now, 7, 8)));
  const refused = prepare(world, "thief2", thief);
  expect(refused?.state).toBe("refused");
  expect(refused?.reason).toMatch(/renewed known answer 1 does not match/);
  expect(prepare(world, "ann", honest)).toMatchObject({ state: "admitted", deviceClass: "class-a" });
});

it("refuses answers that are missing", () => {
  const world = new World();
  world.apply(renewed(world, setOf(world.now, 5)));
  world.pending = [];
  const session = world.join("ann");
  const outputs = model.golden.map((vector) => vector.outputs);
  const event = {
    kind: "miner.prepared",
    session,
    model: model.key,
    outputs,
    digest: "a",
    loadMs: 1,
    runMs: 1,
  } as const;
  world.apply({ ...event, at: world.now });
  expect(onOf(world, session)?.reason).toMatch(/renewed known answer 1 is missing/);
});

it("judges answers by the set that was asked, whatever was renewed meanwhile", () => {
  const world = new World();
  world.apply(renewed(world, setOf(1, 5)));
  world.pending = [];
  const session = world.join("slow");
  world.apply(renewed(world, setOf(2, 6)));
  const outputs = [...model.golden.map((vector) => vector.outputs), [y(5)]];
  const event = {
    kind: "miner.prepared",
    session,
    model: model.key,
    outputs,
    digest: "a",
    loadMs: 1,
    runMs: 1,
  } as const;
  world.apply({ ...event, at: world.now, renewed: "r" });
  expect(onOf(world, session)?.state).toBe("admitted");
});

it("keeps a class's name and grounds over a renewal, and takes it from whoever answers in other bits than its proven", () => {
  const world = new World();
  world.apply(renewed(world, setOf(1, 5)));
  expect(prepare(world, "ann", honest)?.deviceClass).toBe("class-a");
  const ground = { model: model.key as ModelKey, runtime: "wasm" as const, deviceClass: "class-a" };
  const standing = world.state.roster.standings.get("own_ann" as OwnerId);
  if (!standing) throw new Error("ann is known");
  // While nobody of the class is proven, nothing says which bits are its own.
  expect(prepare(world, "bob", honest, { digest: "class-a", renewed: "r2" })?.deviceClass).toBe("class-a");
  standing.passed[groundKey(ground)] = NEWCOMER_PASSES;
  world.apply(renewed(world, setOf(2, 6)));
  world.now += 1;
  expect(prepare(world, "ann", honest, { digest: "class-a", renewed: "r3" })?.deviceClass).toBe("class-a");
  expect(prepare(world, "carl", honest, { digest: "class-a", renewed: "r3" })?.deviceClass).toBe("class-a");
  expect(prepare(world, "dora", honest, { digest: "class-a", renewed: "other-bits" })?.deviceClass).toBe(
    "class-aother-bi",
  );
  // A quarantine of the class holds for those too.
  world.apply({ kind: "class.ruled", at: world.now, ground, quarantined: true });
  expect(prepare(world, "emil", honest, { digest: "class-a", renewed: "other-bits" })).toMatchObject({
    quarantined: true,
  });
});

it("owes a canary to those who were admitted before a renewal", () => {
  const world = new World();
  world.apply(renewed(world, setOf(1, 5)));
  const on = prepare(world, "ann", honest);
  expect(on?.canariesOwed).toEqual([]);
  const [effect] = step(world.state, [renewed(world, setOf(2, 6))], world.rng).effects;
  expect(on?.canariesOwed).toHaveLength(1);
  expect(effect?.kind, "its answer is ordered").toBe("run-reference");
});

it("gives no canary to who failed the known answers, only to who may still show something", () => {
  const world = new World();
  world.apply(renewed(world, setOf(world.now, 5, 6)));
  const thief = recorded(world);
  world.now += PROBES_LAST_MS;
  world.apply(renewed(world, setOf(world.now, 7, 8)));
  /** What the hub asks the reference node for on its behalf. */
  const orderedFor = (name: string, answer: (inputs: Tensor[]) => Tensor[]): string[] => {
    const on = prepare(world, name, answer);
    const session = world.state.roster.byMiner.get(`m_${name}` as MinerId);
    if (!on || !session) throw new Error(`${name} is there`);
    on.canariesOwed = [{ subject: `own_${name}` as OwnerId, price: 1_000n }];
    world.state.canarySessions.add(session);
    return step(world.state, [{ kind: "tick", at: world.now }], world.rng).effects.map(({ kind }) => kind);
  };
  expect(orderedFor("thief", thief)).not.toContain("run-reference");
  expect(world.state.canarySessions.size).toBe(0);
  expect(orderedFor("ann", honest)).toContain("run-reference");
});
