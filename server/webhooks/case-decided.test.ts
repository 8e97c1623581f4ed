import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { casesSchema } from "../../shared/case-api.ts";
import { assert } from "../../shared/result.ts";
import { openDigitsStage } from "../journeys/digits-stage.ts";
import { openHub } from "../test-hub.ts";
import { openReceiver } from "./test-receiver.ts";

/** Who hears of a ruling: who reported, and whose delegated stake was slashed. Nobody else, and nothing of the review. */

const wait = { timeout: 30_000 };

it("delivers case.decided to the parties of a case and to nobody else", { timeout: 120_000 }, async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "tabgrid-decided-"));
  const hub = await openHub(dataDir, { webhooksToLoopback: true });
  const stage = openDigitsStage(5);
  const receiver = await openReceiver();
  const { received } = receiver;
  const call = async (path: string, token: string, body?: unknown) => {
    const response = await fetch(`${hub.url}${path}`, {
      method: body === undefined ? "GET" : "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const reply = await response.json();
    expect(response.status, `${path}: ${JSON.stringify(reply)}`).toBeLessThan(300);
    return reply;
  };
  const operator = hub.adminToken.value;
  const hears = async (name: string, key: string) => {
    await call("/api/v1/webhooks", key, { url: `${receiver.url}/${name}`, events: ["case.decided"] });
  };
  const customer = async (name: string): Promise<string> => {
    const made = await call("/api/v1/customers", operator, { name });
    await call(`/api/v1/customers/${made.customer}/grants`, operator, { usdc: "1000000000", dn: "1000" });
    await hears(name, made.key);
    return made.key;
  };
  const settled = async (key: string): Promise<string> => {
    const { parameters } = await call("/v2/models/digits/infer", key, stage.three());
    await expect.poll(async () => (await call(`/api/v1/tasks/${parameters.task}`, key)).state, wait).toBe("settled");
    return parameters.receipt;
  };
  const rule = async (key: string, receipt: string, ruling: string): Promise<string> => {
    await call(`/api/v1/receipts/${receipt}/report`, key, { reason: "COMPLAINT" });
    const [open] = casesSchema.parse(await call("/api/v1/cases?state=open", operator)).data;
    assert(open, "a case is open");
    await call(`/api/v1/cases/${open.case}/decision`, operator, { ruling, reason: "WORDS" });
    return open.case;
  };
  const miner = stage.miner(hub.url);
  try {
    const reporter = await customer("reporter");
    const delegator = await customer("delegator");
    const staker = await customer("staker"); // on the domain itself
    await hears("operator's", hub.firstKey.value);

    // The hub's own answer: there is nobody to fine, and its reporter hears that.
    const own = await settled(reporter);
    const dismissed = await rule(reporter, own, "dismissed");

    await miner.connect();
    const ready = async () => (await call("/v2/models/digits", reporter)).parameters.miners_ready;
    await expect.poll(ready, wait).toBe(1);
    const receipt = await settled(reporter);
    const validator = miner.welcome?.owner as string;
    await call("/api/v1/stakes", delegator, { domain: "commons", validator, amount: "500" });
    await call("/api/v1/stakes", delegator, { domain: "commons", amount: "300" });
    await call("/api/v1/stakes", staker, { domain: "commons", amount: "500" });
    const upheld = await rule(reporter, receipt, "minor");

    await expect.poll(() => received.length, wait).toBe(3);
    const heard = received.map(({ path, body }) => ({ path, ...JSON.parse(body) }));
    const told = (path: string, data: object) => ({
      path,
      type: "case.decided",
      timestamp: expect.stringMatching(/Z$/),
      data,
    });
    const expected = [
      told("/reporter", { case: dismissed, kind: "report", ruling: "dismissed", receipt: own }),
      told("/reporter", { case: upheld, kind: "report", ruling: "minor", receipt }),
      told("/delegator", {
        case: upheld,
        kind: "stake",
        ruling: "minor",
        domain: "commons",
        validator,
        slashed: "100",
      }),
    ];
    expect(heard).toHaveLength(expected.length);
    expect(heard).toEqual(expect.arrayContaining(expected));
    expect(JSON.stringify(heard)).not.toMatch(/WORDS|COMPLAINT|operator|evidence|commitment/);
    // Nothing is left that would go to another.
    const { data } = await call("/api/v1/webhooks", staker);
    expect((await call(`/api/v1/webhooks/${data[0].id}/deliveries`, staker)).data).toEqual([]);
  } finally {
    await miner.drop();
    await hub.close();
    await stage.close();
    receiver.close();
    await rm(dataDir, { recursive: true, force: true });
  }
});
