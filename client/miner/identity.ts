import { type Challenge, type Hello, preimages } from "../../shared/protocol.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { database } from "./database.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** One contributor identity: an Ed25519 key whose private half never leaves the browser's key store. */
export interface Identity {
  publicKey: Bytes;
  sign(data: Bytes): Promise<Bytes>;
}

/** The profile's identity, made on the first call. */
export async function openIdentity(): Promise<Result<Identity, string>> {
  try {
    const row = (await database.identity.get("miner")) ?? (await createIdentity());
    return ok({
      publicKey: row.publicKey,
      sign: async (data) => new Uint8Array(await crypto.subtle.sign("Ed25519", row.privateKey, data)),
    });
  } catch (error) {
    return err(
      error instanceof DOMException && error.name === "NotSupportedError"
        ? "This browser has no Ed25519 keys: use a current Chrome, Edge, Firefox or Safari."
        : `The identity could not be opened: ${String(error)}`,
    );
  }
}

async function createIdentity() {
  const pair = (await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"])) as CryptoKeyPair;
  const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  const row = { id: "miner" as const, privateKey: pair.privateKey, publicKey };
  await database.identity.add(row);
  return row;
}

/** Answers a challenge: the fields of the hello that prove the identity, and the session key agreed with the hub. */
export async function answerChallenge(
  identity: Identity,
  challenge: Challenge,
): Promise<{ proof: Pick<Hello, "publicKey" | "ephemeral" | "signature">; sessionKey: CryptoKey }> {
  const own = (await crypto.subtle.generateKey("X25519", false, ["deriveBits"])) as CryptoKeyPair;
  const ephemeral = new Uint8Array(await crypto.subtle.exportKey("raw", own.publicKey));
  const [nonce, hubEphemeral] = [challenge.nonce, challenge.ephemeral].map((bytes) => new Uint8Array(bytes)) as [
    Bytes,
    Bytes,
  ];
  const signature = await identity.sign(preimages.hello(nonce, challenge.hubKey, hubEphemeral, ephemeral));
  const hubKey = await crypto.subtle.importKey("raw", hubEphemeral, "X25519", false, []);
  const shared = await crypto.subtle.deriveBits({ name: "X25519", public: hubKey }, own.privateKey, 256);
  const material = await crypto.subtle.importKey("raw", shared, "HKDF", false, ["deriveKey"]);
  const sessionKey = await crypto.subtle.deriveKey(
    { name: "HKDF", hash: "SHA-256", salt: nonce, info: preimages.sessionInfo(identity.publicKey) },
    material,
    { name: "HMAC", hash: "SHA-256", length: 256 },
    false,
    ["sign"],
  );
  return { proof: { publicKey: identity.publicKey, ephemeral, signature }, sessionKey };
}
