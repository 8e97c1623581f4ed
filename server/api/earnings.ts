import type { z } from "zod";
import { problemSchema } from "../../shared/api.ts";
import { earningsSchema, signedOwnerRequestSchema, spendRequestSchema } from "../../shared/epoch-api.ts";
import { type CustomerId, type OwnerId, ownerOf } from "../../shared/ids.ts";
import { KIB } from "../../shared/limits.ts";
import type { Gateway } from "../gateway/gateway.ts";
import { type Endpoint, segment } from "./endpoint.ts";
import { unwrap } from "./error-reply.ts";
import { parseJson } from "./json-text.ts";
import { readSigned } from "./signed-request.ts";
import { check } from "./validation.ts";

const tag = "Earnings";
const problem = { description: "problem", type: "application/problem+json", schema: problemSchema };

/** What miners earned, and their way to spend it on the network itself. */
export function earnings(gateway: Gateway): Endpoint[] {
  const reply = async (owner: OwnerId): Promise<z.input<typeof earningsSchema>> => {
    const { held, available, dn } = await gateway.settlement.earnings.balances(owner);
    return { owner, held: String(held), available: String(available), dn: String(dn) };
  };
  return [
    {
      method: "get",
      path: "/api/v1/earnings/:owner",
      tag,
      summary: "What an owner's miners earned: held, matured, and DN",
      access: "open",
      replies: { 200: { description: "earnings", schema: earningsSchema } },
      handle: async (request, response) => {
        response.json(await reply(segment(request, "owner") as OwnerId));
      },
    },
    {
      method: "post",
      path: "/api/v1/earnings/spend",
      tag,
      summary: "Matured pay becomes a customer's API balance: signed by the owner's miner",
      access: "open",
      body: {
        type: "application/json",
        limitBytes: 16 * KIB,
        tooLarge: "body-too-large",
        schema: signedOwnerRequestSchema,
      },
      replies: {
        200: { description: "what is left", schema: earningsSchema },
        400: problem,
        401: problem,
        402: problem,
        404: problem,
      },
      handle: async (request, response) => {
        const { settlement } = gateway;
        const signed = unwrap(check(signedOwnerRequestSchema, unwrap(parseJson(request.body, "body"))));
        const here = { hubKey: settlement.hubKey, now: settlement.clock.now() };
        const { miner, request: asked } = unwrap(readSigned(signed, "owner-request", spendRequestSchema, here));
        const [owner, customer] = [ownerOf(miner), asked.customer as CustomerId];
        unwrap(await settlement.earnings.spend(owner, customer, BigInt(asked.amount), signed.request));
        response.json(await reply(owner));
      },
    },
  ];
}
