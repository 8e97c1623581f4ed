import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Logger } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { failure } from "../../../shared/errors.ts";
import type { CustomerId } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import {
  type BatchReply,
  batchesSchema,
  batchSchema,
  fileSchema,
  filesSchema,
} from "../../../shared/openai-batch-api.ts";
import { systemClock } from "../../../shared/time.ts";
import { openStore } from "../../store/open.ts";
import { bearer, keys, scriptedGateway, startApi, type TestApi } from "../scripted-gateway.ts";
import { bard, textScript, vectors } from "../scripted-text.ts";
import { createOpenAi } from "./openai.ts";

const patience = { timeout: 30_000 };
let api: TestApi;
beforeAll(async () => {
  api = await startApi({}, [bard, vectors]);
});
afterAll(() => api.close());
beforeEach(() => {
  Object.assign(api.script.text, textScript());
});

const upload = (
  content: string,
  fields: Record<string, string> = { purpose: "batch" },
  key = keys.ann,
  name = "file",
) => {
  const form = new FormData();
  for (const [field, value] of Object.entries(fields)) form.set(field, value);
  if (name) form.set(name, new File([content], "requests.jsonl"));
  return api.fetch("/v1/files", { method: "POST", headers: bearer(key), body: form });
};
const uploaded = async (content: string) => fileSchema.strict().parse(await (await upload(content)).json());
const call = async (
  path: string,
  { method = "GET", key = keys.ann, body }: { method?: string; key?: string; body?: object } = {},
) => {
  const response = await api.fetch(`/v1/${path}`, { method, headers: bearer(key), body: body && JSON.stringify(body) });
  return { status: response.status, body: await response.json() };
};
const line = (id: string, body: object = {}, url = "/v1/completions") =>
  JSON.stringify({ custom_id: id, method: "POST", url, body: { model: "bard", prompt: id, ...body } });
const create = async (lines: string[], more: object = {}) => {
  const file = await uploaded(lines.join("\n"));
  const body = { input_file_id: file.id, endpoint: "/v1/completions", completion_window: "24h", ...more };
  return call("batches", { method: "POST", body });
};
const until = async (id: string, isThere: (batch: BatchReply) => boolean): Promise<BatchReply> => {
  let found: BatchReply | null = null;
  await expect
    .poll(async () => {
      found = batchSchema.strict().parse((await call(`batches/${id}`)).body);
      return isThere(found);
    }, patience)
    .toBe(true);
  return found as unknown as BatchReply;
};
const ended = (id: string) => until(id, ({ status }) => !/ing$|in_progress/.test(status));
const lines = async (id: string | null) => {
  const text = await (await api.fetch(`/v1/files/${id}/content`, { headers: bearer(keys.ann) })).text();
  return text
    .trimEnd()
    .split("\n")
    .map((one) => JSON.parse(one));
};

const untilAborted = (signal: AbortSignal) =>
  new Promise<ReturnType<typeof failure>>((resolve) =>
    signal.addEventListener("abort", () => resolve(failure("cancelled", "gone"))),
  );
/** Lets the line `a` be answered; the others stay under way. */
const onlyFirst: TestApi["script"]["text"]["beforePart"] = async (_index, signal, { prompt }) =>
  Buffer.from(prompt).toString() === "a" ? null : untilAborted(signal);

describe("files", () => {
  it("are kept, listed, read and deleted, each by its customer alone", async () => {
    const file = await uploaded("käse\n");
    expect(file).toMatchObject({ object: "file", bytes: 6, filename: "requests.jsonl", purpose: "batch" });
    expect((await call(`files/${file.id}`)).body).toEqual(file);
    const content = await api.fetch(`/v1/files/${file.id}/content`, { headers: bearer(keys.ann) });
    expect(await content.text()).toBe("käse\n");
    const second = await uploaded("b");
    const list = filesSchema.strict().parse((await call("files?limit=1")).body);
    expect(list).toMatchObject({ data: [{ id: second.id }], has_more: true, last_id: second.id });
    const rest = filesSchema.parse((await call(`files?after=${second.id}&purpose=batch`)).body);
    expect(rest.data.map(({ id }) => id)).toContain(file.id);
    expect(filesSchema.parse((await call("files?order=asc")).body).data.at(-1)?.id).toBe(second.id);

    expect((await call("files", { key: keys.bob })).body.data).toEqual([]);
    for (const path of [`files/${file.id}`, `files/${file.id}/content`]) {
      const { status, body } = await call(path, { key: keys.bob });
      expect([status, body.error.code]).toEqual([404, "unknown_file"]);
    }
    expect((await call(`files/${file.id}`, { method: "DELETE", key: keys.bob })).status).toBe(404);
    expect((await call(`files/${file.id}`, { method: "DELETE" })).body).toEqual({
      id: file.id,
      object: "file",
      deleted: true,
    });
    expect((await call(`files/${file.id}`)).status).toBe(404);
  });

  it.each([
    ["no purpose", {}, "file", 400, "invalid_request", "purpose"],
    ["another purpose", { purpose: "fine-tune" }, "file", 400, "invalid_request", "purpose"],
    ["a field that is not known", { purpose: "batch", expires: "1" }, "file", 400, "unsupported_parameter", "expires"],
    ["no file", { purpose: "batch" }, "", 400, "invalid_request", "file"],
    ["a file of another name", { purpose: "batch" }, "data", 400, "invalid_request", "file"],
  ])("%s is refused and nothing kept", async (_name, fields, name, status, code, param) => {
    const before = (await call("files")).body.data.length;
    const response = await upload("a", fields as unknown as Record<string, string>, keys.ann, name);
    expect([response.status, (await response.json()).error]).toMatchObject([status, { code, param }]);
    expect((await call("files")).body.data).toHaveLength(before);
  });

  it("that are no form, too large, or nobody's are refused", async () => {
    const post = (headers: Record<string, string>, body: string) =>
      api.fetch("/v1/files", { method: "POST", headers: { ...bearer(keys.ann), ...headers }, body });
    expect((await post({ "content-type": "application/json" }, "{}")).status).toBe(415);
    expect((await post({ "content-type": "multipart/form-data" }, "x")).status).toBe(400);
    expect((await post({ "content-type": "multipart/form-data; boundary=a" }, "--a\r\n")).status).toBe(400);
    expect((await post({ authorization: "" }, "x")).status).toBe(401);
    expect((await call("files?limt=1")).body.error).toMatchObject({ code: "unsupported_parameter", param: "limt" });
  });
});

describe("a batch", () => {
  it("answers each line, good ones and bad ones apart, at the batch price", async () => {
    const { status, body } = await create([line("a"), line("b", { model: "none" }), "", line("c", { max_tokens: 2 })], {
      metadata: { for: "test" },
    });
    expect([status, body.status, body.metadata]).toEqual([200, "validating", { for: "test" }]);
    const batch = await ended(body.id);
    expect(batch).toMatchObject({
      status: "completed",
      request_counts: { total: 3, completed: 2, failed: 1 },
      errors: null,
    });
    expect(batch.completed_at).not.toBeNull();
    const good = await lines(batch.output_file_id);
    expect(good.map(({ custom_id }) => custom_id)).toEqual(["a", "c"]);
    expect(good[0]).toMatchObject({ error: null, response: { status_code: 200, body: { object: "text_completion" } } });
    const bad = await lines(batch.error_file_id);
    expect(bad).toMatchObject([
      { custom_id: "b", response: { status_code: 404, body: { error: { code: "model_not_found" } } } },
    ]);
    expect(api.script.text.asked.every(({ preemptible }) => preemptible)).toBe(true);
    expect((await call(`files/${batch.output_file_id}`)).body).toMatchObject({ purpose: "batch_output" });
    expect((await call(`batches/${batch.id}`, { key: keys.bob })).status).toBe(404);
    expect((await call("batches", { key: keys.bob })).body.data).toEqual([]);
    expect(batchesSchema.strict().parse((await call("batches?limit=1")).body).data[0]?.id).toBe(batch.id);
  });

  it.each([
    ["/v1/chat/completions", { messages: [{ role: "user", content: "a" }] }, "chat.completion"],
    ["/v1/embeddings", { model: "vectors", input: "a" }, "list"],
    ["/v1/responses", { input: "a" }, "response"],
  ])("may ask %s", async (endpoint, body, object) => {
    const request = { custom_id: "a", method: "POST", url: endpoint, body: { model: "bard", ...body } };
    const batch = await ended((await create([JSON.stringify(request)], { endpoint })).body.id);
    expect((await lines(batch.output_file_id))[0].response.body.object).toBe(object);
    const asked = endpoint === "/v1/embeddings" ? api.script.inferred : api.script.text.asked;
    expect(asked.at(-1)).toMatchObject({ preemptible: true, deadlineMs: limits.deadlineMaxMs });
  });

  it("refuses lines that stream or only ask the price", async () => {
    const batch = await ended((await create([line("a", { stream: true }), line("b", { dry_run: true })])).body.id);
    const params = (await lines(batch.error_file_id)).map(({ response }) => response.body.error.param);
    expect(params).toEqual(["stream", "dry_run"]);
    expect(batch.output_file_id).toBeNull();
  });

  it("of a file that cannot be run fails, and says what is wrong in which line", async () => {
    const wrong = ["{", line("a"), line("a"), line("b", {}, "/v1/embeddings"), '{"custom_id": "c"}'];
    const batch = await ended((await create(wrong)).body.id);
    expect(batch.status).toBe("failed");
    expect(batch.errors?.data.map((one) => [one.line, one.code, one.param])).toEqual([
      [1, "malformed_json", "body"],
      [3, "duplicate_custom_id", "custom_id"],
      [4, "mismatched_endpoint", "url"],
      [5, "invalid_request", "method"],
    ]);
    expect((await ended((await create([""])).body.id)).errors?.data[0]?.code).toBe("empty_file");
    expect(api.script.text.asked).toEqual([]);
  });

  it.each([
    ["an unknown file", { input_file_id: "file-x" }, 404, "unknown_file"],
    ["another endpoint", { endpoint: "/v1/images" }, 400, "invalid_request"],
    ["another window", { completion_window: "1h" }, 400, "invalid_request"],
    ["a parameter that is not known", { priority: 1 }, 400, "unsupported_parameter"],
  ])("of %s is refused", async (_name, more, status, code) => {
    const refused = await create([line("a")], more);
    expect([refused.status, refused.body.error.code]).toEqual([status, code]);
  });

  it("waits for a miner, as long as its window is open", async () => {
    let tries = 0;
    api.script.text.beforePart = async () =>
      ++tries < 3 ? failure("no-capable-miner", "no tab", { retryAfter: 0.01 }) : null;
    const batch = await ended((await create([line("a")])).body.id);
    expect(batch.request_counts).toEqual({ total: 1, completed: 1, failed: 0 });
  });

  it("ends when it is cancelled: what was answered is kept, the rest is told", async () => {
    api.script.text.beforePart = onlyFirst;
    const { id } = (await create([line("a"), line("b"), line("c")])).body;
    await until(id, ({ request_counts }) => request_counts.completed === 1);
    const cancelling = await call(`batches/${id}/cancel`, { method: "POST" });
    expect([cancelling.status, cancelling.body.status]).toEqual([200, "cancelling"]);
    const batch = await ended(id);
    expect(batch).toMatchObject({ status: "cancelled", request_counts: { total: 3, completed: 1, failed: 2 } });
    expect(await lines(batch.output_file_id)).toHaveLength(1);
    const told = await lines(batch.error_file_id);
    expect(told.map(({ response, error }) => [response, error.code])).toEqual([
      [null, "batch_cancelled"],
      [null, "batch_cancelled"],
    ]);
    const again = await call(`batches/${id}/cancel`, { method: "POST" });
    expect([again.status, again.body.error.code]).toEqual([409, "wrong_state"]);
    expect((await call(`batches/${id}/cancel`, { method: "POST", key: keys.bob })).status).toBe(404);
  });
});

describe("a hub that starts again", () => {
  let dataDir: string;
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), "tabgrid-batches-"));
  });
  afterEach(() => rm(dataDir, { recursive: true, force: true }));

  const customer = "c_ann" as CustomerId;
  async function open(windowMs?: number) {
    const store = await openStore({ kind: "sqlite", folder: dataDir, hub: "one" });
    await store.migrate();
    if (!(await store.customer(customer))) await store.addCustomer({ customer, name: "Ann", createdAt: 1 });
    const { gateway, script } = scriptedGateway([bard]);
    const log = { error: () => {} } as unknown as Pick<Logger, "error">;
    const openAi = createOpenAi({ gateway, store, dataDir, clock: systemClock, log, windowMs });
    await openAi.start();
    const close = async () => {
      await openAi.close();
      await store.close();
    };
    return { store, script, openAi, close };
  }
  const inputFile = "file-input";
  const asked = { endpoint: "/v1/completions", inputFile, metadata: null } as const;
  const input = [line("a"), line("b"), line("c")].join("\n");

  it("goes on with its batches: no answered line runs again", async () => {
    const first = await open();
    first.script.text.beforePart = onlyFirst;
    await first.openAi.shelf.write({ id: inputFile, customer, filename: "a", purpose: "batch" }, text(input));
    const created = await first.openAi.runner.create(customer, asked);
    const { id } = created.ok ? created.value : { id: "" };
    await expect.poll(async () => (await first.store.batches.get(id, customer))?.counts.completed, patience).toBe(1);
    await first.close();

    const second = await open();
    const state = async () => (await second.store.batches.get(id, customer))?.state;
    await expect.poll(state, patience).toBe("completed");
    expect(second.script.text.asked.map(({ prompt }) => Buffer.from(prompt).toString()).sort()).toEqual(["b", "c"]);
    const batch = await second.store.batches.get(id, customer);
    expect(batch?.counts).toEqual({ total: 3, completed: 3, failed: 0 });
    let output = "";
    for await (const part of second.openAi.shelf.read(batch?.outputFile as string)) output += part;
    expect(
      output
        .trimEnd()
        .split("\n")
        .map((one) => JSON.parse(one).custom_id),
    ).toEqual(["a", "b", "c"]);
    expect((await readdir(join(dataDir, "files"))).sort()).toEqual([inputFile, batch?.outputFile].sort());
    await second.close();
  });

  it("removes contents that no record tells of", async () => {
    const first = await open();
    await first.openAi.shelf.write({ id: inputFile, customer, filename: "a", purpose: "batch" }, text(input));
    await expect(
      first.openAi.shelf.write({ id: "file-broken", customer, filename: "a", purpose: "batch" }, broken()),
    ).rejects.toThrow("broken off");
    await first.store.files.remove(inputFile, customer);
    await first.close();
    const second = await open();
    expect(await readdir(join(dataDir, "files"))).toEqual([]);
    await second.close();
  });

  it("a batch that is not done in its window expires, and tells what did not run", async () => {
    const hub = await open(300);
    hub.script.text.beforePart = (_index, signal) => untilAborted(signal);
    await hub.openAi.shelf.write({ id: inputFile, customer, filename: "a", purpose: "batch" }, text(input));
    const created = await hub.openAi.runner.create(customer, asked);
    const { id } = created.ok ? created.value : { id: "" };
    await expect.poll(async () => (await hub.store.batches.get(id, customer))?.state, patience).toBe("expired");
    const batch = await hub.store.batches.get(id, customer);
    expect(batch).toMatchObject({ outputFile: null, counts: { total: 3, completed: 0, failed: 3 } });
    let told = "";
    for await (const part of hub.openAi.shelf.read(batch?.errorFile as string)) told += part;
    expect(told.match(/batch_expired/g)).toHaveLength(3);
    await hub.close();
  });
});

async function* text(content: string): AsyncGenerator<string> {
  yield content;
}
async function* broken(): AsyncGenerator<string> {
  yield "half";
  throw new Error("broken off");
}
