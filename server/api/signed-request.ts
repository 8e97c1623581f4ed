import type { z } from "zod";
import { failure, type TabgridError } from "../../shared/errors.ts";
import type { MinerId } from "../../shared/ids.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { type RequestKind, requestText, type SignedRequest } from "../../shared/signed-request.ts";
import type { Millis } from "../../shared/time.ts";
import { ed25519PublicKey, minerIdOf, verifyEd25519 } from "../sockets/identity.ts";
import { parseJson } from "./json-text.ts";
import { check } from "./validation.ts";

/** How old a signed request may be, and how far ahead of the hub's clock. */
const FRESH_MS = 5 * 60_000;

/** Whoever signs with the key whose hash is a miner's name is that miner. The same text again is the caller's to tell. */
export function readSigned<Schema extends z.ZodType<{ hub: string; at: Millis }>>(
  { public_key, request: text, signature }: SignedRequest,
  kind: RequestKind,
  schema: Schema,
  { hubKey, now }: { hubKey: string; now: Millis },
): Result<{ miner: MinerId; request: z.output<Schema> }, TabgridError> {
  const key = Buffer.from(public_key, "base64url");
  const refuse = (field: string, expected: string, got = "another one") =>
    err(failure("bad-signature", "the request is not signed by this key for this hub", { field, expected, got }));
  if (key.byteLength !== 32) return refuse("public_key", "32 bytes, base64url", `${key.byteLength} bytes`);
  if (!isSignedBy(key, requestText(kind, text), Buffer.from(signature, "base64url"))) {
    return refuse("signature", `Ed25519 by this key over tabgrid/${kind}/1 and the request`);
  }
  const parsed = parseJson(Buffer.from(text), "request");
  if (!parsed.ok) return parsed;
  const request = check(schema, parsed.value, "request");
  if (!request.ok) return request;
  const { at, hub: named } = request.value;
  if (named !== hubKey) return refuse("request.hub", hubKey, named);
  if (Math.abs(now - at) > FRESH_MS) {
    const detail = { field: "request.at", expected: `within ${FRESH_MS} ms of ${now}`, got: String(at) };
    return err(failure("stale-nonce", "the request was not signed just now", detail));
  }
  return ok({ miner: minerIdOf(key), request: request.value });
}

function isSignedBy(key: Uint8Array, text: string, signature: Uint8Array): boolean {
  try {
    return verifyEd25519(ed25519PublicKey(key), Buffer.from(text), signature);
  } catch {
    // No point of the curve.
    return false;
  }
}
