import type { z } from "zod";
import {
  accountSchema,
  accountsSchema,
  entriesQuerySchema,
  entriesSchema,
  imbalanceSchema,
  pageQuerySchema,
  problemSchema,
} from "../../shared/api.ts";
import type { AccountId, TaskId } from "../../shared/ids.ts";
import { accounts } from "../economy/accounts.ts";
import type { AccountView, Gateway, TransferView } from "../gateway/gateway.ts";
import { type Principal, principalOf } from "./auth.ts";
import { type Endpoint, segment } from "./endpoint.ts";
import { notFound, unwrap } from "./error-reply.ts";
import { ownTask } from "./network.ts";
import { check } from "./validation.ts";

const tag = "Ledger";
const problem = { description: "problem", type: "application/problem+json", schema: problemSchema };

/** The ledger, read-only: a customer sees its own accounts and what touched them, the operator sees all. */
export function ledger(gateway: Gateway): Endpoint[] {
  return [
    {
      method: "get",
      path: "/api/v1/ledger/accounts",
      tag,
      summary: "Accounts and balances",
      access: "key",
      query: pageQuerySchema,
      replies: { 200: { description: "accounts", schema: accountsSchema }, 400: problem, 401: problem },
      handle: async (request, response) => {
        const { limit, after = null } = unwrap(check(pageQuerySchema, request.query, "query"));
        const principal = principalOf(response);
        const page =
          principal.kind === "operator"
            ? await gateway.accounts({ limit, after })
            : pageOf(await ownAccounts(gateway, principal), limit, after);
        response.json({
          data: page.data.map(accountReply),
          has_more: page.hasMore,
        } satisfies z.input<typeof accountsSchema>);
      },
    },
    {
      method: "get",
      path: "/api/v1/ledger/accounts/:account",
      tag,
      summary: "One account",
      access: "key",
      replies: { 200: { description: "account", schema: accountSchema }, 401: problem, 404: problem },
      handle: async (request, response) => {
        const id = segment(request, "account") as AccountId;
        const found = isOwn(principalOf(response), id) ? await gateway.account(id) : null;
        if (!found) throw notFound("unknown-account", "account", id);
        response.json(accountReply(found));
      },
    },
    {
      method: "get",
      path: "/api/v1/ledger/entries",
      tag,
      summary: "Transfers, newest first; a customer's own account unless account or task says otherwise",
      access: "key",
      query: entriesQuerySchema,
      replies: { 200: { description: "entries", schema: entriesSchema }, 400: problem, 401: problem, 404: problem },
      handle: async (request, response) => {
        const { limit, after = null, ...asked } = unwrap(check(entriesQuerySchema, request.query, "query"));
        const filter = await entriesFilter(gateway, asked, principalOf(response));
        const page = await gateway.entries(filter, { limit, after });
        response.json({
          data: page.data.map(entryReply),
          has_more: page.hasMore,
        } satisfies z.input<typeof entriesSchema>);
      },
    },
    {
      method: "get",
      path: "/api/v1/ledger/imbalance",
      tag,
      summary: "Sum of all balances of each asset: 0, or something is broken",
      access: "key",
      replies: { 200: { description: "sums", schema: imbalanceSchema }, 401: problem },
      handle: async (_request, response) => {
        const { USDC, DN } = await gateway.imbalance();
        response.json({ USDC: String(USDC), DN: String(DN) } satisfies z.input<typeof imbalanceSchema>);
      },
    },
  ];
}

const ownIds = (principal: Principal & { kind: "customer" }): AccountId[] => [
  accounts.customer(principal.customer),
  accounts.customerHeld(principal.customer),
  accounts.dn(accounts.customer(principal.customer)),
];

const isOwn = (principal: Principal, account: AccountId): boolean =>
  principal.kind === "operator" || ownIds(principal).includes(account);

async function ownAccounts(gateway: Gateway, principal: Principal & { kind: "customer" }): Promise<AccountView[]> {
  const found = await Promise.all(ownIds(principal).map((id) => gateway.account(id)));
  return found.filter((account) => account !== null);
}

function pageOf(all: readonly AccountView[], limit: number, after: string | null) {
  const rest = all.slice(all.findIndex(({ account }) => account === after) + 1);
  return { data: rest.slice(0, limit), hasMore: rest.length > limit };
}

async function entriesFilter(
  gateway: Gateway,
  asked: { account?: string; task?: string },
  principal: Principal,
): Promise<{ account?: AccountId; task?: TaskId }> {
  const account = asked.account as AccountId | undefined;
  if (account !== undefined && !isOwn(principal, account)) throw notFound("unknown-account", "account", account);
  const task = asked.task === undefined ? undefined : (await ownTask(gateway, asked.task, principal)).task;
  if (principal.kind === "operator" || account !== undefined || task !== undefined) return { account, task };
  return { account: accounts.customer(principal.customer) };
}

const accountReply = ({ account, asset, balance, entries }: AccountView): z.input<typeof accountSchema> => ({
  account,
  asset,
  balance: String(balance),
  entries,
});

const entryReply = ({ seq, cursor, transfer, kind, at, task, legs, hash }: TransferView) => ({
  seq,
  cursor,
  transfer,
  kind,
  at,
  task,
  legs: legs.map(({ account, asset, amount }) => ({ account, asset, amount: String(amount) })),
  hash,
});
