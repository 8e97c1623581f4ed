import type { z } from "zod";
import { positionSchema, positionsSchema, stakeSchema, targetSchema } from "../../shared/economy-api.ts";
import type { OwnerId } from "../../shared/ids.ts";
import type { Position } from "../economy/staking.ts";
import type { Target } from "../economy-desk/staking-desk.ts";
import type { Gateway } from "../gateway/gateway.ts";
import type { Endpoint } from "./endpoint.ts";
import { unwrap } from "./error-reply.ts";
import { command, customerCaller, read } from "./party-command.ts";

/** Own stake: on a domain, or delegated to a validator of it. */
const tag = "Stake";

export function stakes({ parties: { staking } }: Gateway): Endpoint[] {
  return [
    read({
      path: "/api/v1/stakes",
      tag,
      summary: "Own stake, and what of it is on its way out",
      access: "key",
      reply: positionsSchema,
      read: async (_query, request, response) => {
        const { customer } = customerCaller(request, response);
        return { data: (await staking.of(customer)).map(positionReply) };
      },
    }),
    command({
      path: "/api/v1/stakes",
      tag,
      summary: "Stake DN on a domain, or delegate it to a validator",
      access: "key",
      body: stakeSchema,
      reply: positionSchema,
      run: async ({ amount, ...target }, request, response) =>
        positionReply(unwrap(await staking.stake(customerCaller(request, response), targetOf(target), amount))),
    }),
    command({
      path: "/api/v1/stakes/unstake",
      tag,
      summary: "Start the way out: it no longer votes or earns, and is free after the unbonding time",
      access: "key",
      body: stakeSchema,
      reply: positionSchema,
      run: async ({ amount, ...target }, request, response) =>
        positionReply(unwrap(await staking.unstake(customerCaller(request, response), targetOf(target), amount))),
    }),
    command({
      path: "/api/v1/stakes/release",
      tag,
      summary: "Take back what is free",
      access: "key",
      body: targetSchema,
      reply: positionSchema,
      run: async (target, request, response) =>
        positionReply(unwrap(await staking.release(customerCaller(request, response), targetOf(target)))),
    }),
  ];
}

const targetOf = ({ domain, validator }: z.output<typeof targetSchema>): Target => ({
  domain,
  validator: validator as OwnerId | null,
});

const positionReply = ({
  domain,
  validator,
  amount,
  heldSince,
  unbonding,
}: Position): z.input<typeof positionSchema> => ({
  domain,
  validator,
  amount: String(amount),
  held_since: heldSince,
  unbonding: unbonding.map((one) => ({ amount: String(one.amount), free_at: one.freeAt })),
});
