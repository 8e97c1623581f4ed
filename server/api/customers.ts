import { customerSchema, doneSchema, grantSchema, newCustomerSchema, selfSchema } from "../../shared/economy-api.ts";
import type { CustomerId } from "../../shared/ids.ts";
import type { Gateway } from "../gateway/gateway.ts";
import { type Endpoint, segment } from "./endpoint.ts";
import { unwrap } from "./error-reply.ts";
import { command, customerCaller, operatorCaller, read } from "./party-command.ts";

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
