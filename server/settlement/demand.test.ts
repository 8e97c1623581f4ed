import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AccountId, ModelKey, OwnerId, TaskId } from "../../shared/ids.ts";
import { accounts } from "../economy/accounts.ts";
import { legsOf, type Transfer } from "../economy/ledger.ts";
import { openDigitsStage } from "../journeys/digits-stage.ts";
import type { RunningHub } from "../start-hub.ts";
import { openHub } from "../test-hub.ts";
import { takeBonusBack } from "./demand.ts";

/** Pledges raise the pay of a model's miners on a living hub, until they are spent. */
const stage = openDigitsStage(5);
let dataDir: string;
let hub: RunningHub;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "tabgrid-demand-"));
  hub = await openHub(dataDir);
});
afterAll(async () => {
  await hub?.close();
  await stage.close();
  await rm(dataDir, { recursive: true, force: true });
});

const call = async (method: string, path: string, body?: unknown) => {
  const response = await fetch(`${hub.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${hub.firstKey.value}`, "content-type": "application/json" },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const answer = await response.json();
  expect(response.status, JSON.stringify(answer)).toBeLessThan(300);
  return answer;
};
const infer = () => call("POST", "/v2/models/digits/infer", stage.three());
const bonuses = async () => {
  const { data } = await hub.store.entries({}, { limit: 1_000, after: null });
  return data.filter(({ kind }) => kind === "bonus");
};

it("a pledge raises each miner's pay in the commit of its settlement, and no more once it is spent", {
  timeout: 300_000,
}, async () => {
  const miner = stage.miner(hub.url);
  await miner.connect();
  const ready = async () => (await call("GET", "/v2/models/digits")).parameters.miners_ready;
  await expect.poll(ready, { timeout: 60_000 }).toBe(1);
  const owner = miner.welcome?.owner as OwnerId;
  const held = async () => (await hub.store.account(accounts.minerHeld(owner)))?.balance ?? 0n;

  await infer();
  await expect.poll(held, { timeout: 60_000 }).toBeGreaterThan(0n);
  expect(await bonuses()).toEqual([]);
  const plain = await held();

  const { pledge } = await call("POST", "/api/v1/pledges", {
    model: "digits@1",
    amount: String((plain * 3n) / 2n),
    raise_percent: 100,
  });
  await infer();
  await expect.poll(async () => (await bonuses()).length, { timeout: 60_000 }).toBe(1);
  expect(await held()).toBe(3n * plain);
  const rows = await hub.store.parties.one("pledge", pledge);
  expect(rows).toMatchObject({ state: "open", body: { left: plain / 2n } });
  await infer();
  await expect.poll(async () => (await bonuses()).length, { timeout: 60_000 }).toBe(2);
  await infer();
  await expect.poll(held, { timeout: 60_000 }).toBe(5n * plain + plain / 2n);
  expect(await bonuses()).toHaveLength(2);
  expect((await hub.store.parties.one("pledge", pledge))?.state).toBe("spent");
  expect((await call("GET", "/api/v1/demand")).data).toEqual([]);
  expect(await hub.store.integrityCheck()).toEqual([]);
  await miner.drop();
});

describe("an overturned task gives back of its bonus", () => {
  const model = "m@1" as ModelKey;
  const ann = "own_ann" as OwnerId;
  const task = "t_1" as TaskId;
  const account = accounts.minerHeld(ann);
  const posting = (kind: "settle" | "bonus", from: AccountId, amount: bigint): Transfer => {
    const gains = new Map([
      [from, -amount],
      [account, amount],
    ]);
    return { id: `${kind}:${task}`, kind, at: 1, task, legs: legsOf(gains) };
  };
  const settlement = posting("settle", "customer:c:held" as AccountId, 100n);
  const bonus = posting("bonus", accounts.pledge(model), 50n);
  const body = { pledge: "pl_1", customer: "c" as never, model, left: 7n, raisePercent: 50, withdrawn: false };
  const found = { kind: "pledge", id: "pl_1", party: null, subject: model, state: "open", from: null } as const;
  const books = { all: async () => [{ ...found, at: 1, by: "c", body }] as never };

  it.each([
    ["all, where all is held", 150n, 50n],
    ["what is left of it", 120n, 20n],
    ["nothing, where it has matured", 0n, 0n],
  ])("%s", async (_, held, back) => {
    const { transfer, parties } = await takeBonusBack(model, bonus, settlement, new Map([[ann, held]]), 9, books);
    expect(transfer?.legs.find((leg) => leg.account === account)?.amount ?? 0n).toBe(-back);
    expect(parties).toMatchObject([{ id: "pl_1", body: { left: 7n + back } }]);
  });
});
