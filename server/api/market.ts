import type { z } from "zod";
import { marketSchema, seedSchema, swappedSchema, swapSchema } from "../../shared/economy-api.ts";
import { NANO_PER_UNIT } from "../../shared/money.ts";
import { accounts } from "../economy/accounts.ts";
import { dailyPrices, type Market, PRICE_ONE, type Price, priceOf, twap } from "../economy/market.ts";
import type { Gateway } from "../gateway/gateway.ts";
import type { Endpoint } from "./endpoint.ts";
import { notFound, unwrap } from "./error-reply.ts";
import { command, customerCaller, operatorCaller, read } from "./party-command.ts";

/** The pool that prices DN in USDC. */
const tag = "Market";

export function market(gateway: Gateway): Endpoint[] {
  const { parties } = gateway;
  const shown = async (of: Market): Promise<z.input<typeof marketSchema>> => {
    const now = Math.max(parties.now(), of.at);
    const average = twap(of, now);
    return {
      usdc: String(of.usdc),
      dn: String(of.dn),
      price: nanoPrice(priceOf(of)),
      average: average === null ? null : nanoPrice(average),
      supply: String(await parties.market.supply()),
      daily: dailyPrices(of, now).map(({ at, price }) => ({ at, price: nanoPrice(price) })),
    };
  };
  return [
    read({
      path: "/api/v1/market",
      tag,
      summary: "Reserves, price, 28-day average and the average of each day",
      access: "open",
      reply: marketSchema,
      read: async () => {
        const found = await parties.market.market();
        if (!found) throw notFound("not-found", "market", "not seeded yet");
        return shown(found);
      },
    }),
    command({
      path: "/api/v1/market",
      tag,
      summary: "Seed the pool, once: test USDC, and DN of the treasury",
      access: "operator",
      body: seedSchema,
      status: 201,
      reply: marketSchema,
      run: async ({ usdc, dn }, request) => shown(unwrap(await parties.market.seed(operatorCaller(request), usdc, dn))),
    }),
    command({
      path: "/api/v1/market/swaps",
      tag,
      summary: "Give USDC for DN or DN for USDC, for at least so much",
      access: "key",
      body: swapSchema,
      reply: swappedSchema,
      run: async (wish, request, response) => {
        const caller = customerCaller(request, response);
        const swapped = unwrap(await parties.market.swap(caller, accounts.customer(caller.customer), wish));
        return { out: String(swapped.out), price: nanoPrice(priceOf(swapped.market)) };
      },
    }),
  ];
}

/** nano-USDC for one DN. */
const nanoPrice = (price: Price): string => String((price * NANO_PER_UNIT) / PRICE_ONE);
