import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { inferenceErrorSchema, openAiErrorSchema, problemSchema, readinessSchema } from "../../shared/api.ts";
import { errorCodes } from "../../shared/errors.ts";
import { bearer, keys, mixedRequest, startApi, type TestApi } from "./scripted-gateway.ts";

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

describe("every response", () => {
  it.each(["/v2", "/nothing", "/metrics", "/docs", "/%"])(
    "%s is isolated, has a policy and an id of its own",
    async (path) => {
      const { headers } = await api.fetch(path);
      expect(headers.get("cross-origin-opener-policy")).toBe("same-origin");
      expect(headers.get("cross-origin-embedder-policy")).toBe("require-corp");
      expect(headers.get("cross-origin-resource-policy")).toBe("same-origin");
      expect(headers.get("content-security-policy")).toContain(
        "default-src 'self';script-src 'self' 'wasm-unsafe-eval';worker-src 'self' blob:;connect-src 'self' ws: wss:;style-src 'self' 'unsafe-inline';img-src 'self' data:",
      );
      expect(headers.get("x-powered-by")).toBeNull();
      const again = (await api.fetch(path)).headers.get("x-request-id");
      expect(again).toMatch(/^req_[\w-]{22}$/);
      expect(headers.get("x-request-id")).not.toBe(again);
    },
  );
});

describe("errors have the shape of their path", () => {
  it.each(["/v2/nothing", "/v2/models/mixed/nothing"])("%s", async (path) => {
    const response = await api.fetch(path);
    expect(response.status).toBe(404);
    expect(inferenceErrorSchema.strict().parse(await response.json()).error).toContain(path);
  });

  it("/v1", async () => {
    const { error } = openAiErrorSchema.strict().parse(await (await api.fetch("/v1/nothing")).json());
    expect(error).toMatchObject({ type: "invalid_request_error", param: "path", code: "not_found" });
  });

  it.each(["/api/v1/nothing", "/nothing", "/v22"])("%s: RFC 9457", async (path) => {
    const response = await api.fetch(path);
    expect(response.headers.get("content-type")).toContain("application/problem+json");
    const problem = problemSchema.strict().parse(await response.json());
    expect(problem).toMatchObject({ status: 404, code: "not-found", title: "not found", field: "path" });
    expect(problem.instance).toBe(response.headers.get("x-request-id"));
  });

  it.each([
    ["DELETE", "/v2", "GET, HEAD, OPTIONS"],
    ["GET", "/v2/models/mixed/infer", "POST, OPTIONS"],
    ["POST", "/v1/models", "GET, HEAD, OPTIONS"],
    ["PATCH", "/api/v1/tasks/t_ann", "GET, DELETE, HEAD, OPTIONS"],
    ["DELETE", "/api/v1/models", "GET, POST, HEAD, OPTIONS"],
  ])("%s %s allows %s", async (method, path, allow) => {
    const response = await api.fetch(path, { method });
    expect([response.status, response.headers.get("allow")]).toEqual([405, allow]);
    expect(JSON.stringify(await response.json())).toContain(method);
    const options = await api.fetch(path, { method: "OPTIONS" });
    expect([options.status, options.headers.get("allow")]).toEqual([204, allow]);
  });

  it("a path that cannot be decoded, an encoding that is not known", async () => {
    expect((await api.fetch("/v2/models/%E0%A4%A")).status).toBe(400);
    const response = await api.infer(mixedRequest(), "mixed", { "content-encoding": "rot13" });
    expect([response.status, (await response.json()).error]).toEqual([
      415,
      expect.stringContaining("content-encoding"),
    ]);
  });

  it("a fault of the hub shows nothing but the request's id, which its log has too", async () => {
    api.script.infer = async () => {
      throw new Error("secret detail");
    };
    const response = await api.infer(mixedRequest());
    api.script.infer = null;
    const text = await response.text();
    expect(response.status).toBe(500);
    expect(text).not.toMatch(/secret|\.ts|at /);
    const requestId = response.headers.get("x-request-id");
    expect(text).toContain(requestId);
    expect(api.logged).toHaveLength(1);
    expect(api.logged[0]).toMatchObject({ requestId, path: "/v2/models/mixed/infer" });
  });
});

describe("operations", () => {
  it("readiness names what is wrong", async () => {
    api.script.ready = { database: null, "reference node": "it is starting" };
    const response = await api.fetch("/readyz");
    expect(response.status).toBe(503);
    expect(readinessSchema.parse(await response.json())).toEqual({
      status: "unready",
      dependencies: { database: "ok", "reference node": "it is starting" },
    });
    api.script.ready = { database: null };
    expect((await api.fetch("/readyz")).status).toBe(200);
  });
});

describe("rate limits", () => {
  let limited: TestApi;
  beforeAll(async () => {
    limited = await startApi({ rateLimits: { perKey: 3, perAddress: 2 }, trustProxy: 1 });
  });
  afterAll(() => limited.close());
  const from = (address: string) => limited.fetch("/v2", { headers: { "x-forwarded-for": address } });

  it("count each key by itself, and say when to come back", async () => {
    const call = (key: string) => limited.fetch("/api/v1/ledger/accounts", { headers: bearer(key) });
    const first = await call(keys.ann);
    expect(first.headers.get("x-ratelimit-limit-requests")).toBe("3");
    expect(first.headers.get("x-ratelimit-remaining-requests")).toBe("2");
    expect(first.headers.get("ratelimit-policy")).toBe('"key";q=3;w=60');
    expect(first.headers.get("ratelimit")).toMatch(/^"key";r=2;t=\d+$/);
    await call(keys.ann);
    await call(keys.ann);
    const refused = await call(keys.ann);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(Number(refused.headers.get("retry-after-ms"))).toBeGreaterThan(0);
    expect(await refused.json()).toMatchObject({ code: "rate-limited" });
    expect((await call(keys.bob)).status).toBe(200);
    for (let at = 0; at < 5; at++) expect((await call(keys.operator)).status).toBe(200);
  });

  it("count addresses where there is no key, an IPv6 network as one", async () => {
    expect([(await from("192.0.2.1")).status, (await from("192.0.2.1")).status]).toEqual([200, 200]);
    expect((await from("192.0.2.1")).status).toBe(429);
    expect((await from("192.0.2.2")).status).toBe(200);
    expect([(await from("2001:db8::1")).status, (await from("2001:db8:0:0:9::2")).status]).toEqual([200, 200]);
    expect((await from("2001:db8::3")).status).toBe(429);
  });

  it("a guessed key counts against its address", async () => {
    const guess = () =>
      limited.fetch("/metrics", { headers: { ...bearer("guess-0123456789ab"), "x-forwarded-for": "192.0.2.9" } });
    expect([(await guess()).status, (await guess()).status, (await guess()).status]).toEqual([401, 401, 429]);
  });
});

describe("the API's own description", () => {
  afterEach(() => expect(api.logged.length).toBeLessThan(2));

  it("has every endpoint, with its access and a schema for what it takes and gives", async () => {
    const document = await (await api.fetch("/openapi.json")).json();
    expect(document.openapi).toBe("3.1.0");
    const operations = Object.entries<Record<string, { summary: string; security: object[] }>>(document.paths).flatMap(
      ([path, methods]) => Object.keys(methods).map((method) => `${method} ${path}`),
    );
    expect(operations).toContain("post /v2/models/{model}/infer");
    expect(operations).toContain("get /models/{model}/{version}/files/{path}");
    expect(operations.length).toBeGreaterThan(25);
    const infer = document.paths["/v2/models/{model}/infer"].post;
    expect(infer.requestBody.content["application/json"].schema.properties.inputs.type).toBe("array");
    expect(infer.responses["200"].content["application/json"].schema.properties.outputs).toBeDefined();
    expect(infer.security).toEqual([{ key: [] }, { operator: [] }]);
    expect(document.paths["/api/v1/ledger/entries"].get.parameters.map(({ name }: { name: string }) => name)).toEqual([
      "limit",
      "after",
      "account",
      "task",
    ]);
  });

  it("is told in docs/api.md, endpoint by endpoint and error by error", async () => {
    const text = readFileSync(join(import.meta.dirname, "../../docs/api.md"), "utf8");
    const { paths } = await (await api.fetch("/openapi.json")).json();
    const optional = "[/versions/{version}]";
    const told = text.replaceAll(optional, "") + text.replaceAll(optional, "/versions/{version}");
    expect(Object.keys(paths).filter((path) => !told.includes(`\`${path}\``))).toEqual([]);
    expect(Object.keys(errorCodes).filter((code) => !text.includes(`\`${code}\``))).toEqual([]);
  });

  it("is a page without scripts", async () => {
    const page = await (await api.fetch("/docs")).text();
    expect(page).toContain("/v2/models/{model}/infer");
    expect(page).not.toMatch(/<script|https?:\/\/| on\w+=/);
  });
});
