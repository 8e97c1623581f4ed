import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { problemSchema } from "../../shared/api.ts";
import { auditSchema, caseSchema, casesSchema, compatibilitySchema, reportReplySchema } from "../../shared/case-api.ts";
import { bearer, keys, startApi, type TestApi } from "./scripted-gateway.ts";

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

const get = async (path: string, key = keys.operator) => {
  const response = await api.fetch(path, { headers: bearer(key) });
  return { status: response.status, body: await response.json() };
};
const post = async (path: string, body: unknown, key = keys.operator) => {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await api.fetch(path, { method: "POST", headers: bearer(key), body: text });
  return { status: response.status, body: await response.json() };
};
const reason = "the outputs are reversed";

describe("cases", () => {
  it("are listed and shown to the operator alone", async () => {
    expect(casesSchema.parse((await get("/api/v1/cases?state=open")).body).data).toMatchObject([
      { party: "Party AB12" },
    ]);
    expect(casesSchema.parse((await get("/api/v1/cases?state=decided")).body).data).toEqual([]);
    const one = caseSchema.parse((await get("/api/v1/cases/c_one")).body);
    expect(one.stakes?.severe).toMatchObject({ slashed: "60", returned: "40", interest: "0" });
    for (const path of ["/api/v1/cases", "/api/v1/cases/c_one", "/api/v1/audit"]) {
      expect((await get(path, keys.ann)).status).toBe(403);
      expect((await api.fetch(path)).status).toBe(401);
    }
    expect((await post("/api/v1/cases/c_one/decision", { ruling: "minor", reason }, keys.ann)).status).toBe(403);
  });

  it("are decided with a ruling and a reason", async () => {
    const { status, body } = await post("/api/v1/cases/c_one/decision", { ruling: "severe", reason: ` ${reason} ` });
    expect(status).toBe(200);
    expect(caseSchema.parse(body)).toMatchObject({ state: "decided", ruling: "severe", reviewer: "operator", reason });
  });

  it.each([
    ["c_none", { ruling: "minor", reason }, 404, "unknown-case", "case"],
    ["c_shut", { ruling: "minor", reason }, 409, "case-closed", "case"],
    ["c_one", { ruling: "harsh", reason }, 400, "invalid-request", "ruling"],
    ["c_one", { ruling: "minor" }, 400, "invalid-request", "reason"],
    ["c_one", { ruling: "minor", reason: "  " }, 400, "invalid-request", "reason"],
    ["c_one", { ruling: "minor", reason, percent: 100 }, 400, "invalid-request", "percent"],
    ["c_one", "{", 400, "malformed-json", "body"],
  ])("%s with %j: %d %s", async (id, body, status, code, field) => {
    const answer = await post(`/api/v1/cases/${id}/decision`, body);
    expect(answer.status).toBe(status);
    expect(problemSchema.parse(answer.body)).toMatchObject({ code, field });
  });

  it.each(["/api/v1/cases?state=shut", "/api/v1/cases?limit=0", "/api/v1/audit?subjects=c_one"])(
    "%s: 400",
    async (path) => {
      expect((await get(path)).status).toBe(400);
    },
  );
});

describe("a report", () => {
  it("comes from the task's own customer and opens a case", async () => {
    const { status, body } = await post("/api/v1/receipts/r_ann/report", { reason: "it insults" }, keys.ann);
    expect(status).toBe(201);
    expect(reportReplySchema.parse(body)).toEqual({ case: "c_two", state: "open" });
  });

  it.each([
    ["r_ann", keys.bob, { reason }, 404, "unknown-receipt"],
    ["r_none", keys.ann, { reason }, 404, "unknown-receipt"],
    ["r_open", keys.ann, { reason }, 409, "wrong-state"],
    ["r_ann", keys.ann, {}, 400, "invalid-request"],
    ["r_ann", keys.ann, { reason: "x".repeat(2001) }, 400, "invalid-request"],
    ["r_ann", keys.operator, { reason }, 403, "forbidden"],
  ])("of %s: %#", async (receipt, key, body, status, code) => {
    const answer = await post(`/api/v1/receipts/${receipt}/report`, body, key);
    expect(answer.status).toBe(status);
    expect(answer.body.code).toBe(code);
  });
});

it("the audit log is paged, and of one subject where asked", async () => {
  expect(auditSchema.parse((await get("/api/v1/audit")).body).data).toHaveLength(1);
  expect(auditSchema.parse((await get("/api/v1/audit?subject=c_two")).body).data).toEqual([]);
});

it("what runs where is open to all", async () => {
  const response = await api.fetch("/api/v1/compatibility");
  const { data } = compatibilitySchema.parse(await response.json());
  expect(data).toEqual([
    { model: "mixed@1.0", runtime: "wasm", device_class: "ab", admitted: 2, refused: 1, quarantined: 0, last_at: 9 },
  ]);
});
