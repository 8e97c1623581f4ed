import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { precompress } from "./precompress.ts";
import { startApi, type TestApi } from "./scripted-gateway.ts";

const folder = mkdtempSync(join(tmpdir(), "tabgrid-client-"));
const wasm = Buffer.from("\0asm".repeat(2000));
let api: TestApi;
beforeAll(async () => {
  for (const dir of ["contribute", "console", "assets", "ort"]) mkdirSync(join(folder, dir));
  writeFileSync(join(folder, "contribute/index.html"), "<title>contribute</title>");
  writeFileSync(join(folder, "console/index.html"), "<title>console</title>");
  writeFileSync(join(folder, "assets/main-abc.js"), "export {};");
  writeFileSync(join(folder, "ort/ort-wasm-abc.wasm"), wasm);
  writeFileSync(join(folder, "ort/ort-wasm-abc.mjs"), "export {};");
  api = await startApi({ clientDir: folder });
});
afterAll(async () => {
  await api.close();
  rmSync(folder, { recursive: true });
});

const raw: TestApi["raw"] = (...call) => api.raw(...call);

describe("pages", () => {
  it.each([
    ["/", "contribute"],
    ["/console", "console"],
    ["/console/", "console"],
    ["/?hub=x", "contribute"],
  ])("%s", async (path, title) => {
    const { status, headers, body } = await raw(path);
    expect([status, body.toString()]).toEqual([200, `<title>${title}</title>`]);
    expect(headers).toMatchObject({ "content-type": "text/html; charset=utf-8", "cache-control": "no-cache" });
  });

  it("say that they are not built", async () => {
    const bare = await startApi({ clientDir: join(folder, "nowhere") });
    const response = await bare.fetch("/");
    expect([response.status, await response.text()]).toEqual([503, expect.stringContaining("npm run build")]);
    await bare.close();
  });

  it("change when they are built again", async () => {
    const etag = String((await raw("/")).headers.etag);
    expect((await raw("/", { "if-none-match": etag })).status).toBe(304);
    writeFileSync(join(folder, "contribute/index.html"), "<title>contribute</title>");
    utimesSync(join(folder, "contribute/index.html"), 1, 1);
    expect((await raw("/", { "if-none-match": etag })).status).toBe(200);
  });
});

describe("assets", () => {
  it.each([
    ["/assets/main-abc.js", "text/javascript; charset=utf-8"],
    ["/ort/ort-wasm-abc.mjs", "text/javascript; charset=utf-8"],
    ["/ort/ort-wasm-abc.wasm", "application/wasm"],
  ])("%s is %s, kept for good and isolated", async (path, type) => {
    const { headers } = await raw(path);
    expect(headers).toMatchObject({
      "content-type": type,
      "cache-control": "public, max-age=31536000, immutable",
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-embedder-policy": "require-corp",
      "cross-origin-resource-policy": "same-origin",
    });
  });

  it("are sent as they are until they lie compressed, then in the encoding that the client takes", async () => {
    const path = "/ort/ort-wasm-abc.wasm";
    const plain = await raw(path, { "accept-encoding": "br, gzip" });
    expect(plain.headers["content-encoding"]).toBeUndefined();
    expect(plain.body.equals(wasm)).toBe(true);

    expect(await precompress(folder)).toBe(2);
    expect(await precompress(folder)).toBe(0);
    const br = await raw(path, { "accept-encoding": "gzip, br" });
    expect(br.headers).toMatchObject({
      "content-encoding": "br",
      vary: "accept-encoding",
      "content-type": "application/wasm",
    });
    expect(brotliDecompressSync(br.body).equals(wasm)).toBe(true);
    const gz = await raw(path, { "accept-encoding": "gzip" });
    expect(gz.headers["content-encoding"]).toBe("gzip");
    expect(gunzipSync(gz.body).equals(wasm)).toBe(true);
    expect((await raw(path)).body.equals(wasm)).toBe(true);
    expect(new Set([plain, br, gz].map(({ headers }) => headers.etag)).size).toBe(3);
  });

  it("small ones are not compressed, and encoded files have no address of their own", async () => {
    expect(existsSync(join(folder, "assets/main-abc.js.br"))).toBe(false);
    expect((await raw("/ort/ort-wasm-abc.wasm.br")).status).toBe(404);
  });

  it.each(["/assets/none.js", "/../package.json", "/..%2fpackage.json", "/assets", "/contribute"])(
    "%s: 404",
    async (path) => {
      expect((await raw(path)).status).toBe(404);
    },
  );
});
