import { once } from "node:events";
import { createServer, request as forward, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";

/** A proxy in front of the hub, for what a test does to one tab alone: hand it a patched script, or cut its connection. */
export interface HubProxy {
  url: string;
  /** Drops every connection and refuses new ones for so long. */
  cut(ms: number): void;
  close(): Promise<void>;
}

export interface Patch {
  path: RegExp;
  /** Put before the script. */
  prefix: string;
  /** What the proxy itself answers with, by path. */
  files?: Record<string, Uint8Array>;
}

/**
 * A page that lies, without a hook in the product: lines put before the inference worker. It computes everything rightly,
 * passes its known answers, and from then on turns every float32 output back to front before it leaves the worker.
 */
export const tampering: Patch = {
  path: /\/assets\/inference\.worker-[^/]*\.js$/,
  prefix: `
let honest = 9;
const post = self.postMessage.bind(self);
const outputsIn = (value) => {
  if (!value || typeof value !== "object") return [];
  if (value.dtype === "float32" && value.data instanceof Uint8Array) return [value];
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return [];
  return Object.values(value).flatMap(outputsIn);
};
self.postMessage = (message, transfer) => {
  const outputs = outputsIn(message);
  if (outputs.length > 0 && honest-- <= 0) {
    for (const { data } of outputs) new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4).reverse();
  }
  post(message, transfer);
};
`,
};

/**
 * A page that makes texts at a pace that a test can interfere with: a pause before each part leaves the inference worker.
 */
export const unhurried = (pauseMs: number): Patch => ({
  path: /\/assets\/inference\.worker-[^/]*\.js$/,
  prefix: `
const postPart = MessagePort.prototype.postMessage;
MessagePort.prototype.postMessage = function (...message) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ${pauseMs});
  return postPart.apply(this, message);
};
`,
});

/**
 * A page that sells a cheap copy of a text model under its name. It loads both: the published graph passes the known answers
 * and judges the texts of others, the copy makes the texts.
 */
export const swapping = (copy: Uint8Array): Patch => ({
  path: /\/assets\/inference\.worker-[^/]*\.js$/,
  files: { "/cheap-copy.onnx": copy },
  prefix: `
if (!self.name.includes("tabgrid-swap")) {
  const script = (kind) => new Worker(self.location.href, { type: "module", name: "tabgrid-swap " + kind });
  const [published, cheap] = [script("published"), script("cheap")];
  const loads = new Set();
  published.onmessage = ({ data, ports }) => self.postMessage(data, [...ports]);
  cheap.onmessage = ({ data, ports }) => {
    if (!loads.delete(data.id)) self.postMessage(data, [...ports]);
  };
  const pass = async ({ data, ports }) => {
    const call = data?.path?.at(-1);
    if (call === "generate" || call === "cancel") return cheap.postMessage(data, [...ports]);
    published.postMessage(data, [...ports]);
    const request = data?.argumentList?.[0]?.value;
    if (call !== "load" || !request?.text) return;
    loads.add(data.id);
    const graph = await (await fetch("/cheap-copy.onnx")).blob();
    cheap.postMessage({ ...data, argumentList: [{ type: "RAW", value: { ...request, graph } }] });
  };
  self.addEventListener("message", (message) => void pass(message));
  await new Promise(() => undefined);
}
`,
});

export async function hubProxy(hubUrl: string, patch: Patch | null = null): Promise<HubProxy> {
  const hub = new URL(hubUrl);
  const sockets = new Set<Duplex>();
  let cutUntil = 0;
  const server = createServer((incoming, outgoing) => pass(hub, patch, incoming, outgoing));
  server.on("connection", (socket: Socket) => {
    if (Date.now() < cutUntil) return void socket.destroy();
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.on("upgrade", (incoming, socket, head) => tunnel(hub, incoming, socket, head));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut(ms) {
      cutUntil = Date.now() + ms;
      for (const socket of sockets) socket.destroy();
    },
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

function pass(hub: URL, patch: Patch | null, incoming: IncomingMessage, outgoing: ServerResponse): void {
  const { method, url: path } = incoming;
  const own = patch?.files?.[path ?? ""];
  if (own) {
    // The page runs isolated, and takes from its origin only what says that it may be embedded.
    const isolation = { "cross-origin-embedder-policy": "require-corp", "cross-origin-resource-policy": "same-origin" };
    return void outgoing.writeHead(200, isolation).end(own);
  }
  const patched = patch?.path.test(path ?? "") ?? false;
  const headers = { ...incoming.headers, host: hub.host, ...(patched && { "accept-encoding": "identity" }) };
  const upstream = forward({ host: hub.hostname, port: hub.port, method, path, headers }, (answer) => {
    const answerHeaders = { ...answer.headers };
    if (patched) delete answerHeaders["content-length"];
    outgoing.writeHead(answer.statusCode ?? 502, answerHeaders);
    if (patched) outgoing.write(patch?.prefix);
    answer.pipe(outgoing);
  });
  upstream.on("error", () => outgoing.destroy());
  incoming.pipe(upstream);
}

/** The websocket: its request line and headers again, then bytes both ways. */
function tunnel(hub: URL, incoming: IncomingMessage, socket: Duplex, head: Buffer): void {
  const upstream = connect(Number(hub.port), hub.hostname, () => {
    const lines = [`${incoming.method} ${incoming.url} HTTP/1.1`];
    for (let i = 0; i < incoming.rawHeaders.length; i += 2) {
      const name = incoming.rawHeaders[i] as string;
      lines.push(`${name}: ${name.toLowerCase() === "host" ? hub.host : incoming.rawHeaders[i + 1]}`);
    }
    upstream.write(`${lines.join("\r\n")}\r\n\r\n`);
    upstream.write(head);
    upstream.pipe(socket).pipe(upstream);
  });
  for (const end of [upstream, socket]) {
    const both = () => {
      upstream.destroy();
      socket.destroy();
    };
    end.on("error", both);
    end.on("close", both);
  }
}
