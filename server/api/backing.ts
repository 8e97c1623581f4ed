import type { z } from "zod";
import {
  amountSchema,
  collectedSchema,
  creatorReplySchema,
  creatorSchema,
  creatorsSchema,
  demandSchema,
  newPledgeSchema,
  newRoundSchema,
  nothingSchema,
  pledgeSchema,
  pledgesSchema,
  roundSchema,
  roundsQuerySchema,
  roundsSchema,
  transferSharesSchema,
} from "../../shared/economy-api.ts";
import type { CustomerId, ModelKey } from "../../shared/ids.ts";
import { accounts } from "../economy/accounts.ts";
import type { Pledge } from "../economy/demand-board.ts";
import type { Gateway } from "../gateway/gateway.ts";
import type { RoundBook } from "../store/party-records.ts";
import { type Endpoint, segment } from "./endpoint.ts";
import { notFound, unwrap } from "./error-reply.ts";
import { anyCaller, command, customerCaller, customerOrNull, operatorCaller, read } from "./party-command.ts";

/** Creators and what their models earn, rounds and their backers, and the demand board. */
export function backing(gateway: Gateway): Endpoint[] {
  return [...creators(gateway), ...rounds(gateway), ...demand(gateway)];
}

function creators({ parties }: Gateway): Endpoint[] {
  const tag = "Creators";
  return [
    command({
      path: "/api/v1/creators",
      tag,
      summary: "Say which customer a creator's name belongs to; for good",
      access: "operator",
      body: creatorSchema,
      status: 201,
      reply: creatorReplySchema,
      run: async ({ name, customer }, request) => {
        unwrap(await parties.backing.nameCreator(operatorCaller(request), name, customer as CustomerId));
        return { name, customer };
      },
    }),
    read({
      path: "/api/v1/creators",
      tag,
      summary: "Own names, their versions and what they earned; the operator: all",
      access: "key",
      reply: creatorsSchema,
      read: async (_query, _request, response) => {
        const versions = await parties.domains.versions();
        const data = (await parties.backing.creators(customerOrNull(response))).map(({ name, earning, usdc, dn }) => ({
          name,
          versions: versions
            .filter(({ creator }) => creator === name)
            .map(({ model, domain, royaltyBasisPoints: royalty, round }) => ({ model, domain, royalty, round })),
          earning: String(earning),
          usdc: String(usdc),
          dn: String(dn),
        }));
        return { data };
      },
    }),
    command({
      path: "/api/v1/creators/:name/collect",
      tag,
      summary: "Matured royalties become balance",
      access: "key",
      body: nothingSchema,
      reply: collectedSchema,
      run: async (_body, request, response) => {
        const { usdc, dn } = unwrap(
          await parties.backing.collect(customerCaller(request, response), segment(request, "name")),
        );
        return { usdc: String(usdc), dn: String(dn) };
      },
    }),
  ];
}

function rounds({ parties }: Gateway): Endpoint[] {
  const tag = "Rounds";
  const { backing } = parties;
  const shown = async (book: RoundBook, viewer: CustomerId | null) => {
    const royalty = (await parties.domains.version(book.model))?.royaltyBasisPoints ?? 0;
    return roundReply(book, royalty, viewer);
  };
  const roundCommand = (
    path: string,
    summary: string,
    access: "key" | "operator",
    run: (id: string, caller: ReturnType<typeof anyCaller>) => ReturnType<typeof backing.stop>,
  ) =>
    command({
      path: `/api/v1/rounds/:round/${path}`,
      tag,
      summary,
      access,
      body: nothingSchema,
      reply: roundSchema,
      run: async (_body, request, response) => {
        const caller = anyCaller(request, response);
        return shown(unwrap(await run(segment(request, "round"), caller)), caller.customer);
      },
    });
  return [
    read({
      path: "/api/v1/rounds",
      tag,
      summary: "Funding rounds, newest first",
      access: "key",
      query: roundsQuerySchema,
      reply: roundsSchema,
      read: async ({ limit, after = null, state }, _request, response) => {
        const page = await backing.rounds(state, { limit, after });
        const viewer = customerOrNull(response);
        return { data: await Promise.all(page.data.map((book) => shown(book, viewer))), has_more: page.hasMore };
      },
    }),
    read({
      path: "/api/v1/rounds/:round",
      tag,
      summary: "One round",
      access: "key",
      reply: roundSchema,
      read: async (_query, request, response) => {
        const round = segment(request, "round");
        const book = await backing.round(round);
        if (!book) throw notFound("unknown-round", "round", round);
        return shown(book, customerOrNull(response));
      },
    }),
    command({
      path: "/api/v1/rounds",
      tag,
      summary: "Offer a share of an own version's royalty for money to build with",
      access: "key",
      body: newRoundSchema,
      status: 201,
      reply: roundSchema,
      run: async (body, request, response) => {
        const caller = customerCaller(request, response);
        const { model, deadline_at: deadlineAt, yield: yieldVenue, ...terms } = body;
        const wish = { ...terms, model: model as ModelKey, deadlineAt, yieldVenue };
        return shown(unwrap(await backing.openRound(caller, wish)), caller.customer);
      },
    }),
    command({
      path: "/api/v1/rounds/:round/backings",
      tag,
      summary: "Pay into a round's escrow; at most what is missing is taken",
      access: "key",
      body: amountSchema,
      reply: roundSchema,
      run: async ({ amount }, request, response) => {
        const caller = customerCaller(request, response);
        return shown(unwrap(await backing.back(caller, segment(request, "round"), amount)), caller.customer);
      },
    }),
    command({
      path: "/api/v1/rounds/:round/transfers",
      tag,
      summary: "Give own shares to another customer",
      access: "key",
      body: transferSharesSchema,
      reply: roundSchema,
      run: async ({ to, shares }, request, response) => {
        const caller = customerCaller(request, response);
        const moved = await backing.transfer(caller, segment(request, "round"), to as CustomerId, shares);
        return shown(unwrap(moved), caller.customer);
      },
    }),
    roundCommand("refund", "Pay a missed round back, after its deadline", "key", (id, caller) =>
      backing.miss(caller, id),
    ),
    roundCommand(
      "milestones",
      "Release the next milestone: a person saw that it was reached",
      "operator",
      (id, caller) => backing.release(caller, id),
    ),
    roundCommand("stop", "Give up what is left to build; escrow goes back by holdings", "key", (id, caller) =>
      backing.stop(caller, id),
    ),
    roundCommand("yield", "Pay what lies with the yield venue to the holders", "key", (id, caller) =>
      backing.payYield(caller, id),
    ),
  ];
}

function demand({ parties }: Gateway): Endpoint[] {
  const tag = "Demand";
  return [
    read({
      path: "/api/v1/demand",
      tag,
      summary: "Pledges by model: how far they raise the pay of its miners, and what of them is left",
      access: "open",
      reply: demandSchema,
      read: async () => ({
        data: (await parties.backing.demand()).map(({ left, raisePercent, ...one }) => ({
          ...one,
          left: String(left),
          raise_percent: raisePercent,
        })),
      }),
    }),
    read({
      path: "/api/v1/pledges",
      tag,
      summary: "Own pledges",
      access: "key",
      reply: pledgesSchema,
      read: async (_query, request, response) => {
        const { customer } = customerCaller(request, response);
        return { data: (await parties.backing.pledgesOf(customer)).map(pledgeReply) };
      },
    }),
    command({
      path: "/api/v1/pledges",
      tag,
      summary: "Raise the pay of a model's miners until the pledge is spent",
      access: "key",
      body: newPledgeSchema,
      status: 201,
      reply: pledgeSchema,
      run: async ({ model, amount, raise_percent: raisePercent }, request, response) => {
        const wish = { model: model as ModelKey, amount, raisePercent };
        return pledgeReply(unwrap(await parties.backing.pledge(customerCaller(request, response), wish)));
      },
    }),
    command({
      method: "delete",
      path: "/api/v1/pledges/:pledge",
      tag,
      summary: "Take back what is not spent",
      access: "key",
      body: nothingSchema,
      reply: pledgeSchema,
      run: async (_body, request, response) =>
        pledgeReply(
          unwrap(await parties.backing.withdraw(customerCaller(request, response), segment(request, "pledge"))),
        ),
    }),
  ];
}

const pledgeReply = ({ pledge, model, left, raisePercent, withdrawn }: Pledge): z.input<typeof pledgeSchema> => ({
  pledge,
  model,
  left: String(left),
  raise_percent: raisePercent,
  withdrawn,
});

function roundReply(book: RoundBook, royalty: number, viewer: CustomerId | null): z.input<typeof roundSchema> {
  const { round, model, title, openedAt } = book;
  const own = viewer === null ? null : (round.holdings.get(accounts.customer(viewer)) ?? 0n);
  return {
    round: round.round,
    model,
    title,
    creator: round.creator,
    state: round.state,
    opened_at: openedAt,
    deadline_at: round.deadlineAt,
    target: String(round.target),
    raised: String(round.raised),
    escrow: String(round.escrow),
    backers: round.backers,
    yield: round.yieldVenue,
    royalty,
    terms: round.terms,
    milestones: round.milestones.map(({ name, share }, place) => ({ name, share, released: place < round.released })),
    holders: [...round.holdings.values()].filter((shares) => shares > 0n).length,
    own_shares: own === null ? null : String(own),
  };
}
