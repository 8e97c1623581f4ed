import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
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
import { loadConfig } from "../config.ts";
import { createReferenceNode } from "../reference/node.ts";
import { WireMiner } from "../sim/wire-miner.ts";
import { startHub } from "../start-hub.ts";

/** Who hears of a ruling: who reported, and whose delegated stake was slashed. Nobody else, and nothing of the review. */

const graphPath = fileURLToPath(new URL("../../models/digits/model.onnx", import.meta.url));
const wait = { timeout: 30_000 };

it("delivers case.decided to the parties of a case and to nobody else", { timeout: 120_000 }, async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "tabgrid-decided-"));
  const config = loadConfig({ TABGRID_DATA: dataDir, TABGRID_PORT: "0" });
  assert(config.ok, "the default settings are valid");
  const fatal = (error: unknown) => expect.fail(String(error));
  const log = pino({ level: "silent" });
  const options = { config: config.value, log, version: "test", clientDir: null, fatal, webhooksToLoopback: true };
  const hub = await startHub(options);
  const runtime = createReferenceNode();
  const received: { path: string; body: string }[] = [];
  const receiver = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    received.push({ path: request.url as string, body });
    response.writeHead(204).end();
  });
  receiver.listen(0, "127.0.0.1");
  await once(receiver, "listening");
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
    const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/${name}`;
    await call("/api/v1/webhooks", key, { url, events: ["case.decided"] });
  };
  const customer = async (name: string): Promise<string> => {
    const made = await call("/api/v1/customers", operator, { name });
    await call(`/api/v1/customers/${made.customer}/grants`, operator, { usdc: "1000000000", dn: "1000" });
    await hears(name, made.key);
    return made.key;
  };
  const rng = seededRng(5);
  const settled = async (key: string): Promise<string> => {
    const data = [...drawDigit(3, () => rng.next())];
    const inputs = [{ name: "image", datatype: "FP32", shape: [1, 1, 28, 28], data }];
    const { parameters } = await call("/v2/models/digits/infer", key, { inputs });
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
  const miner = new WireMiner({
    url: hub.url,
    compute: async (model, inputs) => {
      const run = await runtime.run({ key: model, graphPath }, inputs, 10_000);
      assert(run.ok, "the model runs");
      return run.value.outputs;
    },
  });
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
    await runtime.close();
    receiver.close();
    await rm(dataDir, { recursive: true, force: true });
  }
});
