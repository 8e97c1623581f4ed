import type { z } from "zod";
import { problemSchema } from "../../shared/api.ts";
import {
  addressRequestSchema,
  claimReplySchema,
  claimSchema,
  payoutAddressQuerySchema,
  payoutAddressReplySchema,
  payoutAddressSchema,
  payoutCsvQuerySchema,
  payoutProofSchema,
  signedOwnerRequestSchema,
} from "../../shared/epoch-api.ts";
import { type AccountId, ownerOf } from "../../shared/ids.ts";
import { KIB } from "../../shared/limits.ts";
import { accounts } from "../economy/accounts.ts";
import { checkAddress } from "../economy/payouts.ts";
import type { Gateway } from "../gateway/gateway.ts";
import { type Body, type Endpoint, segment } from "./endpoint.ts";
import { epochOf } from "./epochs.ts";
import { notFound, unwrap } from "./error-reply.ts";
import { parseJson } from "./json-text.ts";
import { readSigned } from "./signed-request.ts";
import { check } from "./validation.ts";

const tag = "Payouts";
const problem = { description: "problem", type: "application/problem+json", schema: problemSchema };
const bodyOf = (schema: z.ZodType): Body => {
  return { type: "application/json", limitBytes: 16 * KIB, tooLarge: "body-too-large", schema };
};

/** What leaves the ledger: who gets it where, and the proof that an epoch's root promises it. */
export function payouts(gateway: Gateway): Endpoint[] {
  const addressReply = async (account: AccountId, address?: string) => {
    const { payouts: desk } = gateway.settlement;
    const set = await desk.address(account);
    const message = address === undefined ? null : desk.message(account, unwrap(checkAddress(address)));
    return { account, address: set?.address ?? null, message } satisfies z.input<typeof payoutAddressReplySchema>;
  };
  return [
    {
      method: "get",
      path: "/api/v1/epochs/:epoch/proof/:account",
      tag,
      summary: "What an epoch's roots promise an account, with the proofs that a contract takes",
      access: "open",
      replies: { 200: { description: "proofs", schema: payoutProofSchema }, 404: problem },
      handle: async (request, response) => {
        const epoch = epochOf(request);
        if (!(await gateway.settlement.epochs.one(epoch))) throw notFound("unknown-epoch", "epoch", String(epoch));
        const proofs = await gateway.settlement.payouts.proofs(epoch, segment(request, "account") as AccountId);
        const data = proofs.map(({ cumulative, claimed, ...one }) => {
          return { ...one, cumulative: String(cumulative), claimed: String(claimed) };
        });
        response.json({ data } satisfies z.input<typeof payoutProofSchema>);
      },
    },
    {
      method: "get",
      path: "/api/v1/epochs/:epoch/payouts.csv",
      tag,
      summary: "All addresses under an epoch's root, with cumulative amounts and proofs",
      access: "operator",
      query: payoutCsvQuerySchema,
      replies: {
        200: { description: "lines", type: "text/csv" },
        400: problem,
        401: problem,
        403: problem,
        404: problem,
      },
      handle: async (request, response) => {
        const { asset } = unwrap(check(payoutCsvQuerySchema, request.query, "query"));
        const epoch = epochOf(request);
        const csv = await gateway.settlement.payouts.csv(epoch, asset);
        if (csv === null) throw notFound("unknown-epoch", "epoch", `${epoch} with payouts in ${asset}`);
        response.type("text/csv").send(csv);
      },
    },
    {
      method: "get",
      path: "/api/v1/payouts/address",
      tag,
      summary: "Where an account's payouts go, and what an `address` signs to have them",
      access: "open",
      query: payoutAddressQuerySchema,
      replies: { 200: { description: "address", schema: payoutAddressReplySchema }, 400: problem },
      handle: async (request, response) => {
        const { account, address } = unwrap(check(payoutAddressQuerySchema, request.query, "query"));
        response.json(await addressReply(account as AccountId, address));
      },
    },
    {
      method: "put",
      path: "/api/v1/payouts/address",
      tag,
      summary: "Say where any account's payouts go; the address proves itself",
      access: "operator",
      body: bodyOf(payoutAddressSchema),
      replies: {
        200: { description: "address", schema: payoutAddressReplySchema },
        400: problem,
        401: problem,
        403: problem,
      },
      handle: async (request, response) => {
        const body = unwrap(check(payoutAddressSchema, unwrap(parseJson(request.body, "body"))));
        const account = body.account as AccountId;
        unwrap(await gateway.settlement.payouts.setAddress(account, body.address, body.proof));
        response.json(await addressReply(account));
      },
    },
    {
      method: "post",
      path: "/api/v1/payouts/address",
      tag,
      summary: "Say where an owner's earnings go: signed by its miner, proved by the address",
      access: "open",
      body: bodyOf(signedOwnerRequestSchema),
      replies: { 200: { description: "address", schema: payoutAddressReplySchema }, 400: problem, 401: problem },
      handle: async (request, response) => {
        const { settlement } = gateway;
        const signed = unwrap(check(signedOwnerRequestSchema, unwrap(parseJson(request.body, "body"))));
        const here = { hubKey: settlement.hubKey, now: settlement.clock.now() };
        const { miner, request: asked } = unwrap(readSigned(signed, "owner-request", addressRequestSchema, here));
        const account = accounts.miner(ownerOf(miner));
        unwrap(await settlement.payouts.setAddress(account, asked.address, asked.proof, asked.at));
        response.json(await addressReply(account));
      },
    },
    {
      method: "post",
      path: "/api/v1/payouts/claims",
      tag,
      summary: "What a rail says was collected; twice is once, more than was promised is refused",
      access: "operator",
      body: bodyOf(claimSchema),
      replies: {
        200: { description: "claimed", schema: claimReplySchema },
        400: problem,
        401: problem,
        403: problem,
        409: problem,
      },
      handle: async (request, response) => {
        const body = unwrap(check(claimSchema, unwrap(parseJson(request.body, "body"))));
        const address = unwrap(checkAddress(body.address));
        const cumulative = BigInt(body.cumulative);
        unwrap(await gateway.settlement.payouts.claim({ ...body, address, cumulative }));
        const claimed = String(cumulative);
        response.json({ asset: body.asset, address, claimed } satisfies z.input<typeof claimReplySchema>);
      },
    },
  ];
}
