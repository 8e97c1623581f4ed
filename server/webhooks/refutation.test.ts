import { createHmac } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { casesSchema } from "../../shared/case-api.ts";
import { openDigitsStage, reversed } from "../journeys/digits-stage.ts";
import { openHub } from "../test-hub.ts";
import { openReceiver } from "./test-receiver.ts";

/** From a lie on the wire, and from a reviewer's ruling, to a signed `receipt.revised` at the customer's own server. */

const wait = { timeout: 30_000 };

it("delivers receipt.revised of a refuted and of an overturned answer", { timeout: 120_000 }, async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "tabgrid-refutation-"));
  const hub = await openHub(dataDir, { webhooksToLoopback: true });
  const stage = openDigitsStage(5);
  const receiver = await openReceiver();
  const { received } = receiver;
  const call = async (path: string, body?: unknown, token = hub.firstKey.value) => {
    const response = await fetch(`${hub.url}${path}`, {
      method: body === undefined ? "GET" : "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: await response.json() };
  };
  const infer = async () => {
    const request = { ...stage.three(), parameters: { service_level: "fast" } };
    const answer = await call("/v2/models/digits/infer", request);
    expect(answer.status, answer.body.error).toBe(200);
    return answer.body.parameters as { task: string; receipt: string };
  };
  const eventOf = async (receipt: string) => {
    const find = () => received.find(({ body }) => JSON.parse(body).data.receipt === receipt);
    await expect.poll(find, wait).toBeDefined();
    return find() as (typeof received)[number];
  };
  let lies = false;
  const miner = stage.miner(hub.url, { answer: (outputs) => (lies ? outputs.map(reversed) : outputs) });
  try {
    const made = await call("/api/v1/webhooks", { url: `${receiver.url}/hook`, events: ["receipt.revised"] });
    expect(made.status, JSON.stringify(made.body)).toBe(201);
    await miner.connect();
    await expect.poll(async () => (await call("/v2/models/digits")).body.parameters.miners_ready, wait).toBe(1);
    const honest = await infer();
    await expect.poll(async () => (await call(`/api/v1/tasks/${honest.task}`)).body.state, wait).toBe("settled");
    expect(received, "nothing was refuted").toEqual([]);

    // The answer is delivered first and checked afterwards: it fails, and the customer hears of it.
    lies = true;
    const lie = await infer();
    const failed = await eventOf(lie.receipt);
    expect(JSON.parse(failed.body)).toMatchObject({
      type: "receipt.revised",
      data: { task: lie.task, state: "failed" },
    });
    const { "webhook-id": id, "webhook-timestamp": at, "webhook-signature": signature } = failed.headers;
    const secret = Buffer.from((made.body.secret as string).replace(/^whsec_/, ""), "base64");
    const expected = createHmac("sha256", secret).update(`${id}.${at}.${failed.body}`).digest("base64");
    expect(signature).toBe(`v1,${expected}`);
    expect((await call(`/api/v1/receipts/${lie.receipt}`)).body.revisions).toHaveLength(1);
    lies = false;

    // A settled answer that a reviewer overturns.
    await call(`/api/v1/receipts/${honest.receipt}/report`, { reason: "it insults" });
    const open = casesSchema.parse((await call("/api/v1/cases?state=open", undefined, hub.adminToken.value)).body);
    const reported = open.data.find(({ kind }) => kind === "report");
    const ruling = { ruling: "minor", reason: "it does" };
    const ruled = await call(`/api/v1/cases/${reported?.case}/decision`, ruling, hub.adminToken.value);
    expect(ruled.status, JSON.stringify(ruled.body)).toBe(200);
    const overturned = await eventOf(honest.receipt);
    expect(JSON.parse(overturned.body).data).toMatchObject({ task: honest.task, state: "overturned" });
    expect(received).toHaveLength(2);
    expect(await hub.store.imbalance()).toEqual({ USDC: 0n, DN: 0n });
  } finally {
    await miner.drop();
    await hub.close();
    await stage.close();
    receiver.close();
    await rm(dataDir, { recursive: true, force: true });
  }
});
