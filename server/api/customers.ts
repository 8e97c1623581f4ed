import {
  customerSchema,
  doneSchema,
  grantSchema,
  keysSchema,
  newCustomerSchema,
  newKeyReplySchema,
  newKeySchema,
  nothingSchema,
  selfSchema,
} from "../../shared/economy-api.ts";
import type { CustomerId } from "../../shared/ids.ts";
import type { Gateway } from "../gateway/gateway.ts";
import { type Endpoint, segment } from "./endpoint.ts";
import { unwrap } from "./error-reply.ts";
import { anyCaller, command, customerCaller, operatorCaller, read } from "./party-command.ts";

/** Who may use this hub, and what the foundation gave them to begin with. */
const tag = "Customers";

export function customers({ parties }: Gateway): Endpoint[] {
  return [
    command({
      path: "/api/v1/customers",
      tag,
      summary: "A new customer with its API key, which is shown here alone",
      access: "operator",
      body: newCustomerSchema,
      status: 201,
      reply: customerSchema,
      run: async ({ name }, request) => unwrap(await parties.customers.add(operatorCaller(request), name)),
    }),
    command({
      path: "/api/v1/customers/:customer/grants",
      tag,
      summary: "Give test USDC, or DN of the treasury",
      access: "operator",
      body: grantSchema,
      reply: doneSchema,
      run: async ({ usdc = 0n, dn = 0n }, request) => {
        const customer = segment(request, "customer") as CustomerId;
        unwrap(await parties.customers.grant(operatorCaller(request), customer, usdc, dn));
        return { done: true as const };
      },
    }),
    command({
      path: "/api/v1/customers/:customer/keys",
      tag,
      summary: "A further API key for a customer, which is shown here alone",
      access: "operator",
      body: newKeySchema,
      status: 201,
      reply: newKeyReplySchema,
      run: async ({ name }, request) => {
        const customer = segment(request, "customer") as CustomerId;
        return unwrap(await parties.customers.addKey(operatorCaller(request), customer, name));
      },
    }),
    read({
      path: "/api/v1/keys",
      tag,
      summary: "Own API keys, without their secrets",
      access: "key",
      reply: keysSchema,
      read: async (_query, request, response) => {
        const keys = await parties.customers.keys(customerCaller(request, response).customer);
        return {
          data: keys.map(({ id, name, createdAt, revokedAt }) => {
            return { id, name, created_at: createdAt, revoked_at: revokedAt };
          }),
        };
      },
    }),
    command({
      path: "/api/v1/keys",
      tag,
      summary: "A further API key of one's own, which is shown here alone",
      access: "key",
      body: newKeySchema,
      status: 201,
      reply: newKeyReplySchema,
      run: async ({ name }, request, response) => {
        const caller = customerCaller(request, response);
        return unwrap(await parties.customers.addKey(caller, caller.customer, name));
      },
    }),
    command({
      method: "delete",
      path: "/api/v1/keys/:key",
      tag,
      summary: "Revoke an own API key, at once and for good; the operator: any",
      access: "key",
      body: nothingSchema,
      reply: doneSchema,
      run: async (_body, request, response) => {
        unwrap(await parties.customers.revoke(anyCaller(request, response), segment(request, "key")));
        return { done: true as const };
      },
    }),
    read({
      path: "/api/v1/self",
      tag,
      summary: "The key's customer: balances in USDC and DN, and what is set aside",
      access: "key",
      reply: selfSchema,
      read: async (_query, request, response) => {
        const { customer } = customerCaller(request, response);
        const { name, ...amounts } = await parties.customers.self(customer);
        const texts = Object.fromEntries(Object.entries(amounts).map(([asset, amount]) => [asset, String(amount)]));
        return { customer, name, ...(texts as Record<keyof typeof amounts, string>) };
      },
    }),
  ];
}
