import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import { afterAll, beforeAll, expect, it } from "vitest";
import { assert } from "../../shared/result.ts";
import { loadConfig } from "../config.ts";
import { createReferenceNode } from "../reference/node.ts";
import { WireMiner } from "../sim/wire-miner.ts";
import { type RunningHub, startHub } from "../start-hub.ts";

/**
 * The journey of a task, end to end in one process: read this first. A hub starts on an empty folder; two miners come by
 * over real sockets (what they compute with is the same WebAssembly runtime that browsers fall back to); a customer sends
 * a picture of a seven over HTTP; the answer is cross-checked, returned, paid for and receipted.
 */

const graphPath = fileURLToPath(new URL("../../models/digits/model.onnx", import.meta.url));
const seven = fileURLToPath(new URL("../../models/digits/examples/seven.json", import.meta.url));
const minersOwnRuntime = createReferenceNode();
let dataDir: string;
let hub: RunningHub;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "tabgrid-journey-"));
  const config = loadConfig({ TABGRID_DATA: dataDir, TABGRID_PORT: "0" });
  assert(config.ok, "the default settings are valid");
  const fatal = (error: unknown) => expect.fail(String(error));
  hub = await startHub({
    config: config.value,
    log: pino({ level: "silent" }),
    version: "test",
    clientDir: null,
    fatal,
  });
});

afterAll(async () => {
  await hub?.close();
  await minersOwnRuntime.close();
  await rm(dataDir, { recursive: true, force: true });
});

/** Connects, is told to load `digits`, passes its known answers, and then takes work. */
async function mine(): Promise<WireMiner> {
  const miner = new WireMiner({
    url: hub.url,
    compute: async (model, inputs) => {
      const run = await minersOwnRuntime.run({ key: model, graphPath }, inputs, 10_000);
      assert(run.ok, "the model runs");
      return run.value.outputs;
    },
  });
  await miner.connect();
  return miner;
}

const get = async (path: string, token = hub.firstKey.value) =>
  (await fetch(`${hub.url}${path}`, { headers: { authorization: `Bearer ${token}` } })).json();

it("a request becomes a task, assignments, results, a verdict, a receipt and postings", {
  timeout: 60_000,
}, async () => {
  // Two people lend their machines. The hub admits each for the model once its known answers match.
  const [ada, ben] = [await mine(), await mine()];
  await expect.poll(async () => (await get("/v2/models/digits")).parameters.miners_ready, { timeout: 30_000 }).toBe(2);

  // A customer asks. `verified` is the default for tensors: the answer comes after a second execution agreed.
  const response = await fetch(`${hub.url}/v2/models/digits/infer`, {
    method: "POST",
    headers: { authorization: `Bearer ${hub.firstKey.value}`, "content-type": "application/json" },
    body: await readFile(seven),
  });
  expect(response.status).toBe(200);
  const answer = await response.json();
  const logits: number[] = answer.outputs[0].data;
  expect(logits.indexOf(Math.max(...logits))).toBe(7);
  expect(["checked", "reference"]).toContain(answer.parameters.basis);

  // The miners sign the chain of their results; only then is the task settled, and its receipt written.
  const { task, receipt } = answer.parameters;
  await expect.poll(async () => (await get(`/api/v1/tasks/${task}`)).state, { timeout: 10_000 }).toBe("settled");
  const { timeline } = await get(`/api/v1/tasks/${task}`);
  expect(timeline.map((entry: { what: string }) => entry.what)).toEqual([
    "accepted",
    expect.stringMatching(/^primary to m_/),
    expect.stringMatching(/^result of m_/),
    expect.stringMatching(/check|reference/),
    ...(answer.parameters.basis === "checked" ? [expect.stringMatching(/^check to m_/)] : []),
    expect.stringContaining("2 of 2 executions agree"),
    "postings and receipt",
  ]);
  const proof = await get(`/api/v1/receipts/${receipt}`);
  const leaf = JSON.parse(proof.leaf);
  expect(leaf.executions).toHaveLength(2);
  expect(
    leaf.executions.every(
      (execution: { accepted: boolean; signed: boolean }) => execution.accepted && execution.signed,
    ),
  ).toBe(true);

  const standing = expect.objectContaining({
    trust: expect.any(Number),
    atRisk: expect.stringMatching(/^\d+$/),
    deposit: "0",
  });
  for (const { by, ...execution } of leaf.executions)
    expect(execution.standing).toEqual(by === "reference" ? undefined : standing);

  // Everyone who made the answer possible is credited; the parts sum to the price, the books to zero.
  const split = Object.values<string>(leaf.split).reduce((sum, part) => sum + BigInt(part), 0n);
  expect(split).toBe(BigInt(leaf.price));
  const primary = leaf.executions[0].by === ada.welcome?.owner ? ada : ben;
  const earned = await get(`/api/v1/ledger/accounts/miner:${primary.welcome?.owner}:held`, hub.adminToken.value);
  expect(BigInt(earned.balance)).toBe(335n); // half of 67 % of 1 µUSDC: two executions are priced
  expect(await get("/api/v1/ledger/imbalance", hub.adminToken.value)).toMatchObject({ USDC: "0", DN: "0" });

  // And each miner is told what it earned, and why.
  await expect
    .poll(() => primary.account?.work.at(-1), { timeout: 5_000 })
    .toMatchObject({ outcome: "paid", amount: "335" });
  expect(ada.refusals.concat(ben.refusals)).toEqual([]);
  await Promise.all([ada.drop(), ben.drop()]);
});
