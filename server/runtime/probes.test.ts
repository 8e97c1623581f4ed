import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";
import { limits } from "../../shared/limits.ts";
import { assert } from "../../shared/result.ts";
import type { Tensor } from "../../shared/tensor.ts";
import { PROBES_LAST_MS } from "../core/probes.ts";
import { createReferenceNode } from "../reference/node.ts";
import { WireMiner } from "../sim/wire-miner.ts";
import { commitmentOf } from "../sockets/identity.ts";
import { openHub } from "../test-hub.ts";

/** A running hub renews its probes: a miner with recorded answers gets in until then, over real sockets. */

const model = "digits@1";
const graphPath = fileURLToPath(new URL("../../models/digits/model.onnx", import.meta.url));
const runtime = createReferenceNode();
const dataDir = await mkdtemp(join(tmpdir(), "tabgrid-probes-"));
let late = 0;
const clock = { now: () => Date.now() + late };

afterAll(async () => {
  await runtime.close();
  await rm(dataDir, { recursive: true, force: true });
});

async function start() {
  return openHub(dataDir, { clock });
}

const keyOf = (inputs: readonly Tensor[]): string => commitmentOf(inputs).toString("hex");

async function compute(inputs: Tensor[]): Promise<Tensor[]> {
  const run = await runtime.run({ key: model, graphPath }, inputs, 10_000);
  assert(run.ok, "the model runs");
  return run.value.outputs;
}

it("refuses recorded answers from the renewal on, and remembers its probes over a restart", {
  timeout: 120_000,
}, async () => {
  let hub = await start();
  const record = new Map<string, Tensor[]>();
  const stateOf = (miner: WireMiner) =>
    [...hub.state.roster.sessions.values()]
      .find((one) => one.miner === miner.welcome?.miner)
      ?.models.get(model as never);
  const join = async (how: "computes" | "replays"): Promise<string | undefined> => {
    const answer = async (inputs: Tensor[]) => {
      const known = record.get(keyOf(inputs)) ?? [...record.values()][0];
      if (how === "replays") return known as Tensor[];
      const outputs = await compute(inputs);
      record.set(keyOf(inputs), outputs);
      return outputs;
    };
    const miner = new WireMiner({ url: hub.url, role: "miner", compute: (_, inputs) => answer(inputs) });
    await miner.connect();
    await expect.poll(() => stateOf(miner)?.state, { timeout: 30_000 }).toMatch(/admitted|refused/);
    const state = stateOf(miner)?.state;
    await hub.probes.round();
    await hub.runtime.settled();
    await miner.drop();
    return state;
  };

  expect(await join("computes")).toBe("admitted"); // by the fixed vectors; the first set is made while it is here
  const first = hub.state.probes.get(model as never);
  expect(first?.vectors).toHaveLength(limits.probeVectors);
  expect(await join("computes")).toBe("admitted");
  expect(await join("replays"), "everything was recorded").toBe("admitted");

  await hub.close();
  hub = await start();
  expect(hub.state.probes.get(model as never)).toEqual(first);
  expect(await join("replays")).toBe("admitted");
  late = PROBES_LAST_MS - 60_000;
  expect(await join("replays"), "not yet").toBe("admitted");
  late = PROBES_LAST_MS + 60_000;
  expect(await join("computes"), "renewed while it is here").toBe("admitted");
  expect(hub.state.probes.get(model as never)?.madeAt).toBeGreaterThan((first?.madeAt ?? 0) + PROBES_LAST_MS);
  expect(await join("replays")).toBe("refused");
  expect(await join("computes")).toBe("admitted");
  await hub.close();
});
