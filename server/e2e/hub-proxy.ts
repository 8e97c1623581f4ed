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
