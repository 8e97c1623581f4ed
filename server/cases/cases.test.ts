import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { auditSchema, caseSchema, casesSchema, compatibilitySchema } from "../../shared/case-api.ts";
import { assert } from "../../shared/result.ts";
import { openDigitsStage, reversed } from "../journeys/digits-stage.ts";
import type { WireMiner } from "../sim/wire-miner.ts";
import type { RunningHub } from "../start-hub.ts";
import { openHub } from "../test-hub.ts";

/** The whole way of a case on a living hub: a miner lies, is suspended, and a person decides; a customer reports. */
const stage = openDigitsStage(3);
let dataDir: string;
let hub: RunningHub;
let lies = false;

const start = async () => {
  hub = await openHub(dataDir);
};
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "tabgrid-cases-"));
  lies = false;
  await start();
});
afterEach(async () => {
  await hub?.close();
  await rm(dataDir, { recursive: true, force: true });
});
afterAll(() => stage.close());

const call = async (path: string, options: { body?: unknown; token?: string } = {}) => {
  const response = await fetch(`${hub.url}${path}`, {
    method: options.body === undefined ? "GET" : "POST",
    headers: { authorization: `Bearer ${options.token ?? hub.adminToken.value}`, "content-type": "application/json" },
    ...(options.body !== undefined && { body: JSON.stringify(options.body) }),
  });
  return { status: response.status, body: await response.json() };
};
const asked: Float32Array[] = [];
const infer = async () => {
  const body = stage.three();
  asked.push(...body.inputs.map(({ data }) => Float32Array.from(data)));
  const answer = await call("/v2/models/digits/infer", { body, token: hub.firstKey.value });
  expect(answer.status, answer.body.error).toBe(200);
  return answer.body.parameters as { task: string; receipt: string };
};

/** Computes rightly until `lies`. */
async function mine(): Promise<WireMiner> {
  const miner = stage.miner(hub.url, { answer: (outputs) => (lies ? outputs.map(reversed) : outputs) });
  await miner.connect();
  await expect.poll(async () => (await call("/v2/models/digits")).body.parameters.miners_ready, wait).toBe(1);
  return miner;
}
const wait = { timeout: 20_000 };

const heldOf = async (owner: string) =>
  BigInt((await hub.store.account(`miner:${owner}:held` as never))?.balance ?? 0n);
const openCases = async () => casesSchema.parse((await call("/api/v1/cases?state=open")).body).data;
const slashes = async () => {
  const { data } = await hub.store.entries({}, { limit: 1_000, after: null });
  return data.filter(({ kind }) => kind === "slash");
};

/** Earns honestly, then lies until it is out. */
async function suspended(): Promise<{ miner: WireMiner; owner: string; id: string }> {
  const miner = await mine();
  const owner = miner.welcome?.owner as string;
  for (let n = 0; n < 3; n++) await infer();
  await expect.poll(() => heldOf(owner), wait).toBeGreaterThan(0n);
  lies = true;
  const isOut = async () => {
    await infer();
    return (await openCases()).length > 0;
  };
  await expect.poll(isOut, { timeout: 40_000, interval: 10 }).toBe(true);
  const [opened] = await openCases();
  return { miner, owner, id: opened?.case as string };
}

describe("a suspended miner", { timeout: 90_000 }, () => {
  it("keeps all it has until a person ruled, also over a restart, and then loses what the ruling says", async () => {
    const { miner, owner, id } = await suspended();
    await miner.drop();
    await hub.close();
    await start();
    const held = await heldOf(owner);
    expect(held).toBeGreaterThan(0n);
    expect(await slashes()).toEqual([]);
    expect(await hub.store.standing(owner as never)).toMatchObject({ suspended: true, openCase: id });

    const { body: reply } = await call(`/api/v1/cases/${id}`);
    const before = caseSchema.parse(reply);
    expect(before).toMatchObject({
      kind: "suspension",
      state: "open",
      party: expect.stringMatching(/^Party [0-9A-F]{4}$/),
    });
    expect(before.stakes?.severe).toMatchObject({
      slashed: String((held * 60n) / 100n),
      returned: String(held - (held * 60n) / 100n),
      interest: "0",
    });
    const evidence = before.evidence;
    assert(evidence.kind === "suspension", "suspended");
    expect(evidence.exhibits.length).toBeGreaterThanOrEqual(4);
    for (const exhibit of evidence.exhibits) {
      expect(exhibit).toMatchObject({ model: "digits@1", level: "verified", runtime: "wasm" });
      expect(exhibit.commitment).not.toBe(exhibit.reference);
      expect(exhibit.measures.some(({ value, fail_ratio }) => value > fail_ratio)).toBe(true);
      expect(exhibit.outputs[0]?.rows.length).toBe(10);
    }
    expect(evidence.history.map(({ kind }) => kind)).toContain("passes");
    // Blind: nothing in the whole reply names anybody, or leads to a name.
    const text = JSON.stringify([reply, (await call("/api/v1/cases")).body]);
    for (const name of [owner, owner.slice(4), miner.welcome?.session as string]) expect(text).not.toContain(name);
    expect(text).not.toMatch(/"(task|assignment|owner|miner|network)"/);

    const reason = "reversed outputs, every time";
    const decision = { ruling: "severe", reason, reviewer: "operator" } as const;
    const twice = await Promise.all([1, 2].map(() => hub.gateway.decideCase(id as never, decision)));
    expect(twice.map(({ ok }) => ok)).toEqual([true, false]);
    expect(await heldOf(owner)).toBe(0n);
    expect((await hub.store.account(`miner:${owner}` as never))?.balance).toBe(held - (held * 60n) / 100n);
    expect(await slashes()).toHaveLength(1);
    expect(await hub.store.imbalance()).toEqual({ USDC: 0n, DN: 0n });
    expect(await hub.store.standing(owner as never)).toMatchObject({ suspended: true, openCase: null });
    const { data } = auditSchema.parse((await call(`/api/v1/audit?subject=${id}`)).body);
    expect(data.map(({ actor, action }) => `${actor} ${action}`)).toEqual(["operator case-decided", "hub case-opened"]);
    expect(data[0]?.detail).toMatchObject({ ruling: "severe", reason, slashed: String((held * 60n) / 100n) });
    expect((await call(`/api/v1/cases/${id}/decision`, { body: { ruling: "minor", reason } })).body.code).toBe(
      "case-closed",
    );
    expect(await openCases()).toEqual([]);
  });

  it("works again after a dismissal, with nothing lost", async () => {
    const { owner, id } = await suspended();
    const held = await heldOf(owner);
    const { status, body } = await call(`/api/v1/cases/${id}/decision`, {
      body: { ruling: "dismissed", reason: "a test" },
    });
    expect(status).toBe(200);
    expect(caseSchema.parse(body)).toMatchObject({ state: "decided", ruling: "dismissed", stakes: null });
    expect(await heldOf(owner)).toBeGreaterThanOrEqual(held);
    expect(await slashes()).toEqual([]);
    expect(await hub.store.standing(owner as never)).toMatchObject({ suspended: false, openCase: null });
    expect(compatibilitySchema.parse((await call("/api/v1/compatibility")).body).data).toMatchObject([
      { model: "digits@1", runtime: "wasm", admitted: 1, refused: 0, quarantined: 0 },
    ]);
  });
});

describe("a reported answer", { timeout: 60_000 }, () => {
  it("is refunded before its author is fined, and only once a person upheld it", async () => {
    const miner = await mine();
    const owner = miner.welcome?.owner as string;
    const { task, receipt } = await infer();
    await infer();
    const token = hub.firstKey.value;
    const ask = () => call(`/api/v1/receipts/${receipt}/report`, { body: { reason: "it insults" }, token });
    const early = await ask();
    expect([201, 409]).toContain(early.status);
    await expect.poll(async () => (await call(`/api/v1/tasks/${task}`)).body.state, wait).toBe("settled");
    if (early.status === 409) expect((await ask()).status).toBe(201);
    expect((await ask()).body).toMatchObject({ code: "wrong-state", field: "receipt" });

    const [opened] = await openCases();
    assert(opened, "a case is open");
    // The reviewer sees what was asked and answered.
    const { evidence } = caseSchema.parse((await call(`/api/v1/cases/${opened.case}`)).body);
    assert(evidence.kind === "report" && evidence.exchange?.kind === "tensors", "question and answer were kept");
    const { inputs, outputs } = evidence.exchange;
    expect(inputs).toMatchObject([{ name: "image", shape: [1, 1, 28, 28], elements: 784 }]);
    expect(inputs[0]?.values).toEqual([...(asked.at(-2) as Float32Array)]);
    expect(outputs[0]).toMatchObject({ dtype: "float32", elements: 10 });
    expect(opened).toMatchObject({ kind: "report", finable: true, model: "digits@1" });
    expect(await hub.store.standing(owner as never)).toMatchObject({ suspended: false, openCase: null });
    await expect.poll(() => hub.runtime.live.size, wait).toBe(0);
    const held = await heldOf(owner);
    const answer = await call(`/api/v1/cases/${opened.case}/decision`, {
      body: { ruling: "minor", reason: "it does" },
    });
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
    expect((await call(`/api/v1/tasks/${task}`)).body.state).toBe("overturned");
    const { data } = await hub.store.entries({ task: task as never }, { limit: 10, after: null });
    expect(data.map(({ kind }) => kind)).toEqual(["overturn", "settle", "hold"]);
    const left = held + (data[0]?.legs.find(({ account }) => account === `miner:${owner}:held`)?.amount ?? 0n);
    expect(await heldOf(owner)).toBe(left - (left * 20n) / 100n);
    expect(await slashes()).toHaveLength(1);
    expect(await hub.store.imbalance()).toEqual({ USDC: 0n, DN: 0n });
    const found = await hub.store.integrityCheck();
    expect(found).toEqual([]);
  });

  it("has only the hashes once question and answer are given up, over a restart too", async () => {
    const { task, receipt } = await infer();
    await expect.poll(async () => (await call(`/api/v1/tasks/${task}`)).body.state, wait).toBe("settled");
    await hub.close();
    await start();
    const body = { reason: "it insults" };
    const reply = await call(`/api/v1/receipts/${receipt}/report`, { body, token: hub.firstKey.value });
    expect(reply.status).toBe(201);
    const { evidence } = caseSchema.parse((await call(`/api/v1/cases/${reply.body.case}`)).body);
    expect(evidence).toMatchObject({ kind: "report", exchange: null, complaint: "it insults" });
  });

  it("of the hub's own node can only be dismissed", async () => {
    const { task, receipt } = await infer();
    await expect.poll(async () => (await call(`/api/v1/tasks/${task}`)).body.state, wait).toBe("settled");
    await call(`/api/v1/receipts/${receipt}/report`, { body: { reason: "it insults" }, token: hub.firstKey.value });
    const [opened] = await openCases();
    assert(opened, "a case is open");
    expect(opened.finable).toBe(false);
    const rule = (ruling: string) => call(`/api/v1/cases/${opened.case}/decision`, { body: { ruling, reason: "no" } });
    expect((await rule("minor")).body).toMatchObject({ status: 409, code: "wrong-state", field: "ruling" });
    expect((await rule("dismissed")).body).toMatchObject({ state: "decided" });
    expect(await slashes()).toEqual([]);
  });
});
