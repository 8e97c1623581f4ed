import { secp256k1 } from "@noble/curves/secp256k1.js";
import { keccak_256 } from "@noble/hashes/sha3.js";
import type { Address } from "../economy/payouts.ts";

/**
 * Who signed a text with `personal_sign` (EIP-191, version 0x45): the address out of the public key that the signature
 * recovers to. Null where it is no signature. `signature`: 0x and 130 hex digits, r ‖ s ‖ v with v 27 or 28; s must be the
 * lower of its two values (EIP-2), so that a signature has one form.
 */
export function signerOf(text: string, signature: string): Address | null {
  if (!/^0x[0-9a-fA-F]{130}$/.test(signature)) return null;
  const bytes = Buffer.from(signature.slice(2), "hex");
  const v = bytes[64] as number;
  if (v !== 27 && v !== 28) return null;
  try {
    const recovered = Buffer.concat([Buffer.of(v - 27), bytes.subarray(0, 64)]);
    const parsed = secp256k1.Signature.fromBytes(recovered, "recovered");
    if (parsed.hasHighS()) return null;
    const key = parsed.recoverPublicKey(digestOf(text)).toBytes(false);
    return `0x${Buffer.from(keccak_256(key.subarray(1)))
      .subarray(12)
      .toString("hex")}`;
  } catch {
    return null;
  }
}

/** What a wallet signs for a text. */
export function digestOf(text: string): Uint8Array {
  const bytes = Buffer.from(text, "utf8");
  return keccak_256(Buffer.concat([Buffer.from(`\x19Ethereum Signed Message:\n${bytes.length}`, "utf8"), bytes]));
}
