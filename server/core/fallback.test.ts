import { expect, it } from "vitest";
import type { MinerId, OwnerId, SessionId } from "../../shared/ids.ts";
import type { Device } from "../../shared/protocol.ts";
import { assert } from "../../shared/result.ts";
import { groundOn } from "./checkers.ts";
import { deviceClassOf } from "./device-class.ts";
import { model, World } from "./test-world.ts";

const gpu: Device = {
  runtime: "webgpu",
  adapter: "test",
  fallback: false,
  features: [],
  memoryBytes: 1_000_000_000,
  agent: "test",
  ortVersion: "1",
};
/** Bits of the GPU and of the processor. */
const digests = { webgpu: "bad0".repeat(16), wasm: "600d".repeat(16) };
const onGpu = { model: model.key, runtime: "webgpu", deviceClass: deviceClassOf(digests.webgpu) };

function join(world: World, name: string): SessionId {
  const session = `s_${name}` as SessionId;
  world.behaviours.set(session, "honest");
  const who = { session, miner: `m_${name}` as MinerId, owner: `own_${name}` as OwnerId, network: null };
  world.apply({ kind: "miner.joined", at: world.now, ...who, device: gpu, slots: 1, standing: null });
  const resident = [model.key];
  world.apply({ kind: "miner.status", at: world.now, session, accepting: true, slots: 1, reason: null, resident });
  return session;
}

/** Answers the model's preparation, and says on what it was asked to run. */
function prepare(world: World, session: SessionId): string {
  const at = world.pending.findIndex((effect) => effect.kind === "prepare" && effect.session === session);
  const [asked] = world.pending.splice(at, at < 0 ? 0 : 1);
  assert(asked?.kind === "prepare", `${session} is asked for a model`);
  const runtime = asked.runtime ?? "webgpu";
  const outputs = model.golden.map((vector) => vector.outputs);
  const told = { session, model: asked.model, outputs, digest: digests[runtime], loadMs: 1, runMs: 1 };
  world.apply({ kind: "miner.prepared", at: world.now, ...told });
  return runtime;
}

const modelOf = (world: World, id: SessionId) => {
  const session = world.state.roster.sessions.get(id);
  assert(session, `${id} is connected`);
  return { session, on: session.models.get(model.key), ground: groundOn(session, model.key) };
};

const rule = (world: World, quarantined: boolean, ground = onGpu) =>
  world.apply({ kind: "class.ruled", at: world.now, ground, quarantined });

it("goes on with WASM, as another class that begins as a newcomer, and is paid for that", () => {
  const world = new World(4);
  const ann = join(world, "ann");
  expect(prepare(world, ann)).toBe("webgpu");
  rule(world, true);
  expect(modelOf(world, ann).on).toMatchObject({ state: "refused", quarantined: true });
  world.tick(500);
  expect(prepare(world, ann)).toBe("wasm");
  expect(modelOf(world, ann)).toMatchObject({
    on: { state: "admitted", quarantined: false },
    ground: { runtime: "wasm", deviceClass: deviceClassOf(digests.wasm) },
  });
  const task = world.submit("one");
  world.drain();
  world.rightAnswer(task);
  expect(world.done[0]?.executions.some(({ by, accepted, signed }) => by === "own_ann" && accepted && signed)).toBe(
    true,
  );
  expect(Object.keys(modelOf(world, ann).session.standing.passed)).toEqual([
    `${model.key}|wasm|${deviceClassOf(digests.wasm)}`,
  ]);
});

it("does so at once where the class was quarantined before it came", () => {
  const world = new World(4);
  rule(world, true);
  const ann = join(world, "ann");
  expect(prepare(world, ann)).toBe("webgpu");
  world.tick(500);
  expect(prepare(world, ann)).toBe("wasm");
  expect(modelOf(world, ann).on?.state).toBe("admitted");
});

it("has nowhere to go where WASM is quarantined too", () => {
  const world = new World(4);
  rule(world, true);
  rule(world, true, { ...onGpu, runtime: "wasm", deviceClass: deviceClassOf(digests.wasm) });
  const ann = join(world, "ann");
  prepare(world, ann);
  world.tick(500);
  expect(prepare(world, ann)).toBe("wasm");
  world.tick(1_000);
  expect(world.pending).toEqual([]);
  expect(modelOf(world, ann).on).toMatchObject({ state: "refused", quarantined: true });
});

it("waits for the known answer that shows whose fault a strike was", () => {
  const world = new World(4);
  const ann = join(world, "ann");
  prepare(world, ann);
  const { on } = modelOf(world, ann);
  assert(on, "it is admitted");
  rule(world, true);
  on.canariesOwed = [{ subject: "own_ann" as OwnerId, price: 1_000n }];
  world.state.canarySessions.add(ann);
  world.tick(500);
  expect(world.pending.filter(({ kind }) => kind === "prepare")).toEqual([]);
  world.drain(); // the reference node makes the known answer, and the GPU is given it
  world.tick(100);
  const assigned = world.pending.find((effect) => effect.kind === "assign");
  if (assigned) world.react(assigned);
  world.pending = world.pending.filter((effect) => effect !== assigned);
  world.tick(500);
  expect(prepare(world, ann)).toBe("wasm");
});

it("returns to the GPU when the class is cleared", () => {
  const world = new World(4);
  const ann = join(world, "ann");
  prepare(world, ann);
  rule(world, true);
  world.tick(500);
  prepare(world, ann);
  rule(world, false);
  world.tick(500);
  expect(prepare(world, ann)).toBe("webgpu");
  expect(modelOf(world, ann)).toMatchObject({ on: { state: "admitted" }, ground: onGpu });
});
