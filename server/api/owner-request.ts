import type { z } from "zod";
import {
  type OwnerRequest,
  ownerRequestSchema,
  ownerRequestText,
  type signedOwnerRequestSchema,
} from "../../shared/epoch-api.ts";
import { failure, type TabgridError } from "../../shared/errors.ts";
import { type OwnerId, ownerOf } from "../../shared/ids.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { ed25519PublicKey, minerIdOf, verifyEd25519 } from "../sockets/identity.ts";
import { parseJson } from "./json-text.ts";
import { check } from "./validation.ts";

/** How old a signed request may be, and how far ahead of the hub's clock. */
const FRESH_MS = 5 * 60_000;

/** An owner has no API key: whoever signs with the key whose hash its name is, is the owner. */
export function readOwnerRequest<Action extends OwnerRequest["action"]>(
  { public_key, request: text, signature }: z.output<typeof signedOwnerRequestSchema>,
  action: Action,
  hub: string,
  now: number,
): Result<{ owner: OwnerId; request: Extract<OwnerRequest, { action: Action }> }, TabgridError> {
  const key = Buffer.from(public_key, "base64url");
  if (!isSigned(key, text, Buffer.from(signature, "base64url"))) {
    const expected = "Ed25519 over the request by this key";
    return err(failure("bad-signature", "the request is not signed by this key", { field: "signature", expected }));
  }
  const parsed = parseJson(Buffer.from(text), "request");
  if (!parsed.ok) return parsed;
  const request = check(ownerRequestSchema, parsed.value, "request");
  if (!request.ok) return request;
  const { at, hub: named } = request.value;
  if (named !== hub) {
    const detail = { field: "request.hub", expected: hub, got: named };
    return err(failure("bad-signature", "this was signed for another hub", detail));
  }
  if (Math.abs(now - at) > FRESH_MS) {
    const detail = { field: "request.at", expected: `within ${FRESH_MS} ms of ${now}`, got: String(at) };
    return err(failure("stale-nonce", "the request was signed too long ago", detail));
  }
  if (request.value.action !== action) {
    const detail = { field: "request.action", expected: action, got: request.value.action };
    return err(failure("invalid-request", "this was signed for another end", detail));
  }
  const owner = ownerOf(minerIdOf(key));
  return ok({ owner, request: request.value as Extract<OwnerRequest, { action: Action }> });
}

function isSigned(key: Uint8Array, text: string, signature: Uint8Array): boolean {
  if (key.byteLength !== 32 || signature.byteLength !== 64) return false;
  try {
    return verifyEd25519(ed25519PublicKey(key), Buffer.from(ownerRequestText(text)), signature);
  } catch {
    // No point of the curve.
    return false;
  }
}
