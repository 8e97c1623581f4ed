import { existsSync, readdirSync, statSync } from "node:fs";
import { extname, join, relative, sep } from "node:path";
import { type RequestHandler, Router } from "express";
import { encodings, isCompressible, isFresh, suffixes } from "./precompress.ts";
import { sendFile } from "./send-file.ts";

/** As vite.config.ts lays the build out. */
const pages: Record<string, string> = {
  "/": "/contribute/index.html",
  "/console": "/console/index.html",
  "/portal": "/portal/index.html",
};
const hashed = /^\/(assets|ort)\//;
const notBuilt = "The pages are not built yet: npm run build makes them.\n";

const contentTypes: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".wasm": "application/wasm",
  ".woff2": "font/woff2",
};

/**
 * The built pages. Only files that were in the folder at start are known, so no path can lead out of it. Files with a hash
 * in their name are cached for good; the smallest encoding that lies ready (precompress.ts) and that the client takes is
 * sent, and nothing is compressed on the way.
 */
export function staticPages(clientDir: string): RequestHandler {
  const files = new Map(filesIn(clientDir).map((file) => [`/${relative(clientDir, file).split(sep).join("/")}`, file]));
  const router = Router();
  router.use(async (request, response, next) => {
    if (request.method !== "GET" && request.method !== "HEAD") return next();
    const path = request.path.length > 1 ? request.path.replace(/\/$/, "") : request.path;
    const page = pages[path];
    const file = files.get(page ?? path);
    if (file === undefined) {
      return page === undefined ? next() : void response.status(503).type("text").send(notBuilt);
    }
    const encoding = encodings.find(
      (name) => isCompressible(file) && request.acceptsEncodings(name) === name && isFresh(file, name),
    );
    const sent = encoding === undefined ? file : `${file}${suffixes[encoding]}`;
    const { size, mtimeMs } = statSync(sent);
    response.set({
      "content-type": contentTypes[extname(file)] ?? "application/octet-stream",
      "cache-control": hashed.test(path) ? "public, max-age=31536000, immutable" : "no-cache",
      etag: `"${size.toString(16)}-${Math.floor(mtimeMs).toString(16)}"`,
    });
    if (isCompressible(file)) response.vary("accept-encoding");
    if (encoding !== undefined) response.set("content-encoding", encoding);
    await sendFile(response, sent);
  });
  return router;
}

function filesIn(dir: string): string[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !Object.values(suffixes).includes(extname(entry.name)))
    .map((entry) => join(entry.parentPath, entry.name));
}
