import { createHmac } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { CustomerId, TaskId } from "../../shared/ids.ts";
import { assert } from "../../shared/result.ts";
import { hashKey } from "../api/auth.ts";
import { loadConfig } from "../config.ts";
import { type RunningHub, startHub } from "../start-hub.ts";
import { checkUrl, isPublic } from "./addresses.ts";
import { WebhookDesk } from "./desk.ts";
import { revisedEvent } from "./events.ts";

/** A hub over HTTP and a receiver on this machine: what is sent is signed, retried and shown. */

let dataDir: string;
let hub: RunningHub;
let receiver: Server;
let status = 204;
let customer: CustomerId;
const received: { headers: IncomingHttpHeaders; body: string }[] = [];

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "tabgrid-webhooks-"));
  const config = loadConfig({ TABGRID_DATA: dataDir, TABGRID_PORT: "0" });
  assert(config.ok, "the default settings are valid");
  const fatal = (error: unknown) => expect.fail(String(error));
  const log = pino({ level: "silent" });
  hub = await startHub({
    config: config.value,
    log,
    version: "test",
    clientDir: null,
    fatal,
    webhooksToLoopback: true,
  });
  const key = await hub.store.apiKeyByHash(hashKey(hub.firstKey.value));
  assert(key, "the first key is known");
  customer = key.customer;
  receiver = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    received.push({ headers: request.headers, body });
    response.writeHead(status, { location: "/elsewhere" }).end();
  });
  receiver.listen(0, "127.0.0.1");
  await once(receiver, "listening");
}, 60_000);
afterAll(async () => {
  await hub?.close();
  receiver?.close();
  await rm(dataDir, { recursive: true, force: true });
});

const target = () => `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`;

async function call(method: string, path: string, body?: unknown) {
  const response = await fetch(`${hub.url}/api/v1/webhooks${path}`, {
    method,
    headers: { authorization: `Bearer ${hub.firstKey.value}`, "content-type": "application/json" },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === "" ? null : JSON.parse(text) };
}

const revised = (name: string) =>
  revisedEvent({
    task: `t_${name}` as TaskId,
    customer,
    at: Date.now(),
    state: "overturned",
    reason: "refuted",
  });

it("sends a revised receipt to its customer, signed as Standard Webhooks has it, and shows the delivery", {
  timeout: 30_000,
}, async () => {
  const made = await call("POST", "", { url: target(), events: ["receipt.revised"] });
  expect(made).toMatchObject({ status: 201, body: { secret: expect.stringMatching(/^whsec_/) } });
  const { id, secret } = made.body;
  expect((await call("GET", `/${id}`)).body).not.toHaveProperty("secret");

  await hub.store.commit({ webhookEvents: [revised("one"), { ...revised("other"), customer: "else" as CustomerId }] });
  await expect.poll(() => received.length, { timeout: 10_000 }).toBe(1);
  const { headers, body } = received[0] as (typeof received)[number];
  expect(JSON.parse(body)).toMatchObject({
    type: "receipt.revised",
    data: { receipt: "r_one", task: "t_one", state: "overturned", reason: "refuted" },
  });
  const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
  const key = Buffer.from(secret.slice("whsec_".length), "base64");
  expect(headers["webhook-signature"]).toBe(`v1,${createHmac("sha256", key).update(signed).digest("base64")}`);
  expect(Math.abs(Number(headers["webhook-timestamp"]) * 1000 - Date.now())).toBeLessThan(60_000);
  const list = await call("GET", `/${id}/deliveries`);
  expect(list.body.data).toMatchObject([{ event: "evt_one_overturned", state: "delivered", attempts: 1, status: 204 }]);

  // The same event once more carries the same id.
  const again = await call("POST", `/${id}/deliveries/${list.body.data[0].id}/redeliver`);
  expect(again).toMatchObject({ status: 200, body: { state: "delivered", event: "evt_one_overturned" } });
  expect(received[1]?.headers["webhook-id"]).toBe(headers["webhook-id"]);
  expect((await call("POST", `/${id}/test`)).body).toMatchObject({ type: "webhook.test", state: "delivered" });

  // A redirect is an answer like any other that is no 2xx: it is not followed, and tried again later.
  status = 302;
  await hub.store.commit({ webhookEvents: [revised("two")] });
  const deliveries = async () => (await call("GET", `/${id}/deliveries`)).body.data;
  const two = async () => (await deliveries()).find((one: { event: string }) => one.event === "evt_two_overturned");
  await expect.poll(async () => (await two())?.attempts, { timeout: 10_000 }).toBe(1);
  expect(await two()).toMatchObject({ state: "pending", status: 302, error: "the receiver answered 302" });
  expect((await two()).due_at).toBeGreaterThan(Date.now());
  status = 204;
  const waiting = await hub.store.webhooks.delivery((await two()).id);
  assert(waiting, "it waits");
  await hub.store.webhooks.put({ ...waiting, dueAt: 0 });
  await expect.poll(async () => (await two())?.state, { timeout: 10_000 }).toBe("delivered");
  expect(await two()).toMatchObject({ attempts: 2 });

  expect((await call("PUT", `/${id}`, { url: `${target()}2`, events: ["receipt.revised"] })).body.url).toMatch(/2$/);
  expect((await call("DELETE", `/${id}`)).status).toBe(204);
  expect(await call("GET", `/${id}`)).toMatchObject({ status: 404, body: { code: "unknown-webhook", got: id } });
});

it.each([
  ["no text", { url: 5, events: ["receipt.revised"] }, "url"],
  ["no URL", { url: "hello", events: ["receipt.revised"] }, "url"],
  ["plain HTTP", { url: "http://example.com/", events: ["receipt.revised"] }, "url"],
  ["another scheme", { url: "file:///etc/passwd", events: ["receipt.revised"] }, "url"],
  ["a password", { url: "https://a:b@example.com/", events: ["receipt.revised"] }, "url"],
  ["a private address", { url: "https://10.0.0.1/", events: ["receipt.revised"] }, "url"],
  ["the metadata service", { url: "https://169.254.169.254/", events: ["receipt.revised"] }, "url"],
  ["IPv4 inside IPv6", { url: "https://[::ffff:10.0.0.1]/", events: ["receipt.revised"] }, "url"],
  ["an address in another notation", { url: "https://0x0a000001/", events: ["receipt.revised"] }, "url"],
  ["no events", { url: "https://example.com/", events: [] }, "events"],
  ["an unknown event", { url: "https://example.com/", events: ["everything"] }, "events[0]"],
  ["an unknown field", { url: "https://example.com/", events: ["receipt.revised"], secret: "mine" }, "secret"],
])("refuses %s", async (_, body, field) => {
  expect(await call("POST", "", body)).toMatchObject({ status: 400, body: { code: "invalid-request", field } });
});

it("knows what is reachable by anybody", () => {
  for (const address of ["93.184.216.34", "1.1.1.1", "2606:4700:4700::1111"])
    expect(isPublic(address), address).toBe(true);
  for (const address of [
    "127.0.0.1",
    "::1",
    "fe80::1",
    "fd00::1",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "64:ff9b::1",
  ]) {
    expect(isPublic(address), address).toBe(false);
  }
  expect(checkUrl("http://127.0.0.1:1/", false).ok).toBe(false);
});

it("looks at the addresses again for every attempt: a name that has moved inside is not followed", async () => {
  const webhook = { id: "wh_moved", customer, url: "https://localhost/", events: ["receipt.revised"], createdAt: 1 };
  await hub.store.webhooks.save({ ...webhook, secret: "whsec_AAAA" });
  const desk = new WebhookDesk({
    store: hub.store.webhooks,
    clock: { now: Date.now },
    loopback: false,
    warn: () => {},
  });
  const delivery = await desk.test({ ...webhook, secret: "whsec_AAAA" });
  expect(delivery).toMatchObject({ state: "failed", status: null });
  expect(delivery.error).toMatch(/^localhost is at (127\.0\.0\.1|::1), which is private$/);
});
