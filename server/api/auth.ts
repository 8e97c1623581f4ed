import { hash, randomBytes, timingSafeEqual } from "node:crypto";
import type { Request, Response } from "express";
import { failure, TabgridFailure } from "../../shared/errors.ts";
import type { CustomerId } from "../../shared/ids.ts";
import { assert } from "../../shared/result.ts";

/** Who is behind a request. `key` names the API key, for rate limits and logs; it is not the secret. */
export type Principal = { kind: "customer"; customer: CustomerId; key: string } | { kind: "operator" };

/** On the path of every request, so synchronous and from memory: at most 20 µs. */
export interface Keys {
  verify(presented: string): Principal | null;
}

/** Keys of people are random, so one round of SHA-256 is as good as a slow hash. Hex; only this is ever stored. */
export const hashKey = (presented: string): string => hash("sha256", presented, "hex");

/** A new key: `tg_<id>_<secret>`, 128 and 256 random bits. `presented` is shown once and then only its hash is kept. */
export function makeKey(): { id: string; presented: string; keyHash: string } {
  const id = randomBytes(16).toString("hex");
  const presented = `tg_${id}_${randomBytes(32).toString("base64url")}`;
  return { id, presented, keyHash: hashKey(presented) };
}

/** Found by the first half of its hash, then the whole hash is compared in constant time. */
export class KeyRing implements Keys {
  #byPrefix = new Map<string, { digest: Buffer; principal: Principal }>();

  add(keyHash: string, principal: Principal): void {
    assert(/^[0-9a-f]{64}$/.test(keyHash), "a key's hash is 64 hex digits");
    this.#byPrefix.set(keyHash.slice(0, 32), { digest: Buffer.from(keyHash, "hex"), principal });
  }

  revoke(keyHash: string): void {
    this.#byPrefix.delete(keyHash.slice(0, 32));
  }

  verify(presented: string): Principal | null {
    if (!/^[\x21-\x7e]{16,256}$/.test(presented)) return null;
    const presentedHash = hashKey(presented);
    const found = this.#byPrefix.get(presentedHash.slice(0, 32));
    return found && timingSafeEqual(found.digest, Buffer.from(presentedHash, "hex")) ? found.principal : null;
  }
}

/** `open`: anyone. `key`: a customer or the operator. `operator`: the operator alone. */
export type Access = "open" | "key" | "operator";

/** Whoever the bearer token stands for; null without one. A wrong one is null as well: only `authorize` refuses. */
export function identify(request: Request, keys: Keys): Principal | null {
  const token = tokenOf(request.headers.authorization ?? "");
  return token === undefined ? null : keys.verify(token);
}

const tokenOf = (header: string): string | undefined => /^Bearer +(\S+) *$/i.exec(header)?.[1];

export function authorize(access: Access, principal: Principal | null, request: Request): void {
  if (access === "open") return;
  if (!principal) {
    const header = request.headers.authorization ?? "";
    const got =
      header === "" ? "no authorization header" : tokenOf(header) ? "a key that is not known" : "another scheme";
    const expected = `authorization: Bearer <${access === "operator" ? "operator token" : "API key"}>`;
    throw new TabgridFailure(
      failure("unauthenticated", `expected ${expected}, got ${got}`, { field: "authorization", expected, got }),
    );
  }
  if (access === "operator" && principal.kind !== "operator") {
    const detail = { field: "authorization", expected: "the operator token", got: "an API key" };
    throw new TabgridFailure(failure("forbidden", "only the operator may do this", detail));
  }
}

export const setPrincipal = (response: Response, principal: Principal | null): void => {
  response.locals.principal = principal;
};

/** Of a handler whose endpoint asks for a key. */
export function principalOf(response: Response): Principal {
  const principal = response.locals.principal as Principal | null;
  assert(principal, "this endpoint asks for no key");
  return principal;
}

/** Of an endpoint that is open: the customer where one says who it is. */
export function callerOf(response: Response): CustomerId | null {
  const principal = response.locals.principal as Principal | null;
  return principal?.kind === "customer" ? principal.customer : null;
}

/** The customer who pays; the operator's token has no account. */
export function customerOf(response: Response): CustomerId {
  const principal = principalOf(response);
  if (principal.kind === "customer") return principal.customer;
  const detail = { field: "authorization", expected: "an API key", got: "the operator token" };
  throw new TabgridFailure(failure("forbidden", "the operator token has no account that could pay", detail));
}
