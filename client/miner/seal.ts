import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { type ChainSignature, preimages } from "../../shared/protocol.ts";
import { canonicalBytes, type Tensor } from "../../shared/tensor.ts";
import type { Identity } from "./identity.ts";

/** SHA-256 of the canonical bytes of outputs: what a miner commits to. */
export function commitmentOf(outputs: readonly Tensor[]): Uint8Array {
  const hash = sha256.create();
  for (const piece of canonicalBytes(outputs)) hash.update(piece);
  return hash.digest();
}

/** Authenticates one session's results and signs their chain. Results must be sealed in the order of their `seq`. */
export interface Seal {
  session: string;
  seal(assignment: string, seq: number, commitment: Uint8Array): Promise<Uint8Array>;
  /** MAC of tokens of a running generation; they enter the chain with its result. */
  sealTokens(assignment: string, position: number, hash: Uint8Array): Promise<Uint8Array>;
  signChain(): Promise<ChainSignature>;
  /** Sealed results that no signature covers yet. */
  readonly unsigned: number;
  /** Hex token for GET or PUT of a blob. */
  blobToken(method: "GET" | "PUT", blob: string): Promise<string>;
}

export function createSeal(session: string, sessionKey: CryptoKey, identity: Identity): Seal {
  let link = sha256(preimages.chainStart(session));
  let linked = 0;
  let signed = 0;
  const mac = async (data: Uint8Array) =>
    new Uint8Array(await crypto.subtle.sign("HMAC", sessionKey, new Uint8Array(data)));
  return {
    session,
    seal(assignment, seq, commitment) {
      link = sha256(preimages.chainLink(link, assignment, commitment));
      linked = seq;
      return mac(preimages.result(assignment, seq, commitment));
    },
    sealTokens: (assignment, position, hash) => mac(preimages.tokens(assignment, position, hash)),
    async signChain() {
      const end = { seq: linked, link };
      signed = linked;
      return { ...end, signature: await identity.sign(preimages.chainSignature(session, end.seq, end.link)) };
    },
    get unsigned() {
      return linked - signed;
    },
    blobToken: async (method, blob) => bytesToHex(await mac(preimages.blob(method, blob))),
  };
}
