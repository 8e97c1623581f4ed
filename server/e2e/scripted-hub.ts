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
import { createReadStream, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import * as ort from "onnxruntime-web";
import { type Socket, Server as SocketServer } from "socket.io";
import * as parser from "socket.io-msgpack-parser";
import { manifestSchema } from "../../models/manifest.ts";
import {
  type AssignmentMode,
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
  type TokensItem,
  type TokensMessage,
  type WireTensor,
} from "../../shared/protocol.ts";
import { canonicalBytes, type Tensor, tensorOf } from "../../shared/tensor.ts";

/**
 * The built page in a real Chromium against a scripted hub: Socket.IO, HTTP and cryptography are real, the hub's decisions
 * are the test's.
 */
export const root = join(import.meta.dirname, "../..");
export const digits = readFileSync(join(root, "models/digits/model.onnx"));
export const KEY = "digits@1";
const WORK_MS = 60_000;

export const sha256 = (...parts: Uint8Array[]) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};
const base64url = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");
const publicKeyOf = (crv: "Ed25519" | "X25519", raw: Uint8Array) =>
  createPublicKey({ key: { kty: "OKP", crv, x: base64url(raw) }, format: "jwk" });

/** Protobuf by hand: one node, `y = op(x)`, float32, of any shape. */
export function oneNodeModel(op: string): Uint8Array {
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

export const manifestOf = (file: Uint8Array) =>
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
export function picture(number: number, rows = 1): Tensor {
  const pixels = Float32Array.from({ length: rows * 784 }, (_, i) => ((i * 7 + number * 131) % 256) / 255);
  return tensorOf("image", "float32", [rows, 1, 28, 28], pixels);
}

export const wire = ({ name, dtype, shape, data }: Tensor): WireTensor => ({
  name,
  dtype,
  shape,
  data: Buffer.from(data.buffer, data.byteOffset, data.byteLength),
});

let reference: ort.InferenceSession;

/** What a miner's answers are compared with: the same model on ONNX Runtime in Node. */
export async function openReference(): Promise<void> {
  reference = await ort.InferenceSession.create(digits);
}

export async function expectedLogits(image: Tensor): Promise<Float32Array> {
  const data = new Float32Array(image.data.buffer, image.data.byteOffset, image.data.byteLength / 4);
  const { logits } = await reference.run({ image: new ort.Tensor("float32", data, image.shape) });
  return (logits as ort.Tensor).data as Float32Array;
}
export function logitsOf(outputs: readonly WireTensor[]): Float32Array {
  const data = outputs.find(({ name }) => name === "logits")?.data as Uint8Array;
  return new Float32Array(Uint8Array.from(data).buffer);
}

/** What came of one generation, over all connections. */
export interface ScriptedStream {
  tokens: number[];
  logProbabilities: number[];
  /** Of the chain, by how many tokens lie before it. */
  hashes: Map<number, Buffer>;
}

/** One connection of the miner, as the hub sees it. Everything that it sends is verified on arrival. */
export class Connection {
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
    tokens: [] as TokensMessage[],
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
    for (const event of ["status", "prepared", "prepareFailed", "failed", "tokens", "result", "chain"] as const) {
      socket.on(event, (raw) => {
        const parsed = protocolSchemas.minerToHub[event].safeParse(raw);
        if (!parsed.success) return hub.faults.push(`${event}: ${parsed.error.message}`);
        this.said[event].push(parsed.data as never);
        if (event === "result") for (const item of (parsed.data as ResultMessage).items) this.#result(item, hub);
        if (event === "tokens") for (const item of (parsed.data as TokensMessage).items) this.#tokens(item, hub);
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

  #tokens({ assignment, position, mac, ...part }: TokensItem, hub: ScriptedHub): void {
    const fault = (what: string) => void hub.faults.push(`${assignment} at ${position}: ${what}`);
    const start = sha256(preimages.tokensStart(assignment));
    const stream = hub.streams.get(assignment) ?? { tokens: [], logProbabilities: [], hashes: new Map([[0, start]]) };
    hub.streams.set(assignment, stream);
    const before = stream.hashes.get(position);
    if (!before) return fault("not in sequence");
    const hash = sha256(preimages.tokensLink(before, part.tokens, part.logProbabilities));
    const right = createHmac("sha256", this.key as Uint8Array)
      .update(preimages.tokens(assignment, position, hash))
      .digest();
    if (!right.equals(mac)) return fault("the MAC is wrong");
    const tokens = new Int32Array(Uint8Array.from(part.tokens).buffer);
    stream.hashes.set(position + tokens.length, hash);
    for (const [i, token] of tokens.entries()) {
      const known = stream.tokens[position + i];
      if (known !== undefined && known !== token) fault("another token than before");
      stream.tokens[position + i] = token;
    }
    const values = new Float32Array(Uint8Array.from(part.logProbabilities).buffer);
    for (const [i, value] of values.entries()) stream.logProbabilities[position + i] = value;
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

  prepare(vectors: Tensor[][] = [[picture(1)], [picture(2, 2)]], model = KEY): void {
    const base = `/models/${model.replace("@", "/")}`;
    this.socket.emit("prepare", {
      model,
      manifest: `${base}/manifest.json`,
      files: `${base}/files`,
      vectors: vectors.map((inputs) => inputs.map(wire)),
    });
  }

  assign(items: Record<string, WireTensor[]>, model = KEY, mode?: AssignmentMode): void {
    const list = Object.entries(items).map(([assignment, inputs]) => ({
      assignment,
      inputs,
      leaseMs: WORK_MS,
      ...(mode && { mode }),
    }));
    this.socket.emit("assign", { model, items: list });
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

export class ScriptedHub {
  readonly publicKey = new Uint8Array(randomBytes(32));
  readonly connections: Connection[] = [];
  /** What a correct miner never causes. */
  readonly faults: string[] = [];
  readonly blobs = new Map<string, Uint8Array>();
  readonly ranges: (string | undefined)[] = [];
  keep: string[] = [];
  file: Uint8Array = digits;
  /** Files of the model beside its graph, by their path. */
  readonly others = new Map<string, Uint8Array>();
  readonly streams = new Map<string, ScriptedStream>();
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
    const file = this.others.get((request.url ?? "").split("/files/")[1] ?? "") ?? this.file;
    this.ranges.push(range);
    const from = range ? Number(/^bytes=(\d+)-$/.exec(range)?.[1]) : 0;
    const size = file.byteLength;
    const headers = { "content-length": size - from, "content-range": `bytes ${from}-${size - 1}/${size}` };
    response.writeHead(range ? 206 : 200, headers);
    if (this.cutAfter === null) return void response.end(file.subarray(from));
    response.write(file.subarray(from, from + this.cutAfter), () => setTimeout(() => response.destroy(), 200));
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
