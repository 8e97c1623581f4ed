import { createHash } from "node:crypto";
import type { RequestHandler, Response } from "express";
import { failure, TabgridFailure } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { Clock } from "../../shared/time.ts";
import type { IdempotencyStore, KeptReply, KeyedRequest } from "../store/idempotency-store.ts";
import { principalOf } from "./auth.ts";
import { fault, unwrap } from "./error-reply.ts";

/**
 * `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a paid request that comes again within a day under the
 * same key gets the first reply and costs nothing. The reply is kept before it is sent. One that failed, and a stream that
 * was broken off, leave the key free.
 */
export function idempotency(store: IdempotencyStore, clock: Clock): RequestHandler {
  return async (request, response, next) => {
    const key = request.get("idempotency-key");
    const principal = principalOf(response);
    if (key === undefined || principal.kind !== "customer") return next();
    if (!/^[\x20-\x7e]{1,255}$/.test(key)) {
      unwrap(
        fault("invalid-request", "idempotency-key", "1 to 255 visible ASCII characters", `${key.length} characters`),
      );
    }
    const at = clock.now();
    const keyed: KeyedRequest = {
      customer: principal.customer,
      key,
      fingerprint: createHash("sha256").update(`${request.path}\n`).update(request.body).digest("hex"),
      at,
    };
    const claim = await store.claim(keyed, at - limits.keptReplyMs);
    const detail = { field: "idempotency-key", got: key.slice(0, 60) };
    switch (claim.kind) {
      case "in-flight":
        throw new TabgridFailure(
          failure("idempotency-in-flight", "the first request with this key is under way", {
            ...detail,
            retryAfter: 1,
          }),
        );
      case "mismatch":
        throw new TabgridFailure(failure("idempotency-mismatch", "this key was used for another request", detail));
      case "answered":
        response.status(claim.reply.status).set({ ...claim.reply.headers, "idempotency-replayed": "true" });
        response.end(Buffer.from(claim.reply.body, "base64"));
        return;
      case "claimed":
        response.locals.isKept = true;
        keep(response, store, keyed);
        next();
    }
  };
}

const keptHeader = /^(content-type|inference-header-content-length|x-tabgrid-.+)$/;

/** Listens to the reply as it is written, and keeps it before its end is sent. */
function keep(response: Response, store: IdempotencyStore, keyed: KeyedRequest): void {
  const parts: Buffer[] = [];
  let bytes = 0;
  let isOver = false;
  const gather = (chunk: unknown, encoding: unknown): void => {
    if (typeof chunk !== "string" && !(chunk instanceof Uint8Array)) return;
    const part = typeof chunk === "string" ? Buffer.from(chunk, asEncoding(encoding)) : Buffer.from(chunk);
    bytes += part.length;
    if (bytes <= limits.keptReplyBytes) parts.push(part);
    else parts.length = 0;
  };
  const settle = async (): Promise<void> => {
    if (isOver) return;
    isOver = true;
    const isGood = response.statusCode < 400 && !response.locals.incomplete;
    if (isGood && bytes <= limits.keptReplyBytes) await store.answer(keyed, replyOf(response, Buffer.concat(parts)));
    else if (!isGood) await store.release(keyed);
  };
  const write = response.write.bind(response) as (...args: unknown[]) => boolean;
  const end = response.end.bind(response) as (...args: unknown[]) => Response;
  response.write = ((...args: unknown[]) => {
    gather(args[0], args[1]);
    return write(...args);
  }) as Response["write"];
  response.end = ((...args: unknown[]) => {
    gather(args[0], args[1]);
    settle().then(
      () => end(...args),
      (error) => response.destroy(error),
    );
    return response;
  }) as Response["end"];
  // A handler that failed after its reply had begun ends nothing: the connection is cut.
  response.once("close", () => {
    if (response.locals.incomplete) settle().catch(() => {});
  });
}

const asEncoding = (given: unknown): BufferEncoding => (typeof given === "string" ? (given as BufferEncoding) : "utf8");

function replyOf(response: Response, body: Buffer): KeptReply {
  const headers = Object.entries(response.getHeaders()).filter(([name]) => keptHeader.test(name));
  return {
    status: response.statusCode,
    headers: Object.fromEntries(headers.map(([name, value]) => [name, String(value)])),
    body: body.toString("base64"),
  };
}
