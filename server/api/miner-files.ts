import type { Request, Response } from "express";
import { z } from "zod";
import { problemSchema } from "../../shared/api.ts";
import { failure, TabgridFailure } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { Gateway } from "../gateway/gateway.ts";
import { type Endpoint, segment } from "./endpoint.ts";
import { fault, notFound, unwrap } from "./error-reply.ts";
import { sendFile } from "./send-file.ts";

const tag = "Miners";
const problem = { description: "problem", type: "application/problem+json", schema: problemSchema };
const bytes = { description: "bytes", type: "application/octet-stream" };
/** A version's files never change, and must arrive byte for byte. */
const forever = "public, max-age=31536000, immutable, no-transform";

/** What a miner fetches over HTTP: manifests, model files, and tensors too large for the socket. */
export function minerFiles(gateway: Gateway): Endpoint[] {
  const admit = (request: Request, method: "GET" | "PUT"): string => {
    const { session, sha256, token } = credentials(request);
    unwrap(gateway.allowsBlob(session, method, sha256, token));
    return session;
  };
  const uploads = uploadsOf();
  return [
    {
      method: "get",
      path: "/models/:model/:version/manifest.json",
      tag,
      summary: "The manifest of a model version",
      access: "open",
      replies: { 200: { description: "models/manifest.ts", schema: z.record(z.string(), z.unknown()) }, 404: problem },
      handle: (request, response) => {
        const model = segment(request, "model");
        const version = segment(request, "version");
        const found = gateway.model(model, version);
        if (!found) throw notFound("unknown-model", "model", `${model}@${version}`);
        response.set("cache-control", forever).json(found.manifest);
      },
    },
    {
      method: "get",
      path: "/models/:model/:version/files/*path",
      tag,
      summary: "A file of a model version; ranges are served, the ETag is its SHA-256",
      access: "open",
      replies: { 200: bytes, 206: bytes, 404: problem, 416: problem },
      handle: (request, response) => sendModelFile(gateway, request, response),
    },
    {
      method: "get",
      path: "/miner/blobs/:sha256",
      tag,
      summary: "A tensor by its hash; for a connected miner (docs/protocol.md)",
      access: "open",
      replies: { 200: bytes, 401: problem, 404: problem },
      admit: (request) => void admit(request, "GET"),
      handle: (request, response) => {
        const data = unwrap(gateway.getBlob(segment(request, "sha256")));
        response.set("cache-control", "private, no-store").type("application/octet-stream").send(data);
      },
    },
    {
      method: "put",
      path: "/miner/blobs/:sha256",
      tag,
      summary: "Store a tensor by its hash; for a connected miner (docs/protocol.md)",
      access: "open",
      body: { type: "application/octet-stream", limitBytes: limits.blobBytes, tooLarge: "body-too-large" },
      replies: { 204: { description: "stored" }, 400: problem, 401: problem, 413: problem, 429: problem },
      admit: (request) => uploads.begin(request, admit(request, "PUT")),
      handle: (request, response) => {
        unwrap(gateway.putBlob(segment(request, "sha256"), request.body));
        response.status(204).end();
      },
    },
  ];
}

/** Bodies on their way in lie in memory: a session has no more of them than a miner that sends one result after another. */
function uploadsOf() {
  const open = new Map<string, number>();
  return {
    begin(request: Request, session: string): void {
      const others = open.get(session) ?? 0;
      if (others >= limits.blobUploads) {
        const expected = `at most ${limits.blobUploads} uploads at once`;
        throw new TabgridFailure(failure("rate-limited", `expected ${expected}`, { expected, retryAfter: 1 }));
      }
      open.set(session, others + 1);
      request.once("close", () => {
        const left = (open.get(session) ?? 1) - 1;
        if (left > 0) open.set(session, left);
        else open.delete(session);
      });
    },
  };
}

function sendModelFile(gateway: Gateway, request: Request, response: Response): Promise<void> {
  const path = segment(request, "path");
  const found = gateway.modelFile(segment(request, "model"), segment(request, "version"), path);
  if (!found) throw notFound("not-found", "path", path);
  response.set({ etag: `"${found.sha256}"`, "cache-control": forever, "content-type": "application/octet-stream" });
  return sendFile(response, found.file);
}

/** The shape alone. */
function credentials(request: Request): { session: string; sha256: string; token: string } {
  const sha256 = segment(request, "sha256");
  const session = request.get("x-tabgrid-session") ?? "";
  const given = request.get("authorization") ?? "";
  const token = /^Tabgrid ([0-9a-f]{64})$/.exec(given)?.[1] ?? "";
  const wrong = !/^[0-9a-f]{64}$/.test(sha256)
    ? fault("invalid-request", "sha256", "64 lower-case hex digits", sha256)
    : session === ""
      ? fault("unauthenticated", "x-tabgrid-session", "the session's id", "nothing")
      : token === ""
        ? fault(
            "unauthenticated",
            "authorization",
            "Tabgrid and 64 hex digits",
            given === "" ? "nothing" : "other text",
          )
        : null;
  if (wrong) throw new TabgridFailure(wrong.error);
  return { session, sha256, token };
}
