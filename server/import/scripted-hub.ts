import { createHash } from "node:crypto";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** For tests: a server with the URL layout of a Hugging Face hub, whose faults are scripted. */
export interface ScriptedHub {
  endpoint: string;
  /** Paths that were asked for, with the range where there was one. */
  asked: string[];
  script: Script;
  close(): Promise<void>;
}

export interface Script {
  /** By `ORG/NAME`, or `ORG/NAME@REVISION` where it is not of `main`, then path. */
  repositories: Record<string, Record<string, Buffer>>;
  /** Instead of listing it. */
  status: Record<string, number>;
  /** Ends the connection after so many bytes of this file, once for each number. */
  cuts: Record<string, number[]>;
  /** Sends these bytes instead of those that it lists. */
  swapped: Record<string, Buffer>;
  /** Lists it, and answers 404. */
  missing: Set<string>;
  /** Lists this size. */
  sizes: Record<string, number>;
  /** What a card states. */
  licences: Record<string, string | string[]>;
  /** Where the bytes of large files are; `null`: on the same host. */
  redirectTo: string | null;
}

const keyOf = (repository: string, revision = "main") =>
  revision === "main" ? repository : `${repository}@${decodeURIComponent(revision)}`;
const LARGE = /\.onnx(_data)?$/;
const PAGE = 3;

export async function startScriptedHub(repositories: Script["repositories"]): Promise<ScriptedHub> {
  const script: Script = {
    ...{ repositories, status: {}, cuts: {}, swapped: {}, missing: new Set(), sizes: {}, licences: {} },
    redirectTo: null,
  };
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url as string, "http://hub");
    const { range } = request.headers;
    asked.push(range ? `${url.pathname} ${range}` : url.pathname);
    const [, shown, ofCard] = /^\/api\/models\/(.+)\/revision\/([^/]+)$/.exec(url.pathname) ?? [];
    if (shown !== undefined) return tellCard(keyOf(shown, ofCard), response);
    const [, listed, ofList] = /^\/api\/models\/(.+)\/tree\/([^/]+)$/.exec(url.pathname) ?? [];
    if (listed !== undefined) return list(keyOf(listed, ofList), url, response);
    const [, named, ofFile, path = ""] = /^\/(.+?)\/resolve\/([^/]+)\/(.+)$/.exec(url.pathname) ?? [];
    const repository = named === undefined ? undefined : keyOf(named, ofFile);
    if (repository !== undefined && LARGE.test(path) && script.missing.has(path) === false) {
      const target = `${script.redirectTo ?? ""}/cdn/${repository}/${path}`;
      return void response.writeHead(302, { location: target }).end();
    }
    const [, cdn, large = path] = /^\/cdn\/([^/]+\/[^/]+)\/(.+)$/.exec(url.pathname) ?? [];
    send(script.repositories[cdn ?? repository ?? ""]?.[large], large, range, response);
  });

  function tellCard(repository: string, response: ServerResponse): void {
    const license = script.licences[repository];
    const card = license === undefined ? {} : { cardData: { license, language: "en" } };
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ id: repository, ...card }));
  }

  function list(repository: string, url: URL, response: ServerResponse): void {
    const files = script.repositories[repository];
    const status = script.status[repository] ?? (files ? 200 : 404);
    if (status !== 200 || !files) return void response.writeHead(status).end("{}");
    const from = Number(url.searchParams.get("cursor") ?? 0);
    const entries = Object.entries(files).map(([path, data]) => {
      const size = script.sizes[path] ?? data.byteLength;
      const oid = createHash("sha1").update(`blob ${data.byteLength}\0`).update(data).digest("hex");
      const lfs = { oid: createHash("sha256").update(data).digest("hex"), size, pointerSize: 130 };
      return { type: "file", path, size, oid, ...(LARGE.test(path) && { lfs }) };
    });
    const all = [{ type: "directory", path: "onnx", size: 0, oid: "" }, ...entries];
    const next = `<${endpoint}${url.pathname}?recursive=1&cursor=${from + PAGE}>; rel="next"`;
    response.writeHead(200, { "content-type": "application/json", ...(from + PAGE < all.length && { link: next }) });
    response.end(JSON.stringify(all.slice(from, from + PAGE)));
  }

  function send(whole: Buffer | undefined, path: string, range: string | undefined, response: ServerResponse): void {
    if (!whole || script.missing.has(path)) return void response.writeHead(404).end();
    const data = script.swapped[path] ?? whole;
    const from = Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
    const headers = { "content-length": data.byteLength - from };
    if (range)
      response.writeHead(206, {
        ...headers,
        "content-range": `bytes ${from}-${data.byteLength - 1}/${data.byteLength}`,
      });
    else response.writeHead(200, headers);
    const cut = script.cuts[path]?.shift();
    if (cut === undefined) return void response.end(data.subarray(from));
    response.write(data.subarray(from, from + cut), () => setTimeout(() => response.destroy(), 20));
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { endpoint, asked, script, close: () => closed(server) };
}

const closed = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
