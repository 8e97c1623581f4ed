import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { describe, expect, it } from "vitest";
import { minerRequestSchema } from "../../shared/economy-api.ts";
import { addressRequestSchema, spendRequestSchema } from "../../shared/epoch-api.ts";
import { type RequestKind, requestText, type SignedRequest } from "../../shared/signed-request.ts";
import { minerIdOf, rawPublicKey } from "../sockets/identity.ts";
import { readSigned } from "./signed-request.ts";

const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const raw = rawPublicKey(publicKey);
const now = 10_000_000;
const here = { hubKey: "the-hub", now };

/** All that is signed over HTTP, by what reads it. */
const forms = [
  ["leave", "miner-request", minerRequestSchema, { action: "leave", domain: "vision" }],
  ["spend", "owner-request", spendRequestSchema, { action: "spend", customer: "c_ann", amount: "7" }],
  ["payout-address", "owner-request", addressRequestSchema, { action: "payout-address", address: "0x1", proof: "0x2" }],
] as const;

const bound = (request: object, more: object = {}) => JSON.stringify({ ...request, hub: "the-hub", at: now, ...more });
function signed(kind: RequestKind, request: string, by: KeyObject = privateKey): SignedRequest {
  const signature = sign(null, Buffer.from(requestText(kind, request)), by).toString("base64url");
  return { public_key: Buffer.from(raw).toString("base64url"), request, signature };
}

describe.each(forms)("a signed %s", (_, kind, schema, request) => {
  const other: RequestKind = kind === "miner-request" ? "owner-request" : "miner-request";
  const good = signed(kind, bound(request));

  it.each([0, 300_000, -300_000])("is its miner's, %i ms off the hub's clock", (off) => {
    const asked = readSigned(signed(kind, bound(request, { at: now - off })), kind, schema, here);
    expect(asked).toMatchObject({ ok: true, value: { miner: minerIdOf(raw), request: { ...request, at: now - off } } });
  });

  const refusals: [string, SignedRequest, string, string][] = [
    [
      "by another key",
      signed(kind, bound(request), generateKeyPairSync("ed25519").privateKey),
      "bad-signature",
      "signature",
    ],
    [
      "changed after it was signed",
      { ...good, request: bound(request, { at: now + 1 }) },
      "bad-signature",
      "signature",
    ],
    ["signed for another end", signed(other, bound(request)), "bad-signature", "signature"],
    ["under no signature", { ...good, signature: "" }, "bad-signature", "signature"],
    [
      "under a signature that is too long",
      { ...good, signature: `${good.signature}AAAA` },
      "bad-signature",
      "signature",
    ],
    ["by no key", { ...good, public_key: "" }, "bad-signature", "public_key"],
    [
      "by a key of 33 bytes",
      { ...good, public_key: Buffer.alloc(33, raw).toString("base64url") },
      "bad-signature",
      "public_key",
    ],
    [
      "by no point of the curve",
      { ...good, public_key: Buffer.alloc(32, 2).toString("base64url") },
      "bad-signature",
      "signature",
    ],
    ["for another hub", signed(kind, bound(request, { hub: "x" })), "bad-signature", "request.hub"],
    ["that is too old", signed(kind, bound(request, { at: now - 300_001 })), "stale-nonce", "request.at"],
    ["of the future", signed(kind, bound(request, { at: now + 300_001 })), "stale-nonce", "request.at"],
    ["that is no JSON", signed(kind, "{"), "malformed-json", "request"],
    ["with a field too many", signed(kind, bound(request, { tax: 1 })), "invalid-request", "tax"],
    ["without its time", signed(kind, bound(request, { at: null })), "invalid-request", "at"],
    ["with another action", signed(kind, bound({ ...request, action: "slash" })), "invalid-request", "action"],
  ];
  it.each(refusals)("is refused %s", (_, body, code, field) => {
    expect(readSigned(body, kind, schema, here)).toMatchObject({ ok: false, error: { code, field } });
  });
});
