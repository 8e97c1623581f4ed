import { failure, type TabgridError } from "../../shared/errors.ts";
import type { AccountId, CustomerId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { accounts } from "../economy/accounts.ts";
import { settingsAt } from "../economy/domains.ts";
import {
  type Change,
  execute,
  type GovernanceRecord,
  type Proposal,
  propose,
  tally,
  vote,
} from "../economy/governance.ts";
import { defaultParameters, type NetworkParameters } from "../economy/governance-bounds.ts";
import type { Page, Paged } from "../gateway/gateway.ts";
import type { NetworkBook, PartyBodies } from "../store/party-records.ts";
import type { Books } from "../store/party-store.ts";
import { type Caller, type Desk, unknown, type Written } from "./desk.ts";
import { domainRecord, withChange } from "./domain-desk.ts";

/** Proposals and votes. Counting and executing are anybody's to ask for: what they do is decided by then. */
export type Voted = PartyBodies["proposal"];
type Voter = Caller & { customer: CustomerId };
const noProposal = unknown("unknown-proposal");
const NETWORK = "network";

const networkRecord = (book: NetworkBook): Written<"network"> => ({
  kind: "network",
  id: NETWORK,
  party: null,
  subject: null,
  state: "open",
  from: book.timeline.at(-1)?.from ?? null,
  body: book,
});

const networkOf = async (books: Pick<Books, "one">): Promise<NetworkBook> =>
  (await books.one("network", NETWORK))?.body ?? { timeline: [] };

/** What governance has set for an epoch; the defaults where it has set nothing. */
export async function parametersNow(books: Pick<Books, "one">, epoch: number): Promise<NetworkParameters> {
  const { timeline } = await networkOf(books);
  return timeline.findLast(({ from }) => from <= epoch)?.parameters ?? defaultParameters();
}

const recordOf = (of: Voted): Written<"proposal"> => ({
  kind: "proposal",
  id: of.id,
  party: of.by,
  subject: of.change.kind === "domain" ? of.change.domain : NETWORK,
  state: of.state,
  from: of.from,
  body: of,
});

export class GovernanceDesk {
  readonly #desk: Desk;
  readonly #newId: () => string;
  constructor(desk: Desk, newId: () => string) {
    this.#desk = desk;
    this.#newId = newId;
  }

  parameters(): Promise<NetworkParameters> {
    return parametersNow(this.#desk, this.#desk.domains.epoch);
  }

  /** All stake of the network, nano-DN. */
  staked(): Promise<Nano> {
    return this.#desk.store.parties.sum("stake:");
  }

  async list(page: Page): Promise<Paged<Voted>> {
    const { data, hasMore } = await this.#desk.store.parties.list("proposal", {}, page);
    return { data: data.map(({ body }) => body), hasMore };
  }

  async one(id: string): Promise<Voted | null> {
    return (await this.#desk.one("proposal", id))?.body ?? null;
  }

  /** By whoever has stake. */
  propose(caller: Voter, wish: { title: string; change: Change; from: number }): Promise<Result<Voted, TabgridError>> {
    const { title, change, from } = wish;
    const by = accounts.customer(caller.customer);
    return this.#desk.act(caller, "proposed", wish, async (books, at) => {
      if (change.kind === "domain" && !(await books.one("domain", change.domain))) {
        return unknown("unknown-domain")("domain", change.domain);
      }
      const positions = await books.all("position", { party: by });
      if (!positions.some(({ body }) => body.amount > 0n)) {
        const detail = { field: "stake", expected: "stake of one's own", got: "0" };
        return err(failure("insufficient-stake", "only who has stake may propose", detail));
      }
      const id = `v_${this.#newId()}`;
      const epoch = await this.#desk.running(books);
      const made = propose({ id, by, change, from }, epoch, await parametersNow(books, epoch), at);
      return made.ok ? ok(stepOf({ ...made.value, title })) : made;
    });
  }

  vote(caller: Voter, id: string, approve: boolean): Promise<Result<Voted, TabgridError>> {
    const party = accounts.customer(caller.customer);
    return this.#move(caller, "voted", id, { approve }, async (proposal, books, at) => {
      const own = (await books.all("position", { party })).map(({ body }) => body);
      return vote(proposal, party, own, 0n, approve, at);
    });
  }

  count(caller: Caller, id: string): Promise<Result<Voted, TabgridError>> {
    return this.#move(caller, "counted", id, {}, async (proposal, books, at) => {
      const now = new Map<AccountId, bigint>();
      for (const party of proposal.votes.keys()) {
        const positions = await books.all("position", { party });
        now.set(
          party,
          positions.reduce((sum, { body }) => sum + body.amount, 0n),
        );
      }
      const parameters = await parametersNow(books, this.#desk.domains.epoch);
      return tally(proposal, (party) => now.get(party) ?? 0n, await books.sum("stake:"), parameters, at);
    });
  }

  execute(caller: Caller, id: string): Promise<Result<Voted, TabgridError>> {
    return this.#desk.act(caller, "executed", { proposal: id }, async (books, at) => {
      const found = (await books.one("proposal", id))?.body;
      if (!found) return noProposal("proposal", id);
      const executed = execute(found, await this.#desk.running(books), at);
      if (!executed.ok) return executed;
      const step = stepOf({ ...executed.value, title: found.title });
      if (executed.value.proposal.state === "lapsed") return ok(step);
      const applied = await this.#apply(books, found, at);
      return applied.ok ? ok({ ...step, records: [...step.records, applied.value] }) : applied;
    });
  }

  /** Changes that are planned for later epochs keep all but this one parameter. */
  async #apply(books: Books, { change, from, id }: Proposal, at: number): Promise<Result<Written, TabgridError>> {
    const epoch = await this.#desk.running(books);
    const by = `proposal ${id}`;
    if (change.kind === "network") {
      const { timeline } = await networkOf(books);
      const before = timeline.filter((one) => one.from < from);
      const base = before.at(-1)?.parameters ?? defaultParameters();
      const first = timeline.find((one) => one.from === from)?.parameters ?? base;
      const later = timeline.filter((one) => one.from > from);
      const set = (parameters: NetworkParameters) => ({ ...parameters, [change.parameter]: change.value });
      const next = [
        ...before,
        { from, at, by, parameters: set(first) },
        ...later.map((one) => ({ ...one, parameters: set(one.parameters) })),
      ];
      return ok(networkRecord({ timeline: next }));
    }
    const book = (await books.one("domain", change.domain))?.body;
    const settings = book && settingsAt(book.timeline, from);
    if (!book || !settings) return unknown("unknown-domain")("domain", change.domain);
    const value = Number(change.value);
    const set = (one: typeof settings) =>
      change.parameter === "listed"
        ? { ...one, listed: value === 1 }
        : { ...one, revenue: { ...one.revenue, [change.parameter]: value } };
    let next = await withChange(books, book, set(settings), from, epoch, by, at);
    for (const one of book.timeline) {
      if (!next.ok || one.from <= from) continue;
      next = await withChange(books, next.value, set(one.settings), one.from, epoch, one.by, one.at);
    }
    return next.ok ? ok(domainRecord(next.value)) : next;
  }

  #move(
    caller: Caller,
    action: string,
    id: string,
    input: Record<string, unknown>,
    move: (
      proposal: Proposal,
      books: Books,
      at: number,
    ) => Promise<Result<{ proposal: Proposal; record: GovernanceRecord }, TabgridError>>,
  ): Promise<Result<Voted, TabgridError>> {
    return this.#desk.act(caller, action, { proposal: id, ...input }, async (books, at) => {
      const found = (await books.one("proposal", id))?.body;
      if (!found) return noProposal("proposal", id);
      const moved = await move(found, books, at);
      return moved.ok ? ok(stepOf({ ...moved.value, title: found.title })) : moved;
    });
  }
}

function stepOf({ proposal, title }: { proposal: Proposal; title: string }) {
  const voted: Voted = { ...proposal, title };
  return { reply: voted, subject: proposal.id, records: [recordOf(voted)] as Written[] };
}
