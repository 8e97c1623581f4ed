import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { limits } from "../../shared/limits.ts";
import { startApi, type TestApi } from "./scripted-gateway.ts";

// A name with a dot at its front, as a data folder may have.
const folder = mkdtempSync(join(tmpdir(), ".tabgrid-"));
let api: TestApi;
beforeAll(async () => {
  api = await startApi();
  api.script.modelFile = join(folder, "stored");
  writeFileSync(api.script.modelFile, "0123456789");
});
afterAll(async () => {
  await api.close();
  rmSync(folder, { recursive: true });
});

const etag = `"${"ab".repeat(32)}"`;
const file = (headers: Record<string, string> = {}) => api.fetch("/models/mixed/1.0/files/sub/model.onnx", { headers });

describe("model files", () => {
  it("have an ETag that is their hash, and are kept for good", async () => {
    const response = await file();
    expect(response.headers.get("etag")).toBe(etag);
    expect(response.headers.get("cache-control")).toContain("immutable");
    expect(response.headers.get("content-type")).toBe("application/octet-stream");
    expect(response.headers.get("cross-origin-resource-policy")).toBe("same-origin");
    expect(await response.text()).toBe("0123456789");
    const known = await api.raw("/models/mixed/1.0/files/sub/model.onnx", { "if-none-match": etag });
    expect([known.status, known.body.byteLength]).toEqual([304, 0]);
  });

  it.each([
    ["bytes=2-4", 206, "234", "bytes 2-4/10"],
    ["bytes=7-", 206, "789", "bytes 7-9/10"],
    ["bytes=-2", 206, "89", "bytes 8-9/10"],
  ])("%s", async (range, status, text, contentRange) => {
    const response = await file({ range });
    expect([response.status, await response.text()]).toEqual([status, text]);
    expect(response.headers.get("content-range")).toBe(contentRange);
  });

  it("resume only the same bytes", async () => {
    expect(await (await file({ range: "bytes=5-", "if-range": etag })).text()).toBe("56789");
    expect(await (await file({ range: "bytes=5-", "if-range": '"other"' })).text()).toBe("0123456789");
  });

  it("a range outside is refused with the size", async () => {
    const response = await file({ range: "bytes=10-" });
    expect([response.status, response.headers.get("content-range")]).toEqual([416, "bytes */10"]);
    expect(await response.json()).toMatchObject({ status: 416, field: "range" });
  });

  it("that no manifest names do not exist", async () => {
    for (const path of [
      "/models/mixed/1.0/files/other",
      "/models/mixed/1.0/files/..%2f..%2fetc%2fpasswd",
      "/models/none/1/manifest.json",
    ]) {
      expect((await api.fetch(path)).status).toBe(404);
    }
  });

  it("that are lost say nothing of where they lay", async () => {
    const path = api.script.modelFile;
    api.script.modelFile = join(folder, "lost");
    const response = await file();
    api.script.modelFile = path;
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain("tabgrid-");
  });

  it("the manifest", async () => {
    expect(await (await api.fetch("/models/mixed/1.0/manifest.json")).json()).toMatchObject({ id: "mixed", schema: 1 });
  });
});

describe("blobs", () => {
  const hash = "cd".repeat(32);
  const mac = { "x-tabgrid-session": "s_1", authorization: `Tabgrid ${"0f".repeat(32)}` };
  const blob = (init: RequestInit, name = hash) => api.fetch(`/miner/blobs/${name}`, init);

  it("go in and come out", async () => {
    expect((await blob({ headers: mac })).status).toBe(404);
    expect((await blob({ method: "PUT", headers: mac, body: new Uint8Array([1, 2, 0, 3]) })).status).toBe(204);
    const response = await blob({ headers: mac });
    expect([...new Uint8Array(await response.arrayBuffer())]).toEqual([1, 2, 0, 3]);
    expect(response.headers.get("cache-control")).toContain("no-store");
  });

  it.each<[string, Record<string, string>, string, number, string]>([
    ["no hash", mac, "xyz", 400, "sha256"],
    ["no session", { authorization: mac.authorization }, hash, 401, "x-tabgrid-session"],
    ["no MAC", { "x-tabgrid-session": "s_1" }, hash, 401, "authorization"],
    ["another scheme", { ...mac, authorization: "Bearer x" }, hash, 401, "authorization"],
  ])("%s", async (_name, headers, name, status, field) => {
    for (const method of ["GET", "PUT"]) {
      const response = await blob({ method, headers }, name);
      expect([response.status, (await response.json()).field]).toEqual([status, field]);
    }
  });

  it("a wrong MAC is refused while its body is still to come", async () => {
    const headers = { ...mac, "x-tabgrid-session": "s_2", "content-length": String(limits.blobBytes) };
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const put = request(`${api.url}/miner/blobs/${hash}`, { method: "PUT", headers });
      put.on("response", (response) => {
        resolve(response);
        put.destroy();
      });
      put.on("error", reject);
      put.flushHeaders();
    });
    expect(answer.statusCode).toBe(401);
  });

  it("more at once than a session may send are refused, until one has ended", async () => {
    const begin = () => {
      const headers = { ...mac, "content-length": "4", "content-type": "application/octet-stream" };
      const put = request(`${api.url}/miner/blobs/${hash}`, { method: "PUT", headers });
      const status = new Promise<number | undefined>((resolve) => {
        put.on("response", (response) => {
          response.resume();
          resolve(response.statusCode);
        });
        put.on("error", () => resolve(undefined));
      });
      put.flushHeaders();
      return { put, status };
    };
    const puts = Array.from({ length: limits.blobUploads + 1 }, begin);
    const refused = await Promise.any(
      puts.map(async (one) => ((await one.status) === 429 ? one : Promise.reject(new Error("stored")))),
    );
    refused.put.destroy();
    const others = puts.filter((one) => one !== refused);
    others[0]?.put.end(new Uint8Array(4));
    expect(await others[0]?.status).toBe(204);
    expect((await blob({ method: "PUT", headers: mac, body: new Uint8Array(4) })).status).toBe(204);
    for (const { put } of others.slice(1)) put.end(new Uint8Array(4));
    expect(await Promise.all(others.map(({ status }) => status))).toEqual(others.map(() => 204));
  });

  it("wrong MAC, and too large", async () => {
    const wrong = await blob({ headers: { ...mac, "x-tabgrid-session": "s_2" } });
    expect([wrong.status, (await wrong.json()).code]).toEqual([401, "bad-authentication"]);
    const large = await blob({ method: "PUT", headers: mac, body: new Uint8Array(limits.blobBytes + 1) });
    expect([large.status, (await large.json()).code]).toEqual([413, "body-too-large"]);
  });
});
