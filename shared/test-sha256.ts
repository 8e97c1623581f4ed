import { sha256 as noble } from "@noble/hashes/sha2.js";
import { concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";

/** SHA-256 for tests of pure code, which may know no platform; hubs use their own (server/store/sha256.ts). */
export const sha256 = (...parts: readonly (string | Uint8Array)[]): Uint8Array =>
  noble(concatBytes(...parts.map((part) => (typeof part === "string" ? utf8ToBytes(part) : part))));
