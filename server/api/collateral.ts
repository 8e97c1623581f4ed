import type { z } from "zod";
import {
  type bondSchema,
  bondsSchema,
  minerRequestSchema,
  minerRequestText,
  signedRequestSchema,
} from "../../shared/economy-api.ts";
import { failure, type TabgridError } from "../../shared/errors.ts";
import type { MinerId, OwnerId } from "../../shared/ids.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { accounts } from "../economy/accounts.ts";
import { hex } from "../economy/ledger.ts";
import type { Bond } from "../economy-desk/miner-desk.ts";
import type { Gateway } from "../gateway.ts";
import { ed25519PublicKey, minerIdOf, verifyEd25519 } from "../sockets/identity.ts";
import { sha256 } from "../store/sha256.ts";
import { type Endpoint, segment } from "./endpoint.ts";
import { notFound, unwrap } from "./error-reply.ts";
import { parseJson } from "./json-text.ts";
import { command, read } from "./party-command.ts";
import { check } from "./validation.ts";

/** Miners and their collateral. A miner has no API key: it signs what it asks for with its identity key. */
const tag = "Miners";
/** How old a signed request may be, and how far ahead of the hub's clock. */
const FRESH_MS = 5 * 60_000;

type MinerRequest = z.output<typeof minerRequestSchema>;
interface Signed {
  miner: MinerId;
  request: MinerRequest;
  /** A request that comes again is the same request. */
  key: string;
}

export function collateral({ parties }: Gateway): Endpoint[] {
  const ownerOf = async (miner: MinerId): Promise<OwnerId> => {
    const owner = await parties.miners.ownerOf(miner);
    if (owner === null) throw notFound("unknown-account", "miner", miner);
    return owner;
  };
  return [
    read({
      path: "/api/v1/miners/:miner/collateral",
      tag,
      summary: "Where a miner is registered, what it deposited and what its bond is worth",
      access: "open",
      reply: bondsSchema,
      read: async (_query, request) => {
        const owner = await ownerOf(segment(request, "miner") as MinerId);
        return { data: (await parties.miners.of(owner)).map(bondReply) };
      },
    }),
    command({
      path: "/api/v1/miners/requests",
      tag,
      summary: "Register, deposit, leave, take a deposit back or swap earnings: signed by the miner's identity key",
      access: "open",
      body: signedRequestSchema,
      reply: bondsSchema,
      run: async (body) => {
        const { miner, request, key } = unwrap(readSigned(body, parties.hubKey, parties.now()));
        const owner = await ownerOf(miner);
        const caller = { customer: null, miner: owner, key };
        const { miners } = parties;
        if (request.action === "swap") {
          unwrap(await parties.market.swap(caller, accounts.miner(owner), request));
        } else {
          const { domain } = request;
          if (request.action === "register")
            unwrap(await miners.register(caller, owner, domain, { deposit: request.deposit ?? 0n, ask: request.ask }));
          else if (request.action === "deposit") unwrap(await miners.deposit(caller, owner, domain, request.amount));
          else if (request.action === "leave") unwrap(await miners.leave(caller, owner, domain));
          else unwrap(await miners.release(caller, owner, domain));
        }
        await parties.changed(owner);
        return { data: (await miners.of(owner)).map(bondReply) };
      },
    }),
  ];
}

function readSigned(
  { public_key, request: text, signature }: z.output<typeof signedRequestSchema>,
  hub: string,
  now: number,
): Result<Signed, TabgridError> {
  const [key, proof] = [Buffer.from(public_key, "base64url"), Buffer.from(signature, "base64url")];
  const isKey = key.byteLength === 32;
  const isSigned = isKey && isValid(key, Buffer.from(minerRequestText(text)), proof);
  if (!isSigned) {
    const field = isKey ? "signature" : "public_key";
    const expected = isKey ? "Ed25519 over the request by this key" : "32 bytes, base64url";
    return err(failure("bad-signature", "the request is not signed by this key", { field, expected }));
  }
  const parsed = parseJson(Buffer.from(text), "request");
  if (!parsed.ok) return parsed;
  const request = check(minerRequestSchema, parsed.value, "request");
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
  return ok({ miner: minerIdOf(key), request: request.value, key: `signed ${hex(sha256(text))}` });
}

function isValid(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    return verifyEd25519(ed25519PublicKey(key), message, signature);
  } catch {
    // No point of the curve.
    return false;
  }
}

const bondReply = ({ registration, bond, minimum }: Bond): z.input<typeof bondSchema> => ({
  domain: registration.domain,
  owner: registration.owner,
  state: registration.state,
  deposit: String(registration.deposit),
  ask: registration.ask === null ? null : String(registration.ask),
  left_at: registration.leftAt,
  bond: String(bond),
  minimum: String(minimum),
});
