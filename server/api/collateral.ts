import type { z } from "zod";
import {
  type bondSchema,
  bondsSchema,
  minerRequestSchema,
  signedMinerRequestSchema,
} from "../../shared/economy-api.ts";
import type { MinerId, OwnerId } from "../../shared/ids.ts";
import { accounts } from "../economy/accounts.ts";
import { hex } from "../economy/ledger.ts";
import type { Bond } from "../economy-desk/miner-desk.ts";
import type { Gateway } from "../gateway/gateway.ts";
import { sha256 } from "../store/sha256.ts";
import { type Endpoint, segment } from "./endpoint.ts";
import { notFound, unwrap } from "./error-reply.ts";
import { command, read } from "./party-command.ts";
import { readSigned } from "./signed-request.ts";

/** Miners and their collateral. A miner has no API key: it signs what it asks for with its identity key. */
const tag = "Miners";

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
      body: signedMinerRequestSchema,
      reply: bondsSchema,
      run: async (body) => {
        const here = { hubKey: parties.hubKey, now: parties.now() };
        const { miner, request } = unwrap(readSigned(body, "miner-request", minerRequestSchema, here));
        const owner = await ownerOf(miner);
        // A request that comes again is the same request.
        const caller = { customer: null, miner: owner, key: `signed ${hex(sha256(body.request))}` };
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
