import {
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  generateKeyPairSync,
  hash,
  hkdfSync,
  type KeyObject,
  sign,
  timingSafeEqual,
  verify,
} from "node:crypto";
import type { MinerId } from "../../shared/ids.ts";
import { preimages } from "../../shared/protocol.ts";
import { canonicalBytes, type Tensor } from "../../shared/tensor.ts";

/** The cryptography of the wire on the hub's side, all of it node:crypto: docs/protocol.md, "Identity". */

/** On Node the msgpack parser writes standard `bin` only from a Buffer: the same bytes, seen as one. */
export const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");

export function ed25519PublicKey(raw: Uint8Array): KeyObject {
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: base64url(raw) }, format: "jwk" });
}

const x25519PublicKey = (raw: Uint8Array): KeyObject =>
  createPublicKey({ key: { kty: "OKP", crv: "X25519", x: base64url(raw) }, format: "jwk" });

export const rawPublicKey = (key: KeyObject): Uint8Array =>
  new Uint8Array(Buffer.from(key.export({ format: "jwk" }).x as string, "base64url"));

export const minerIdOf = (publicKey: Uint8Array): MinerId =>
  `m_${createHash("sha256").update(publicKey).digest("base64url").slice(0, 22)}` as MinerId;

export const verifyEd25519 = (key: KeyObject, message: Uint8Array, signature: Uint8Array): boolean =>
  verify(null, message, key, signature);

/** One connection's half of the X25519 agreement. */
export function ephemeralKey(): { publicKey: Uint8Array; agree(other: Uint8Array): Uint8Array } {
  const { publicKey, privateKey } = generateKeyPairSync("x25519");
  return {
    publicKey: rawPublicKey(publicKey),
    agree: (other) => diffieHellman({ privateKey, publicKey: x25519PublicKey(other) }),
  };
}

/** A KeyObject, since Node takes eight times as long over an HMAC under bare bytes. */
export const sessionKeyOf = (shared: Uint8Array, nonce: Uint8Array, publicKey: Uint8Array): KeyObject =>
  createSecretKey(Buffer.from(hkdfSync("sha256", shared, nonce, preimages.sessionInfo(publicKey), 32)));

/** SHA-256 of the canonical bytes of tensors. */
export function commitmentOf(tensors: readonly Tensor[]): Buffer {
  const sum = createHash("sha256");
  for (const piece of canonicalBytes(tensors)) sum.update(piece);
  return sum.digest();
}

export const sha256 = (data: Uint8Array): Buffer => hash("sha256", data, "buffer");

export const macOf = (key: KeyObject, message: Uint8Array): Buffer =>
  createHmac("sha256", key).update(message).digest();

export const equalBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.byteLength === b.byteLength && timingSafeEqual(a, b);

/** The hub's own Ed25519 key: bound into every hello, signs every batch of receipts. Kept as PKCS#8 in the store. */
export interface HubKey {
  publicKey: Uint8Array;
  sign(message: Uint8Array): Uint8Array;
}

export const newHubKeyPkcs8 = (): string =>
  generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8" }).toString();

export function hubKeyFrom(pkcs8: string): HubKey {
  const privateKey = createPrivateKey(pkcs8);
  return {
    publicKey: rawPublicKey(createPublicKey(privateKey)),
    sign: (message) => new Uint8Array(sign(null, message, privateKey)),
  };
}
