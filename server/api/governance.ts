import type { z } from "zod";
import { pageQuerySchema } from "../../shared/api.ts";
import {
  newProposalSchema,
  nothingSchema,
  parametersSchema,
  proposalSchema,
  proposalsSchema,
  voteSchema,
} from "../../shared/economy-api.ts";
import { failure, type TabgridError } from "../../shared/errors.ts";
import type { CustomerId } from "../../shared/ids.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { accounts } from "../economy/accounts.ts";
import type { Change } from "../economy/governance.ts";
import { type Bound, domainBounds, networkBounds, networkParameters } from "../economy/governance-bounds.ts";
import type { Voted } from "../economy-desk/governance-desk.ts";
import type { Gateway } from "../gateway/gateway.ts";
import { type Endpoint, segment } from "./endpoint.ts";
import { notFound, unwrap } from "./error-reply.ts";
import { anyCaller, command, customerCaller, customerOrNull, read } from "./party-command.ts";

/** Bounded parameters, and the votes that change them. */
const tag = "Governance";

export function governance({ parties }: Gateway): Endpoint[] {
  const { governance: desk } = parties;
  const step = (path: string, summary: string, run: typeof desk.count) =>
    command({
      path: `/api/v1/proposals/:proposal/${path}`,
      tag,
      summary,
      access: "key",
      body: nothingSchema,
      reply: proposalSchema,
      run: async (_body, request, response) => {
        const caller = anyCaller(request, response);
        return proposalReply(unwrap(await run(caller, segment(request, "proposal"))), caller.customer);
      },
    });
  return [
    read({
      path: "/api/v1/governance",
      tag,
      summary: "What a vote may change, how far, and what holds now",
      access: "open",
      reply: parametersSchema,
      read: async () => {
        const now = await desk.parameters();
        return {
          epoch: parties.epoch(),
          staked: String(await desk.staked()),
          network: networkParameters.map((name) => boundReply(name, networkBounds[name], String(now[name]))),
          domain: Object.entries(domainBounds).map(([name, bound]) => boundReply(name, bound, null)),
        };
      },
    }),
    read({
      path: "/api/v1/proposals",
      tag,
      summary: "Proposals, newest first",
      access: "key",
      query: pageQuerySchema,
      reply: proposalsSchema,
      read: async ({ limit, after = null }, _request, response) => {
        const page = await desk.list({ limit, after });
        const viewer = customerOrNull(response);
        return { data: page.data.map((one) => proposalReply(one, viewer)), has_more: page.hasMore };
      },
    }),
    read({
      path: "/api/v1/proposals/:proposal",
      tag,
      summary: "One proposal",
      access: "key",
      reply: proposalSchema,
      read: async (_query, request, response) => {
        const id = segment(request, "proposal");
        const found = await desk.one(id);
        if (!found) throw notFound("unknown-proposal", "proposal", id);
        return proposalReply(found, customerOrNull(response));
      },
    }),
    command({
      path: "/api/v1/proposals",
      tag,
      summary: "Propose to change one parameter from a later epoch on; by whoever has stake",
      access: "key",
      body: newProposalSchema,
      status: 201,
      reply: proposalSchema,
      run: async ({ title, change, from }, request, response) => {
        const caller = customerCaller(request, response);
        const known = unwrap(changeOf(change));
        return proposalReply(unwrap(await desk.propose(caller, { title, change: known, from })), caller.customer);
      },
    }),
    command({
      path: "/api/v1/proposals/:proposal/votes",
      tag,
      summary: "Vote, once, with the own stake that was held before the proposal",
      access: "key",
      body: voteSchema,
      reply: proposalSchema,
      run: async ({ approve }, request, response) => {
        const caller = customerCaller(request, response);
        return proposalReply(unwrap(await desk.vote(caller, segment(request, "proposal"), approve)), caller.customer);
      },
    }),
    step("count", "Count the votes, once the vote has closed", (caller, id) => desk.count(caller, id)),
    step("execution", "Put an accepted change into effect, after its time lock", (caller, id) =>
      desk.execute(caller, id),
    ),
  ];
}

function changeOf(change: z.output<typeof newProposalSchema>["change"]): Result<Change, TabgridError> {
  const bounds: Record<string, Bound> = change.kind === "network" ? networkBounds : domainBounds;
  if (Object.hasOwn(bounds, change.parameter)) return ok(change as Change);
  const expected = Object.keys(bounds).join(", ");
  const detail = { field: "change.parameter", expected, got: change.parameter };
  return err(failure("invalid-request", `no parameter ${change.parameter}`, detail));
}

const boundReply = (parameter: string, { least, most, about }: Bound, value: string | null) => ({
  parameter,
  value,
  least: String(least),
  most: String(most),
  about,
});

function proposalReply(of: Voted, viewer: CustomerId | null): z.input<typeof proposalSchema> {
  const { change, votes } = of;
  const sum = (approving: boolean) =>
    [...votes.values()].reduce((all, { approve, weight }) => (approve === approving ? all + weight : all), 0n);
  return {
    proposal: of.id,
    title: of.title,
    by: of.by,
    kind: change.kind,
    domain: change.kind === "domain" ? change.domain : null,
    parameter: change.parameter,
    value: String(change.value),
    from: of.from,
    state: of.state,
    opened_at: of.openedAt,
    closes_at: of.closesAt,
    unlocks_at: of.unlocksAt,
    approving: String(sum(true)),
    rejecting: String(sum(false)),
    own_vote: (viewer && votes.get(accounts.customer(viewer))?.approve) ?? null,
  };
}
