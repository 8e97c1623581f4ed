import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  modelStatusesSchema,
  networkSchema,
  openAiErrorSchema,
  problemSchema,
  receiptPendingSchema,
  receiptSchema,
  taskSchema,
} from "../../shared/api.ts";
import { openAiModelSchema, openAiModelsSchema } from "../../shared/openai-api.ts";
import { bearer, keys, startApi, type TestApi } from "./scripted-gateway.ts";

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

const get = async (path: string, key = keys.ann) => {
  const response = await api.fetch(path, { headers: bearer(key) });
  return { status: response.status, body: await response.json() };
};

describe("/v1/models", () => {
  it("lists models as OpenAI does, with miners, task and price", async () => {
    const list = openAiModelsSchema.parse((await get("/v1/models")).body);
    expect(list.data.map(({ id }) => id)).toEqual(["mixed", "half", "single", "idle"]);
    expect(list.data[0]).toMatchObject({ online_miners: 3, task: "tensor", created: 1_700_000_000 });
    expect(list.data[3]?.price).toBeNull();
  });

  it("shows one, by id or id@version", async () => {
    for (const id of ["mixed", "mixed@1.0"]) {
      expect(openAiModelSchema.parse((await get(`/v1/models/${id}`)).body)).toMatchObject({
        id: "mixed",
        version: "1.0",
      });
    }
  });

  it.each(["/v1/models/none", "/v1/models/mixed@9", "/v1"])("%s: 404 in its shape", async (path) => {
    const { status, body } = await get(path);
    expect(status).toBe(404);
    expect(openAiErrorSchema.parse(body).error.type).toBe("invalid_request_error");
  });
});

describe("tasks", () => {
  it("are shown to their customer and the operator", async () => {
    for (const key of [keys.ann, keys.operator]) {
      const { body } = await get("/api/v1/tasks/t_ann", key);
      expect(taskSchema.parse(body)).toMatchObject({ state: "settled", price: "4000", service_level: "verified" });
    }
    expect(taskSchema.parse((await get("/api/v1/tasks/t_lost")).body).error?.code).toBe("execution-failed");
  });

  it("do not exist for anyone else", async () => {
    const foreign = await get("/api/v1/tasks/t_ann", keys.bob);
    const absent = await get("/api/v1/tasks/t_nothing", keys.bob);
    expect([foreign.status, absent.status]).toEqual([404, 404]);
    expect(foreign.body).toMatchObject({ code: "unknown-task", field: "task" });
    expect(Object.keys(foreign.body)).toEqual(Object.keys(absent.body));
  });

  it("are cancelled by their customer alone", async () => {
    const cancel = (key: string) => api.fetch("/api/v1/tasks/t_open", { method: "DELETE", headers: bearer(key) });
    expect((await cancel(keys.bob)).status).toBe(404);
    expect(api.script.cancelled).toEqual([]);
    expect((await cancel(keys.ann)).status).toBe(204);
    expect(api.script.cancelled).toEqual(["t_open"]);
  });
});

describe("receipts", () => {
  it("prove a settled task", async () => {
    const { status, body } = await get("/api/v1/receipts/r_ann", keys.bob);
    expect([status, receiptSchema.parse(body)]).toMatchObject([200, { root: "bb", hub_key: "key", size: 2 }]);
  });

  it("are pending while the task is open", async () => {
    const { status, body } = await get("/api/v1/receipts/r_open");
    expect([status, receiptPendingSchema.parse(body).status]).toEqual([202, "pending"]);
  });

  it("never come for a failed task or one that is not there", async () => {
    const failed = await get("/api/v1/receipts/r_lost");
    expect([failed.status, failed.body.detail]).toEqual([404, "unknown receipt: r_lost: its task failed"]);
    expect((await get("/api/v1/receipts/r_nothing")).status).toBe(404);
  });
});

describe("network and models", () => {
  it("says what runs", async () => {
    expect(networkSchema.parse((await get("/api/v1/network")).body)).toMatchObject({ in_flight: 1, per_second: 0.5 });
  });

  it("pages through the models", async () => {
    const first = modelStatusesSchema.parse((await get("/api/v1/models?limit=3")).body);
    expect(first.has_more).toBe(true);
    const last = first.data[2]?.manifest;
    const second = modelStatusesSchema.parse((await get(`/api/v1/models?after=${last?.id}@${last?.version}`)).body);
    expect(second.has_more).toBe(false);
    expect([...first.data, ...second.data].map(({ manifest }) => manifest.id)).toEqual([
      "half",
      "idle",
      "mixed",
      "single",
    ]);
  });

  it.each([
    ["limit=0", "limit"],
    ["limit=101", "limit"],
    ["limit=ten", "limit"],
    ["limit=2.5", "limit"],
    ["before=x", "before"],
    ["limit=1&limit=2", "limit"],
  ])("?%s is refused", async (query, field) => {
    const { status, body } = await get(`/api/v1/models?${query}`);
    expect([status, problemSchema.parse(body).field]).toEqual([400, field]);
  });
});

describe("registration", () => {
  const query = "id=new-model&version=1.0&licence=MIT&creator=Ann";
  const register = (search: string, body: BodyInit = new Uint8Array([1, 2, 3]), key = keys.operator) =>
    api.fetch(`/api/v1/models?${search}`, { method: "POST", headers: bearer(key), body });

  it("hands the file and its metadata to the hub", async () => {
    const comparator = JSON.stringify({ kind: "label", output: "x", tau: 0.1 });
    const response = await register(
      `${query}&dim.n=4&royalty_basis_points=250&comparator=${encodeURIComponent(comparator)}`,
    );
    expect(response.status).toBe(201);
    expect(response.headers.get("location")).toBe("/v2/models/new-model/versions/1.0");
    expect(api.script.registered.at(-1)).toMatchObject({
      id: "new-model",
      title: "new-model",
      description: "",
      licence: "MIT",
      creator: "Ann",
      royaltyBasisPoints: 250,
      dimensions: { n: 4 },
      comparator: { kind: "label", tau: 0.1 },
      files: [],
    });
    expect([...(api.script.registered.at(-1)?.graph ?? [])]).toEqual([1, 2, 3]);
  });

  it.each([
    ["id=NEW&version=1&licence=MIT&creator=Ann", "id"],
    ["version=1&licence=MIT&creator=Ann", "id"],
    ["id=a&version=1&creator=Ann", "licence"],
    [`${query}&royalty_basis_points=10001`, "royalty_basis_points"],
    [`${query}&dim.n=0`, "dim.n"],
    [`${query}&colour=red`, "colour"],
    [`${query}&comparator=nonsense`, "comparator"],
    [`${query}&comparator=${encodeURIComponent('{"kind":"label","output":"x","tau":-1}')}`, "comparator.tau"],
  ])("?%s is refused", async (search, field) => {
    const before = api.script.registered.length;
    const response = await register(search);
    expect([response.status, (await response.json()).field]).toEqual([400, field]);
    expect(api.script.registered.length).toBe(before);
  });

  const source = `source=${encodeURIComponent("hf:org/name@main")}`;

  it("imports from a source, with its progress where that is asked for", async () => {
    const response = await register(`${query}&${source}&dtype=q4&task=embedding`, "");
    expect(response.status).toBe(201);
    expect(api.script.imported.at(-1)).toMatchObject({
      ...{ id: "new-model", source: "hf:org/name@main", dtype: "q4", task: "embedding" },
    });
    const lines = async (id: string) => {
      const url = `/api/v1/models?${query.replace("new-model", id)}&${source}`;
      const headers = { ...bearer(keys.operator), accept: "application/x-ndjson" };
      const reply = await api.fetch(url, { method: "POST", headers });
      const read = (text: string) =>
        text
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line));
      return { status: reply.status, lines: read(await reply.text()) };
    };
    expect(await lines("new-model")).toMatchObject({
      status: 200,
      lines: [{ progress: { received: 1, bytes: 2 } }, { model: { manifest: { id: "new-model" } } }],
    });
    expect(await lines("gated")).toMatchObject({
      lines: [{ progress: {} }, { error: { code: "forbidden", field: "source" } }],
    });
    // Refused before anything was fetched: an ordinary reply.
    expect(await lines("mixed")).toMatchObject({ status: 409, lines: [{ code: "model-exists" }] });
  });

  it.each([
    [`${query}&source=hf:a/b/c`, "", "source"],
    [`${query}&source=${encodeURIComponent("https://example.org/x")}`, "", "source"],
    [`${query}&${source}`, "bytes", "body"],
    [`${query}&${source}&dtype=q5`, "", "dtype"],
    [`${query}&${source}&task=chess`, "", "task"],
    [`${query}&dtype=q4`, "bytes", "dtype"],
    [`${query}&task=embedding`, "bytes", "task"],
  ])("?%s with %j is refused", async (search, body, field) => {
    const response = await register(search, body);
    expect([response.status, (await response.json()).field]).toEqual([400, field]);
  });

  it("wants a file, once, from the operator", async () => {
    expect(await (await register(query, "")).json()).toMatchObject({ field: "body", got: "nothing" });
    const again = await register(query.replace("new-model", "mixed"));
    expect([again.status, again.headers.get("x-should-retry")]).toEqual([409, "false"]);
    expect((await register(query, "x", keys.ann)).status).toBe(403);
  });
});
