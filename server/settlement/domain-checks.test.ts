import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, expect, it } from "vitest";
import { drawDigit } from "../../models/digits/draw.ts";
import { domainSchema } from "../../shared/economy-api.ts";
import { seededRng } from "../../shared/random.ts";
import { assert } from "../../shared/result.ts";
import { loadConfig } from "../config.ts";
import type { TaskSpec } from "../core/events.ts";
import { type RunningHub, startHub } from "../start-hub.ts";

/** A domain's own verification policy on a running hub: it holds for the tasks of a later epoch, and for no other. */
const rng = seededRng(5);
let dataDir: string;
let hub: RunningHub;
let specs: TaskSpec[] = [];

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "tabgrid-domain-"));
  const config = loadConfig({ TABGRID_DATA: dataDir, TABGRID_PORT: "0" });
  assert(config.ok, "the settings are valid");
  const fatal = (error: unknown) => expect.fail(String(error));
  const log = pino({ level: "silent" });
  hub = await startHub({ config: config.value, log, version: "test", clientDir: null, fatal });
  hub.runtime.observers.add({ committed: ({ tasks }) => specs.push(...[...tasks].map(({ spec }) => spec)) });
}, 60_000);
afterAll(async () => {
  await hub?.close();
  await rm(dataDir, { recursive: true, force: true });
});

async function call(method: string, path: string, token: string, body?: unknown) {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const json = body === undefined ? {} : { body: JSON.stringify(body) };
  const response = await fetch(`${hub.url}${path}`, { method, headers, ...json });
  return { status: response.status, body: await response.json() };
}
const operator = () => hub.adminToken.value;

/** The level that the answer had, or the hub's refusal; and how often the trusted are checked. */
async function infer(level?: string) {
  specs = [];
  const data = [...drawDigit(3, () => rng.next())];
  const inputs = [{ name: "image", datatype: "FP32", shape: [1, 1, 28, 28], data }];
  const request = { inputs, parameters: level === undefined ? {} : { service_level: level } };
  const { body } = await call("POST", "/v2/models/digits/infer", hub.firstKey.value ?? "", request);
  return { level: body.parameters?.service_level ?? body.error, rate: specs[0]?.checks?.trustedRate };
}

it("begins with its epoch, and not before", { timeout: 120_000 }, async () => {
  const { body } = await call("GET", "/api/v1/domains/commons", operator());
  const { settings, ...domain } = domainSchema.parse(body);
  assert(settings, "the commons have begun");
  const { burn: _burn, foundation: _foundation, ...rest } = settings;
  const verification = { check_rate: 10_000, newcomer_passes: 50, reference_share: 3_000, least_level: "verified" };
  const from = hub.domains.epoch + 1;
  const wish = { from, settings: { ...rest, pool: 4_000, verification } };
  const changed = await call("PUT", "/api/v1/domains/commons/settings", operator(), wish);
  expect(changed.body).toMatchObject({
    domain: domain.domain,
    settings: { verification: { check_rate: 500, least_level: "fast" } },
    planned: [{ from, settings: { verification } }],
  });

  expect(await infer("fast")).toEqual({ level: "fast", rate: 0.05 });
  expect((await call("POST", `/api/v1/epochs/${from - 1}/preview`, operator(), {})).status).toBeLessThan(300);
  expect(hub.domains.epoch).toBe(from);
  const tooLittle = "service_level fast: the model's domain gives no less than verified";
  expect(await infer("fast")).toEqual({ level: tooLittle, rate: undefined });
  expect(await infer()).toEqual({ level: "verified", rate: 1 });

  const text = { model: "shakespeare", prompt: "To be", max_tokens: 4, dry_run: true };
  const key = hub.firstKey.value ?? "";
  const refused = await call("POST", "/v1/completions", key, { ...text, service_level: "fast" });
  expect(refused.body.error).toMatchObject({ code: "value_out_of_range" });
  expect((await call("POST", "/v1/completions", key, text)).status).toBe(200);
});
