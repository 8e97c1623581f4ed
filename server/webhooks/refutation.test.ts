import { createHmac } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import { expect, it } from "vitest";
import { drawDigit } from "../../models/digits/draw.ts";
import { casesSchema } from "../../shared/case-api.ts";
import { seededRng } from "../../shared/random.ts";
import { assert } from "../../shared/result.ts";
import type { Tensor } from "../../shared/tensor.ts";
import { loadConfig } from "../config.ts";
import { createReferenceNode } from "../reference/node.ts";
import { WireMiner } from "../sim/wire-miner.ts";
import { startHub } from "../start-hub.ts";

/** From a lie on the wire, and from a reviewer's ruling, to a signed `receipt.revised` at the customer's own server. */

const graphPath = fileURLToPath(new URL("../../models/digits/model.onnx", import.meta.url));
const wait = { timeout: 30_000 };

const reversed = (tensor: Tensor): Tensor => {
  const values = new Float32Array(tensor.data.slice().buffer).reverse();
  return { ...tensor, data: new Uint8Array(values.buffer) };
};

it("delivers receipt.revised of a refuted and of an overturned answer", { timeout: 120_000 }, async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "tabgrid-refutation-"));
  const config = loadConfig({ TABGRID_DATA: dataDir, TABGRID_PORT: "0" });
  assert(config.ok, "the default settings are valid");
  const fatal = (error: unknown) => expect.fail(String(error));
  const log = pino({ level: "silent" });
  const options = { config: config.value, log, version: "test", clientDir: null, fatal, webhooksToLoopback: true };
  const hub = await startHub(options);
  const runtime = createReferenceNode();
  const received: { headers: IncomingHttpHeaders; body: string }[] = [];
  const receiver = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    received.push({ headers: request.headers, body });
    response.writeHead(204).end();
  });
  receiver.listen(0, "127.0.0.1");
  await once(receiver, "listening");
  const call = async (path: string, body?: unknown, token = hub.firstKey.value) => {
    const response = await fetch(`${hub.url}${path}`, {
      method: body === undefined ? "GET" : "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: await response.json() };
  };
  const rng = seededRng(5);
  const infer = async () => {
    const data = [...drawDigit(3, () => rng.next())];
    const inputs = [{ name: "image", datatype: "FP32", shape: [1, 1, 28, 28], data }];
    const answer = await call("/v2/models/digits/infer", { inputs, parameters: { service_level: "fast" } });
    expect(answer.status, answer.body.error).toBe(200);
    return answer.body.parameters as { task: string; receipt: string };
  };
  const eventOf = async (receipt: string) => {
    const find = () => received.find(({ body }) => JSON.parse(body).data.receipt === receipt);
    await expect.poll(find, wait).toBeDefined();
    return find() as (typeof received)[number];
  };
  let lies = false;
  const miner = new WireMiner({
    url: hub.url,
    compute: async (model, inputs) => {
      const run = await runtime.run({ key: model, graphPath }, inputs, 10_000);
      assert(run.ok, "the model runs");
      return lies ? run.value.outputs.map(reversed) : run.value.outputs;
    },
  });
  try {
    const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`;
    const made = await call("/api/v1/webhooks", { url, events: ["receipt.revised"] });
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
    await runtime.close();
    receiver.close();
    await rm(dataDir, { recursive: true, force: true });
  }
});
