import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { canonicalBytes, type Tensor } from "./tensor.ts";

/** SHA-256 of the canonical bytes of tensors, hex; for code that has no hashing of its platform. */
export function tensorsHash(tensors: readonly Tensor[]): string {
  const hash = sha256.create();
  for (const piece of canonicalBytes(tensors)) hash.update(piece);
  return bytesToHex(hash.digest());
}
