import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { commonsSettings } from "../economy/domains.ts";
import type { RunningHub } from "../start-hub.ts";
import { openHub } from "../test-hub.ts";
import { COMMONS } from "./domain-map.ts";

/** What a batch costs on a running hub, by the ledger, beside what the same requests are quoted when they are sent at once. */
let dataDir: string;
let hub: RunningHub;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "tabgrid-batch-"));
  hub = await openHub(dataDir);
  // Dear, so that half of what these small models cost is still many whole µUSDC.
  const settings = { ...commonsSettings, tariff: { ...commonsSettings.tariff, nanoPerGflop: 1_000_000_000n } };
  hub.domains.change(COMMONS, [{ from: 0, settings }]);
}, 60_000);

afterAll(async () => {
  await hub?.close();
  await rm(dataDir, { recursive: true, force: true });
});

const authorization = () => ({ authorization: `Bearer ${hub.firstKey.value}` });
async function post(path: string, body: FormData | object) {
  const isForm = body instanceof FormData;
  const headers = isForm ? authorization() : { ...authorization(), "content-type": "application/json" };
  const response = await fetch(`${hub.url}${path}`, {
    method: "POST",
    headers,
    body: isForm ? body : JSON.stringify(body),
  });
  const answer = await response.json();
  expect(response.status, JSON.stringify(answer)).toBe(200);
  return answer;
}
const read = async (path: string) => (await fetch(`${hub.url}${path}`, { headers: authorization() })).json();

/** What left the customer's accounts for a task, nano-USDC. */
async function charged(task: string): Promise<bigint> {
  await expect.poll(async () => (await read(`/api/v1/tasks/${task}`)).state, { timeout: 30_000 }).toBe("settled");
  const { data } = await read(`/api/v1/ledger/entries?task=${task}`);
  const legs: { account: string; asset: string; amount: string }[] = data.flatMap((entry: { legs: [] }) => entry.legs);
  const own = legs.filter(({ account, asset }) => account.startsWith("customer:") && asset === "USDC");
  return own.reduce((sum, { amount }) => sum - BigInt(amount), 0n);
}

it.each([
  ["/v1/embeddings", { model: "sentences", input: "a text" }],
  ["/v1/completions", { model: "shakespeare", prompt: "ROMEO:", max_tokens: 8, seed: 1 }],
])("a batch of %s costs half of its requests", { timeout: 60_000 }, async (url, body) => {
  const quoted = Number((await post(url, { ...body, dry_run: true })).price);
  expect(quoted).toBeGreaterThan(10);
  const form = new FormData();
  form.append("purpose", "batch");
  form.append("file", new Blob([JSON.stringify({ custom_id: "a", method: "POST", url, body })]), "requests.jsonl");
  const { id: input } = await post("/v1/files", form);
  const { id } = await post("/v1/batches", { input_file_id: input, endpoint: url, completion_window: "24h" });
  const batch = () => read(`/v1/batches/${id}`);
  await expect.poll(async () => (await batch()).status, { timeout: 30_000 }).toBe("completed");
  const content = await fetch(`${hub.url}/v1/files/${(await batch()).output_file_id}/content`, {
    headers: authorization(),
  });
  const reply = JSON.parse(await content.text()).response.body.tabgrid;
  const half = Math.ceil(quoted / 2);
  expect(reply.price).toBe(String(half));
  expect(await charged(reply.answers[0].task)).toBe(BigInt(half) * 1_000n);
});
