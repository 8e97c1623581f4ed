import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CustomerId } from "../../shared/ids.ts";
import { hashKey, KeyRing, makeKey, type Principal } from "./auth.ts";
import { bearer, keys, startApi, type TestApi } from "./scripted-gateway.ts";

const ann: Principal = { kind: "customer", customer: "c_ann" as CustomerId, key: "k_ann" };

describe("a key ring", () => {
  it("knows generated and given keys by their hash alone", () => {
    const ring = new KeyRing();
    const made = makeKey();
    expect(made.presented).toMatch(/^tg_[0-9a-f]{32}_[\w-]{43}$/);
    ring.add(made.keyHash, ann);
    ring.add(hashKey("~ given by the environment".replaceAll(" ", "!")), { kind: "operator" });
    expect(ring.verify(made.presented)).toEqual(ann);
    expect(ring.verify("~!given!by!the!environment")).toEqual({ kind: "operator" });
    expect(JSON.stringify(ring)).not.toContain(made.presented);
  });

  it("knows nothing else", () => {
    const ring = new KeyRing();
    const { presented, keyHash } = makeKey();
    ring.add(keyHash, ann);
    for (const wrong of [
      "",
      "short",
      `${presented}x`,
      presented.slice(0, -1),
      keyHash,
      "x".repeat(257),
      "ключ".repeat(8),
    ]) {
      expect(ring.verify(wrong)).toBeNull();
    }
    // Same first half of the hash, another second half: found by its prefix, refused by the comparison.
    const near = new KeyRing();
    near.add(keyHash.slice(0, 32) + keyHash.slice(32).split("").reverse().join(""), ann);
    expect(near.verify(presented)).toBeNull();
    ring.revoke(keyHash);
    expect(ring.verify(presented)).toBeNull();
  });
});

describe("access", () => {
  let api: TestApi;
  beforeAll(async () => {
    api = await startApi();
  });
  afterAll(() => api.close());

  it.each([
    "/v2",
    "/v2/health/live",
    "/v2/health/ready",
    "/v2/models/mixed",
    "/v1/models",
    "/healthz",
    "/readyz",
    "/api/v1/network",
    "/api/v1/models",
    "/models/mixed/1.0/manifest.json",
    "/openapi.json",
    "/docs",
  ])("%s needs no key", async (path) => {
    expect((await api.fetch(path)).status).toBe(200);
  });

  it.each([
    "/api/v1/tasks/t_ann",
    "/api/v1/receipts/r_ann",
    "/api/v1/ledger/accounts",
    "/api/v1/ledger/entries",
    "/api/v1/ledger/imbalance",
    "/metrics",
  ])("%s needs one", async (path) => {
    const response = await api.fetch(path);
    expect(response.status).toBe(401);
    expect(response.headers.get("www-authenticate")).toBe('Bearer realm="tabgrid"');
    expect(await response.json()).toMatchObject({ code: "unauthenticated", field: "authorization" });
    expect((await api.fetch(path, { headers: bearer("wrong-key-0123456789") })).status).toBe(401);
  });

  it("the operator's endpoints refuse an API key", async () => {
    const response = await api.fetch("/metrics", { headers: bearer(keys.ann) });
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ code: "forbidden", expected: "the operator token" });
    expect(await (await api.fetch("/metrics", { headers: bearer(keys.operator) })).text()).toContain(
      "ledger_imbalance 0",
    );
  });
});
