import { spawn } from "node:child_process";
import {
  createHash,
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  randomBytes,
  verify,
} from "node:crypto";
import { createReadStream, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import * as ort from "onnxruntime-web";
import puppeteer, { type Browser, type BrowserContext, type Page } from "puppeteer";
import { type Socket, Server as SocketServer } from "socket.io";
import * as parser from "socket.io-msgpack-parser";
import { build } from "vite";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { manifestSchema } from "../../models/manifest.ts";
import { chromiumFlags, findChromium } from "../../server/cli/chromium.mjs";
import {
  type ChainSignature,
  type Failed,
  type Hello,
  helloSchema,
  type MinerStatus,
  PROTOCOL_VERSION,
  type Prepared,
  type PrepareFailed,
  preimages,
  protocolSchemas,
  type ResultItem,
  type ResultMessage,
  type WireTensor,
} from "../../shared/protocol.ts";
import { canonicalBytes, type Tensor, tensorOf } from "../../shared/tensor.ts";
import type { MinerSettings, MinerView } from "./contract.ts";
import { defaultSettings } from "./contract.ts";

/**
 * The built page in a real Chromium against a scripted hub: Socket.IO, HTTP and cryptography are real, the hub's decisions
 * are the test's.
 */
const root = join(import.meta.dirname, "../..");
const digits = readFileSync(join(root, "models/digits/model.onnx"));
const KEY = "digits@1";
const WORK_MS = 60_000;

const sha256 = (...parts: Uint8Array[]) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};
const base64url = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");
const publicKeyOf = (crv: "Ed25519" | "X25519", raw: Uint8Array) =>
  createPublicKey({ key: { kty: "OKP", crv, x: base64url(raw) }, format: "jwk" });

/** Protobuf by hand: one node, `y = op(x)`, float32, of any shape. */
function oneNodeModel(op: string): Uint8Array {
  const field = (tag: number, value: Uint8Array) => [(tag << 3) | 2, value.length, ...value];
  const text = (tag: number, value: string) => field(tag, new TextEncoder().encode(value));
  const message = (...fields: number[][]) => Uint8Array.from(fields.flat());
  const tensor = message([1 << 3, 1], field(2, message(...[2, 1].map(() => field(1, text_("n"))))));
  const value = (name: string) => message(text(1, name), field(2, message(field(1, tensor))));
  const node = message(text(1, "x"), text(2, "y"), text(4, op));
  const graph = message(field(1, node), text(2, "g"), field(11, value("x")), field(12, value("y")));
  return message([1 << 3, 8], field(7, graph), field(8, message([2 << 3, 13])));
}
function text_(name: string): Uint8Array {
  return Uint8Array.from([(2 << 3) | 2, name.length, ...new TextEncoder().encode(name)]);
}

const manifestOf = (file: Uint8Array) =>
  manifestSchema.parse({
    schema: 1,
    id: "digits",
    version: "1",
    title: "Digits",
    description: "",
    task: "tensor",
    dtype: "fp32",
    opset: 14,
    files: [{ path: "model.onnx", role: "graph", sha256: sha256(file).toString("hex"), bytes: file.byteLength }],
    inputs: [{ name: "image", dtype: "float32", shape: ["batch_size", 1, 28, 28] }],
    outputs: [{ name: "logits", dtype: "float32", shape: ["batch_size", 10] }],
    batch: { limit: 32, dimension: "batch_size", rowsIndependent: true },
    comparator: { kind: "label", output: "logits", tau: 1e-3 },
    work: { kind: "affine", base: 0, perRow: 1_000_000 },
    memoryBytes: 64 * 1024 * 1024,
    licence: "Apache-2.0",
    creator: "tabgrid",
    royaltyBasisPoints: 0,
  });

/** A greyscale picture that depends on its number; `rows` of them. */
function picture(number: number, rows = 1): Tensor {
  const pixels = Float32Array.from({ length: rows * 784 }, (_, i) => ((i * 7 + number * 131) % 256) / 255);
  return tensorOf("image", "float32", [rows, 1, 28, 28], pixels);
}

const wire = ({ name, dtype, shape, data }: Tensor): WireTensor => ({
  name,
  dtype,
  shape,
  data: Buffer.from(data.buffer, data.byteOffset, data.byteLength),
});

let reference: ort.InferenceSession;
async function expectedLogits(image: Tensor): Promise<Float32Array> {
  const data = new Float32Array(image.data.buffer, image.data.byteOffset, image.data.byteLength / 4);
  const { logits } = await reference.run({ image: new ort.Tensor("float32", data, image.shape) });
  return (logits as ort.Tensor).data as Float32Array;
}
function logitsOf(outputs: readonly WireTensor[]): Float32Array {
  const data = outputs.find(({ name }) => name === "logits")?.data as Uint8Array;
  return new Float32Array(Uint8Array.from(data).buffer);
}

/** One connection of the miner, as the hub sees it. Everything that it sends is verified on arrival. */
class Connection {
  readonly nonce = new Uint8Array(randomBytes(32));
  readonly session = `s_${base64url(randomBytes(16))}`;
  readonly socket: Socket;
  hello: Hello | null = null;
  key: Uint8Array | null = null;
  results: ResultItem[] = [];
  signed = 0;
  readonly said = {
    status: [] as MinerStatus[],
    prepared: [] as Prepared[],
    prepareFailed: [] as PrepareFailed[],
    failed: [] as Failed[],
    result: [] as ResultMessage[],
    chain: [] as ChainSignature[],
  };
  readonly #links = [sha256(preimages.chainStart(this.session))];
  readonly #ephemeral = generateKeyPairSync("x25519");

  constructor(socket: Socket, hub: ScriptedHub) {
    this.socket = socket;
    const ephemeral = Buffer.from(this.#ephemeral.publicKey.export({ format: "jwk" }).x as string, "base64url");
    socket.on("hello", (raw, answer) => {
      const hello = helloSchema.parse(raw);
      const preimage = preimages.hello(this.nonce, hub.publicKey, ephemeral, hello.ephemeral);
      if (!verify(null, preimage, publicKeyOf("Ed25519", hello.publicKey), hello.signature)) {
        return hub.faults.push("the hello does not verify");
      }
      const shared = diffieHellman({
        privateKey: this.#ephemeral.privateKey,
        publicKey: publicKeyOf("X25519", hello.ephemeral),
      });
      const info = preimages.sessionInfo(hello.publicKey);
      this.key = new Uint8Array(hkdfSync("sha256", shared, this.nonce, info, 32));
      this.hello = hello;
      const miner = base64url(sha256(hello.publicKey)).slice(0, 22);
      const welcome = { session: this.session, miner: `m_${miner}`, owner: `own_${miner}`, keep: hub.keep, trust: 0.5 };
      answer({ ok: true, welcome });
    });
    for (const event of ["status", "prepared", "prepareFailed", "failed", "result", "chain"] as const) {
      socket.on(event, (raw) => {
        const parsed = protocolSchemas.minerToHub[event].safeParse(raw);
        if (!parsed.success) return hub.faults.push(`${event}: ${parsed.error.message}`);
        this.said[event].push(parsed.data as never);
        if (event === "result") for (const item of (parsed.data as ResultMessage).items) this.#result(item, hub);
        if (event === "chain") this.#chain(parsed.data as ChainSignature, hub);
      });
    }
    const bytes = (value: Uint8Array) => Buffer.from(value);
    socket.emit("challenge", {
      protocol: PROTOCOL_VERSION,
      hubKey: bytes(hub.publicKey),
      nonce: bytes(this.nonce),
      ephemeral,
    });
  }

  #result(item: ResultItem, hub: ScriptedHub): void {
    const outputs = item.outputs.map((tensor) => ({
      ...tensor,
      data: tensor.data ?? (hub.blobs.get(tensor.blob as string) as Uint8Array),
    }));
    const commitment = sha256(...canonicalBytes(outputs));
    const mac = createHmac("sha256", this.key as Uint8Array)
      .update(preimages.result(item.assignment, item.seq, commitment))
      .digest();
    if (!mac.equals(item.mac)) hub.faults.push(`${item.assignment}: the MAC is wrong`);
    if (item.seq !== this.results.length + 1) hub.faults.push(`${item.assignment}: out of sequence at ${item.seq}`);
    this.#links.push(sha256(preimages.chainLink(this.#links.at(-1) as Uint8Array, item.assignment, commitment)));
    this.results.push({ ...item, outputs });
  }

  #chain({ seq, link, signature }: ChainSignature, hub: ScriptedHub): void {
    const known = this.#links[seq];
    const key = publicKeyOf("Ed25519", (this.hello as Hello).publicKey);
    if (!known?.equals(link)) hub.faults.push(`chain: another link at ${seq}`);
    else if (!verify(null, preimages.chainSignature(this.session, seq, link), key, signature)) {
      hub.faults.push(`chain: the signature at ${seq} is wrong`);
    } else this.signed = seq;
  }

  prepare(vectors: Tensor[][] = [[picture(1)], [picture(2, 2)]]): void {
    const base = "/models/digits/1";
    this.socket.emit("prepare", {
      model: KEY,
      manifest: `${base}/manifest.json`,
      files: `${base}/files`,
      vectors: vectors.map((inputs) => inputs.map(wire)),
    });
  }

  assign(items: Record<string, WireTensor[]>): void {
    const list = Object.entries(items).map(([assignment, inputs]) => ({ assignment, inputs, leaseMs: WORK_MS }));
    this.socket.emit("assign", { model: KEY, items: list });
  }

  result = (assignment: string) => this.results.find((item) => item.assignment === assignment);
}

const contents: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".wasm": "application/wasm",
  ".svg": "image/svg+xml",
};
const csp =
  "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; report-uri /csp";

class ScriptedHub {
  readonly publicKey = new Uint8Array(randomBytes(32));
  readonly connections: Connection[] = [];
  /** What a correct miner never causes. */
  readonly faults: string[] = [];
  readonly blobs = new Map<string, Uint8Array>();
  readonly ranges: (string | undefined)[] = [];
  keep: string[] = [];
  file: Uint8Array = digits;
  manifest = manifestOf(digits);
  /** Paths of the page that are not there. */
  missing: RegExp | null = null;
  /** Cut the connection after so many bytes of the next download. */
  cutAfter: number | null = null;
  readonly #http: Server;
  readonly #sockets: SocketServer;

  constructor(folder: string) {
    this.#http = createServer((request, response) => this.#serve(folder, request, response));
    this.#sockets = new SocketServer(this.#http, { parser, transports: ["websocket"] });
    this.#sockets.of("/miner").on("connection", (socket) => this.connections.push(new Connection(socket, this)));
  }

  async listen(): Promise<void> {
    await new Promise<void>((listening) => this.#http.listen(0, "127.0.0.1", listening));
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    await this.#sockets.close();
  }

  #serve(folder: string, request: IncomingMessage, response: ServerResponse): void {
    const { pathname } = new URL(request.url ?? "/", "http://hub");
    response.setHeader("cross-origin-opener-policy", "same-origin");
    response.setHeader("cross-origin-embedder-policy", "require-corp");
    response.setHeader("content-security-policy", csp);
    if (pathname === "/csp") {
      let body = "";
      request.on("data", (chunk) => {
        body += chunk;
      });
      request.on("end", () => this.faults.push(body));
      return void response.writeHead(204).end();
    }
    if (pathname.endsWith("/manifest.json")) return void response.end(JSON.stringify(this.manifest));
    if (pathname.startsWith("/models/")) return this.#serveModel(request, response);
    if (pathname.startsWith("/miner/blobs/")) return this.#serveBlob(pathname.slice(13), request, response);
    if (this.missing?.test(pathname)) return void response.writeHead(404).end();
    const file = pathname === "/" ? "/contribute/index.html" : pathname;
    response.setHeader("content-type", contents[extname(file)] ?? "application/octet-stream");
    createReadStream(join(folder, file))
      .on("error", () => response.writeHead(404).end())
      .pipe(response);
  }

  #serveModel(request: IncomingMessage, response: ServerResponse): void {
    const { range } = request.headers;
    this.ranges.push(range);
    const from = range ? Number(/^bytes=(\d+)-$/.exec(range)?.[1]) : 0;
    const size = this.file.byteLength;
    const headers = { "content-length": size - from, "content-range": `bytes ${from}-${size - 1}/${size}` };
    response.writeHead(range ? 206 : 200, headers);
    if (this.cutAfter === null) return void response.end(this.file.subarray(from));
    response.write(this.file.subarray(from, from + this.cutAfter), () => setTimeout(() => response.destroy(), 200));
    this.cutAfter = null;
  }

  #serveBlob(hash: string, request: IncomingMessage, response: ServerResponse): void {
    const method = request.method as "GET" | "PUT";
    const connection = this.connections.find(({ session }) => session === request.headers["x-tabgrid-session"]);
    const token = createHmac("sha256", connection?.key ?? new Uint8Array())
      .update(preimages.blob(method, hash))
      .digest("hex");
    if (request.headers.authorization !== `Tabgrid ${token}`) {
      this.faults.push("a blob's token is wrong");
      return void response.writeHead(401).end();
    }
    if (method === "GET") return void response.end(this.blobs.get(hash));
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const data = Buffer.concat(chunks);
      if (sha256(data).toString("hex") === hash) this.blobs.set(hash, data);
      else this.faults.push("a blob has another hash");
      response.writeHead(204).end();
    });
  }
}

async function until<T>(
  what: string,
  look: () => T | undefined | null | false | Promise<T | undefined | null | false>,
): Promise<T> {
  const giveUpAt = Date.now() + 60_000;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > giveUpAt) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

let folder = "";
let browser: Browser;
let hub: ScriptedHub;
let context: BrowserContext;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "tabgrid-page-"));
  const output = { outDir: folder, emptyOutDir: true, reportCompressedSize: false, chunkSizeWarningLimit: 1000 };
  await build({ configFile: join(root, "vite.config.ts"), logLevel: "warn", build: output });
  reference = await ort.InferenceSession.create(digits);
  const executablePath = findChromium();
  browser = await puppeteer.launch({
    ...(executablePath ? { executablePath } : {}),
    args: chromiumFlags({ software: true }),
  });
});

afterAll(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(async () => {
  hub = new ScriptedHub(folder);
  await hub.listen();
  context = await browser.createBrowserContext();
});

afterEach(async () => {
  await context.close();
  await hub.close();
  expect(hub.faults).toEqual([]);
});

async function openPage(): Promise<Page> {
  const page = await context.newPage();
  page.on("pageerror", (error) => hub.faults.push(String(error)));
  await page.goto(hub.origin);
  await page.waitForSelector("[data-testid=start]");
  return page;
}

const viewOf = (page: Page): Promise<MinerView | null> => page.evaluate(() => globalThis.tabgridView ?? null);

async function start(page: Page, settings: Partial<MinerSettings> = {}): Promise<Connection> {
  const before = hub.connections.length;
  await page.evaluate(
    (all) =>
      globalThis.tabgridMiner
        ?.subscribe((view) => {
          globalThis.tabgridView = view;
        })
        .then(() => globalThis.tabgridMiner?.start(all)),
    { ...defaultSettings, runtime: "wasm" as const, ...settings },
  );
  return until("a hello", () => hub.connections.slice(before).find(({ hello }) => hello));
}

describe("a miner in a tab, on WASM", () => {
  it("connects and computes only after Start", async () => {
    await openPage();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(hub.connections).toHaveLength(0);
    expect(hub.ranges).toHaveLength(0);
  });

  it("proves its identity, prepares a model, computes as the reference does, and signs", async () => {
    const page = await openPage();
    const connection = await start(page);
    expect(connection.hello?.device).toMatchObject({ runtime: "wasm", fallback: false });
    connection.prepare();
    const [prepared] = await until("prepared", () => connection.said.prepared.length > 0 && connection.said.prepared);
    expect(logitsOf(prepared?.outputs[0] ?? [])).toEqual(await expectedLogits(picture(1)));
    expect(logitsOf(prepared?.outputs[1] ?? [])).toEqual(await expectedLogits(picture(2, 2)));
    await until("its status", () => connection.said.status.some(({ resident }) => resident[0] === KEY));

    connection.assign({ a_1: [wire(picture(3))], a_2: [wire(picture(4, 3))], a_3: [wire(picture(5))] });
    await until("three results", () => connection.results.length === 3);
    expect(logitsOf(connection.result("a_1")?.outputs ?? [])).toEqual(await expectedLogits(picture(3)));
    expect(logitsOf(connection.result("a_2")?.outputs ?? [])).toEqual(await expectedLogits(picture(4, 3)));
    expect(logitsOf(connection.result("a_3")?.outputs ?? [])).toEqual(await expectedLogits(picture(5)));
    await until("the chain's signature", () => connection.signed === 3);
    const view = await until("the view", async () => (await viewOf(page))?.completed === 3 && viewOf(page));
    expect(view).toMatchObject({ state: "ready", completed: 3, failed: 0, hub: { connected: true } });
    expect(view.models).toMatchObject([{ key: KEY, title: "Digits", state: "admitted", bytesDone: digits.byteLength }]);
  });

  it("answers for each item by itself when one of a message is wrong", async () => {
    const page = await openPage();
    const connection = await start(page);
    connection.prepare();
    await until("prepared", () => connection.said.prepared.length);
    const wrong = { ...wire(picture(1)), shape: [1, 1, 14, 56] };
    connection.assign({ a_1: [wire(picture(1))], a_2: [wrong], a_3: [{ ...wire(picture(1)), shape: [2, 1, 28, 28] }] });
    await until("both failures", () => connection.said.failed.length === 2);
    expect(connection.said.failed).toMatchObject([
      { assignments: ["a_3"], fault: "invalid-input" },
      { assignments: ["a_2"], fault: "invalid-input" },
    ]);
    expect(connection.results.map(({ assignment }) => assignment)).toEqual(["a_1"]);
  });

  it("carries large tensors as blobs, both ways", async () => {
    hub.file = oneNodeModel("Neg");
    hub.manifest = manifestOf(hub.file);
    const page = await openPage();
    const connection = await start(page);
    connection.prepare([
      [tensorOf("x", "float32", [1, 2], Float32Array.of(1, 2))],
      [tensorOf("x", "float32", [200, 1000], new Float32Array(200_000))],
    ]);
    const [prepared] = await until("prepared", () => connection.said.prepared.length > 0 && connection.said.prepared);
    expect(hub.blobs.get(prepared?.outputs[1]?.[0]?.blob as string)?.byteLength).toBe(800_000);
    hub.blobs.clear();
    const values = Float32Array.from({ length: 500_000 }, (_, i) => i);
    const large = tensorOf("x", "float32", [500, 1000], values);
    const hash = sha256(large.data).toString("hex");
    hub.blobs.set(hash, large.data);
    connection.assign({ a_1: [{ name: "x", dtype: "float32", shape: large.shape, blob: hash }] });
    await until("the result", () => connection.results.length);
    expect(connection.said.result[0]?.items[0]?.outputs[0]?.data).toBeUndefined();
    expect(hub.blobs.size).toBe(2);
    const output = connection.result("a_1")?.outputs[0]?.data as Uint8Array;
    expect(new Float32Array(Uint8Array.from(output).buffer)).toEqual(values.map((value) => -value));
  });

  it("does not take what is not finite for a result", async () => {
    hub.file = oneNodeModel("Log");
    hub.manifest = manifestOf(hub.file);
    const page = await openPage();
    const connection = await start(page);
    connection.prepare([[tensorOf("x", "float32", [1, 2], Float32Array.of(1, 2))]]);
    await until("prepared", () => connection.said.prepared.length);
    connection.assign({
      a_1: [wire(tensorOf("x", "float32", [1, 2], Float32Array.of(-1, 1)))],
      a_2: [wire(tensorOf("x", "float32", [1, 2], Float32Array.of(1, 3)))],
    });
    await until("a failure and a result", () => connection.said.failed.length && connection.results.length);
    expect(connection.said.failed).toMatchObject([{ assignments: ["a_1"], fault: "run-failed" }]);
    expect(connection.said.failed[0]?.message).toContain("not finite: y");
  });

  it("hands work back at pause and takes it again after resume", async () => {
    const page = await openPage();
    const connection = await start(page);
    connection.prepare();
    await until("prepared", () => connection.said.prepared.length);
    await page.evaluate(() => globalThis.tabgridMiner?.pause());
    connection.assign({ a_1: [wire(picture(1))] });
    await until("the refusal", () => connection.said.failed.length);
    expect(connection.said.failed).toMatchObject([{ assignments: ["a_1"], fault: "paused" }]);
    await page.evaluate(() => globalThis.tabgridMiner?.resume());
    connection.assign({ a_2: [wire(picture(1))] });
    await until("the result", () => connection.result("a_2"));
    await page.evaluate(() => globalThis.tabgridMiner?.finishThenStop());
    await until("the end", () => connection.socket.disconnected);
    expect(connection.signed).toBe(1);
    await until("stopped", async () => (await viewOf(page))?.state === "stopped");
  });

  it("comes back by itself after a lost connection, with the results that the hub still waits for", async () => {
    const page = await openPage();
    const first = await start(page);
    first.prepare();
    await until("prepared", () => first.said.prepared.length);
    first.assign({ a_1: [wire(picture(1))] });
    await until("the result", () => first.results.length);
    hub.keep = ["a_1"];
    first.socket.disconnect(true);
    const second = await until("the second hello", () => hub.connections.slice(1).find(({ hello }) => hello));
    expect(second.hello?.publicKey).toEqual(first.hello?.publicKey);
    expect(second.hello?.previous).toMatchObject({ session: first.session, chain: { seq: 1 } });
    await until("the same result again", () => second.result("a_1"));
    expect(second.said.prepared).toHaveLength(0);
    const [status] = await until("its status", () => second.said.status.length > 0 && second.said.status);
    expect(status?.resident).toEqual([KEY]);
  });

  it("resumes after a reload, as the same identity and without a second download", async () => {
    const page = await openPage();
    const first = await start(page);
    first.prepare();
    await until("prepared", () => first.said.prepared.length);
    const before = hub.connections.length;
    await page.reload();
    const second = await until("a hello after the reload", () =>
      hub.connections.slice(before).find(({ hello }) => hello),
    );
    expect(second.hello?.publicKey).toEqual(first.hello?.publicKey);
    expect(second.hello?.device.runtime).toBe("wasm");
    second.prepare();
    await until("prepared again", () => second.said.prepared.length);
    expect(hub.ranges).toHaveLength(1);
  });

  it("does not resume after a reload when it was paused", async () => {
    const page = await openPage();
    await start(page);
    await page.evaluate(() => globalThis.tabgridMiner?.pause());
    const before = hub.connections.length;
    await page.reload();
    await page.waitForSelector("[data-testid=start]");
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(hub.connections).toHaveLength(before);
  });

  it("goes on with a download where it was cut", async () => {
    hub.cutAfter = 50_000;
    const page = await openPage();
    const connection = await start(page);
    connection.prepare();
    const [prepared] = await until("prepared", () => connection.said.prepared.length > 0 && connection.said.prepared);
    expect(hub.ranges[0]).toBeUndefined();
    const from = Number(/^bytes=(\d+)-$/.exec(hub.ranges[1] ?? "")?.[1]);
    expect(from).toBeGreaterThan(0);
    expect(from).toBeLessThanOrEqual(50_000);
    expect(logitsOf(prepared?.outputs[0] ?? [])).toEqual(await expectedLogits(picture(1)));
  });

  it("refuses a file of another hash", async () => {
    hub.file = digits.map((byte, i) => (i === 100_000 ? byte ^ 1 : byte));
    const page = await openPage();
    const connection = await start(page);
    connection.prepare();
    await until("the refusal", () => connection.said.prepareFailed.length);
    expect(connection.said.prepareFailed).toMatchObject([{ model: KEY, fault: "load-failed" }]);
    expect(connection.said.prepareFailed[0]?.message).toContain("expected SHA-256");
    // The damaged file is not kept: the next try begins anew and passes.
    hub.file = digits;
    connection.prepare();
    await until("prepared", () => connection.said.prepared.length);
  });

  it("runs once per browser profile; the next tab takes over when the first closes", async () => {
    const first = await openPage();
    await start(first);
    const second = await openPage();
    const elsewhere = await until(
      "elsewhere",
      async () => (await viewOf(second))?.state === "elsewhere" && viewOf(second),
    );
    expect(elsewhere.why).toContain("Another tab");
    expect(hub.connections).toHaveLength(1);
    await first.close();
    await until("the second tab's hello", () => hub.connections.slice(1).find(({ hello }) => hello));
  });
});

describe("a miner in a tab, on WebGPU", () => {
  it("takes the software adapter only when asked, and then computes on it", async () => {
    const page = await openPage();
    const connection = await start(page, { runtime: "software", wasmFallback: false });
    expect(connection.hello?.device).toMatchObject({ runtime: "webgpu", fallback: true });
    connection.prepare();
    await until("prepared", () => connection.said.prepared.length);
    connection.assign({ a_1: [wire(picture(3))], a_2: [wire(picture(4, 2))] });
    await until("results", () => connection.results.length === 2);
    for (const [assignment, image] of [
      ["a_1", picture(3)],
      ["a_2", picture(4, 2)],
    ] as const) {
      const expected = await expectedLogits(image);
      const got = logitsOf(connection.result(assignment)?.outputs ?? []);
      for (const [i, value] of expected.entries()) expect(Math.abs((got[i] as number) - value)).toBeLessThan(1e-4);
    }
    expect((await viewOf(page))?.deviceNote).toBeNull();
  });

  it("falls back to WASM for a model that WebGPU cannot load, with a note, where the settings allow", async () => {
    hub.missing = /jspi.*wasm/;
    const page = await openPage();
    const connection = await start(page, { runtime: "software" });
    connection.prepare();
    await until("prepared", () => connection.said.prepared.length);
    expect(logitsOf(connection.said.prepared[0]?.outputs[0] ?? [])).toEqual(await expectedLogits(picture(1)));
    const note = await until("the note", async () => (await viewOf(page))?.deviceNote);
    expect(note).toContain("Digits runs on the processor");
    await page.evaluate((settings) => globalThis.tabgridMiner?.configure(settings), {
      ...defaultSettings,
      runtime: "software" as const,
      wasmFallback: false,
    });
    const strict = await until("a new hello", () => hub.connections.slice(1).find(({ hello }) => hello));
    strict.prepare();
    await until("the refusal", () => strict.said.prepareFailed.length);
    expect(strict.said.prepareFailed).toMatchObject([{ model: KEY, fault: "load-failed" }]);
  });

  it("reports a lost device as a failure, and computes again on a new one", async () => {
    const page = await openPage();
    const connection = await start(page, { runtime: "software", wasmFallback: false });
    connection.prepare();
    await until("prepared", () => connection.said.prepared.length);
    const devtools = await browser.target().createCDPSession();
    const { processInfo } = await devtools.send("SystemInfo.getProcessInfo");
    process.kill(processInfo.find(({ type }) => type === "GPU")?.id as number);
    connection.assign({ a_1: [wire(picture(3))] });
    await until("the failure", () => connection.said.failed.length);
    expect(connection.said.failed).toMatchObject([{ assignments: ["a_1"], fault: "device-lost" }]);
    connection.assign({ a_2: [wire(picture(3))] });
    await until("a result", () => connection.result("a_2"));
    const expected = await expectedLogits(picture(3));
    const got = logitsOf(connection.result("a_2")?.outputs ?? []);
    for (const [i, value] of expected.entries()) expect(Math.abs((got[i] as number) - value)).toBeLessThan(1e-4);
  });

  it("falls back to WASM with a note where the adapter is software, and fails where that is not allowed", async () => {
    const page = await openPage();
    const connection = await start(page, { runtime: "webgpu" });
    expect(connection.hello?.device.runtime).toBe("wasm");
    const view = await until("a view", () => viewOf(page));
    expect(view.deviceNote).toContain("software");
    await page.evaluate((settings) => globalThis.tabgridMiner?.configure(settings), {
      ...defaultSettings,
      runtime: "webgpu" as const,
      wasmFallback: false,
    });
    const failed = await until("failed", async () => (await viewOf(page))?.state === "failed" && viewOf(page));
    expect(failed.why).toContain("software");
  });
});

describe("npm run miner", () => {
  it("mines without a screen, keeps its identity, and finishes on Ctrl-C", async () => {
    const profile = mkdtempSync(join(tmpdir(), "tabgrid-profile-"));
    const run = () => {
      const script = join(root, "server/cli/miner.ts");
      const args = [script, "--hub", hub.origin, "--profile", profile, "--runtime", "wasm", "--slots", "2"];
      const child = spawn(join(root, "node_modules/.bin/node"), args, { cwd: root });
      const output = { text: "" };
      for (const stream of [child.stdout, child.stderr]) {
        stream.on("data", (chunk) => {
          output.text += chunk;
        });
      }
      const ended = new Promise<number | null>((resolve) => child.on("exit", resolve));
      return { child, output, ended };
    };
    const keys: Uint8Array[] = [];
    for (const round of [1, 2]) {
      const before = hub.connections.length;
      const { child, output, ended } = run();
      const connection = await until("a hello", () => hub.connections.slice(before).find(({ hello }) => hello));
      keys.push((connection.hello as Hello).publicKey);
      expect(connection.hello).toMatchObject({ slots: 2, device: { runtime: "wasm" } });
      connection.prepare();
      await until("prepared", () => connection.said.prepared.length);
      connection.assign({ [`a_${round}`]: [wire(picture(round))] });
      await until("the result", () => connection.results.length);
      await until("its report", () => output.text.includes("digits@1: admitted."));
      child.kill("SIGINT");
      expect(await ended).toBe(0);
      expect(output.text).toContain("State: mining.");
      expect(output.text).toContain("1 tasks done; 0.000000000 USDC available");
      expect(output.text.trimEnd()).toMatch(/Stopped\.$/);
      expect(connection.signed).toBe(1);
    }
    expect(keys[1]).toEqual(keys[0]);
    expect(hub.ranges).toHaveLength(1);
    rmSync(profile, { recursive: true, force: true });
  });
});
