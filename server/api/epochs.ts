import type { Request } from "express";
import type { z } from "zod";
import { problemSchema } from "../../shared/api.ts";
import { approvalSchema, epochSchema, epochsQuerySchema, epochsSchema, previewSchema } from "../../shared/epoch-api.ts";
import { KIB } from "../../shared/limits.ts";
import type { Gateway } from "../gateway/gateway.ts";
import type { EpochRecord } from "../store/epoch-records.ts";
import type { PayoutRoot } from "../store/payout-store.ts";
import { type Endpoint, segment } from "./endpoint.ts";
import { notFound, unwrap } from "./error-reply.ts";
import { parseJson } from "./json-text.ts";
import { check } from "./validation.ts";

const tag = "Epochs";
const problem = { description: "problem", type: "application/problem+json", schema: problemSchema };
const refusals = { 401: problem, 403: problem, 404: problem, 409: problem };
/** There is one operator token, so one name. */
const OPERATOR = "operator";
const SHOWN = 1_000;

/** Epochs: anybody sees them, the operator closes them, in three steps of which each is asked for. */
export function epochs(gateway: Gateway): Endpoint[] {
  const reply = async (record: EpochRecord): Promise<z.input<typeof epochSchema>> =>
    epochReply(record, await gateway.settlement.payouts.roots(record.epoch));
  return [
    {
      method: "get",
      path: "/api/v1/epochs",
      tag,
      summary: "Epochs, newest first; the first is the running one",
      access: "open",
      query: epochsQuerySchema,
      replies: { 200: { description: "epochs", schema: epochsSchema }, 400: problem },
      handle: async (request, response) => {
        const { limit, after = null } = unwrap(check(epochsQuerySchema, request.query, "query"));
        const page = await gateway.settlement.epochs.list({ limit, after });
        const data = page.data.map(summaryReply);
        response.json({ data, has_more: page.hasMore } satisfies z.input<typeof epochsSchema>);
      },
    },
    {
      method: "get",
      path: "/api/v1/epochs/:epoch",
      tag,
      summary: "One epoch: its state, its plan, its roots",
      access: "open",
      replies: { 200: { description: "epoch", schema: epochSchema }, 404: problem },
      handle: async (request, response) => {
        const epoch = epochOf(request);
        const found = await gateway.settlement.epochs.one(epoch);
        if (!found) throw notFound("unknown-epoch", "epoch", String(epoch));
        response.json(await reply(found));
      },
    },
    {
      method: "post",
      path: "/api/v1/epochs/:epoch/preview",
      tag,
      summary: "Fence the epoch here and show what closing it would post; again moves the fence",
      access: "operator",
      replies: { 200: { description: "plan", schema: previewSchema }, ...refusals },
      handle: async (request, response) => {
        const { epoch, plan } = unwrap(await gateway.settlement.epochs.preview(epochOf(request), OPERATOR));
        const transfers = plan.transfers.slice(0, SHOWN).map(({ id, kind, legs }) => ({
          id,
          kind,
          legs: legs.map(({ account, asset, amount }) => ({ account, asset, amount: String(amount) })),
        }));
        const has_more = plan.transfers.length > SHOWN;
        response.json({ epoch: await reply(epoch), transfers, has_more } satisfies z.input<typeof previewSchema>);
      },
    },
    {
      method: "post",
      path: "/api/v1/epochs/:epoch/approve",
      tag,
      summary: "Approve the plan that was shown, by its digest",
      access: "operator",
      body: {
        type: "application/json",
        limitBytes: 16 * KIB,
        tooLarge: "body-too-large",
        schema: approvalSchema,
      },
      replies: { 200: { description: "epoch", schema: epochSchema }, 400: problem, ...refusals },
      handle: async (request, response) => {
        const { digest } = unwrap(check(approvalSchema, unwrap(parseJson(request.body, "body"))));
        response.json(await reply(unwrap(await gateway.settlement.epochs.approve(epochOf(request), digest, OPERATOR))));
      },
    },
    {
      method: "post",
      path: "/api/v1/epochs/:epoch/close",
      tag,
      summary: "Post the approved plan; goes on where an interrupted closing ended",
      access: "operator",
      replies: { 200: { description: "epoch", schema: epochSchema }, ...refusals },
      handle: async (request, response) => {
        response.json(await reply(unwrap(await gateway.settlement.epochs.close(epochOf(request), OPERATOR))));
      },
    },
  ];
}

/** Of a path; what is no epoch's number is the number of no epoch. */
export function epochOf(request: Request): number {
  const text = segment(request, "epoch");
  if (!/^[1-9]\d{0,14}$/.test(text)) throw notFound("unknown-epoch", "epoch", text);
  return Number(text);
}

function summaryReply(one: EpochRecord): Omit<z.input<typeof epochSchema>, "payouts"> {
  const { plan } = one;
  return {
    epoch: one.epoch,
    state: one.state,
    opened_at: one.openedAt,
    fenced_at: one.fencedAt,
    digest: one.digest,
    approved_by: one.approvedBy,
    approved_at: one.approvedAt,
    closing_at: one.closingAt,
    closed_at: one.closedAt,
    plan: plan && {
      transfers: plan.transfers,
      revenue: String(plan.revenue),
      level: textOf(plan.level),
      minted: String(plan.minted),
      burned: String(plan.burned),
      domains: plan.domains.map(({ domain, share, guard, offset, minted }) => ({
        domain,
        share: String(share),
        guard: textOf(guard),
        offset: String(offset),
        minted: String(minted),
      })),
    },
    receipts: one.receipts,
  };
}

const epochReply = (one: EpochRecord, roots: readonly PayoutRoot[]): z.input<typeof epochSchema> => ({
  ...summaryReply(one),
  payouts: roots.map(({ asset, root, size, total }) => ({ asset, root, payees: size, total: String(total) })),
});

const textOf = (amount: bigint | null): string | null => (amount === null ? null : String(amount));
