import { failure, type TabgridError } from "../../shared/errors.ts";
import type { AccountId, CustomerId, ModelKey } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { accounts } from "../economy/accounts.ts";
import { type Pledge, pledge, withdraw } from "../economy/demand-board.ts";
import { hex, legsOf, type Transfer } from "../economy/ledger.ts";
import {
  back,
  ledgerVenue,
  miss,
  openRound,
  payYield,
  type Round,
  type RoundTerms,
  releaseMilestone,
  stop,
  transferShares,
} from "../economy/rounds.ts";
import type { Page, Paged } from "../gateway/gateway.ts";
import type { RoundBook } from "../store/party-records.ts";
import type { Books } from "../store/party-store.ts";
import { sha256 } from "../store/sha256.ts";
import { actorOf, type Caller, type Desk, forbidden, noCustomer, unknown, type Written } from "./desk.ts";
import { versionRecord } from "./domain-desk.ts";

/** Creators and their rounds, backers and their holdings, and the demand board. */
const noRound = unknown("unknown-round");
const noModel = unknown("unknown-model");

export type RoundWish = Omit<RoundTerms, "round" | "creator"> & { model: ModelKey; title: string };

const roundRecord = (book: RoundBook): Written<"round"> => ({
  kind: "round",
  id: book.round.round,
  party: null,
  subject: book.model,
  state: book.round.state,
  from: null,
  body: book,
});

export const pledgeRecord = (of: Pledge): Written<"pledge"> => ({
  kind: "pledge",
  id: of.pledge,
  party: accounts.customer(of.customer),
  subject: of.model,
  state: of.withdrawn ? "withdrawn" : of.left > 0n ? "open" : "spent",
  from: null,
  body: of,
});

export class BackingDesk {
  readonly #desk: Desk;
  readonly #newId: () => string;
  constructor(desk: Desk, newId: () => string) {
    this.#desk = desk;
    this.#newId = newId;
  }

  /** The operator says whose name it is; a name belongs to one customer for good. */
  nameCreator(caller: Caller, name: string, customer: CustomerId): Promise<Result<null, TabgridError>> {
    return this.#desk.act(caller, "creator-named", { name, customer }, async (books) => {
      if (!(await books.hasCustomer(customer))) {
        return noCustomer("customer", customer);
      }
      const known = (await books.one("creator", name))?.body;
      if (known && known.customer !== customer) {
        const detail = { field: "name", expected: "a name of nobody's yet", got: name };
        return err(failure("already-claimed", "this name is another customer's", detail));
      }
      const party = accounts.customer(customer);
      const record = { kind: "creator", id: name, party, subject: name, state: "named", from: null } as const;
      return ok({ reply: null, subject: name, records: [{ ...record, body: { name, customer } }] });
    });
  }

  /** Matured royalties of an own name become the customer's balance, USDC and DN alike. */
  collect(caller: Caller, name: string): Promise<Result<{ usdc: Nano; dn: Nano }, TabgridError>> {
    return this.#desk.act(caller, "creator-collected", { name }, async (books, at) => {
      const owns = await ownsName(books, caller, name);
      if (!owns.ok) return owns;
      const from = accounts.creatorMatured(name);
      const usdc = await books.balance(from);
      const dn = await books.balance(accounts.dn(from));
      if (usdc + dn === 0n) {
        const detail = { field: "name", expected: "matured royalties", got: "0" };
        return err(failure("insufficient-balance", `${name} has no matured royalties`, detail));
      }
      const gains = new Map([
        [from, -usdc],
        [owns.value, usdc],
        [accounts.dn(from), -dn],
        [accounts.dn(owns.value), dn],
      ]);
      const id = `collect:${this.#newId()}`;
      const transfer: Transfer = { id, kind: "spend", at, task: null, legs: legsOf(gains) };
      return ok({ reply: { usdc, dn }, subject: name, transfers: [transfer], records: [] });
    });
  }

  /** All names, or those of one customer, with what lies in their accounts. */
  async creators(customer: CustomerId | null) {
    const filter = customer === null ? {} : { party: accounts.customer(customer) };
    const of = async (account: AccountId) => (await this.#desk.store.account(account))?.balance ?? 0n;
    return Promise.all(
      (await this.#desk.all("creator", filter)).map(async ({ id: name }) => {
        const matured = accounts.creatorMatured(name);
        const earning = await of(accounts.creator(name));
        return { name, earning, usdc: await of(matured), dn: await of(accounts.dn(matured)) };
      }),
    );
  }

  async rounds(state: Round["state"] | undefined, page: Page): Promise<Paged<RoundBook>> {
    const filter = state === undefined ? {} : { state };
    const { data, hasMore } = await this.#desk.store.parties.list("round", filter, page);
    return { data: data.map(({ body }) => body), hasMore };
  }

  async round(id: string): Promise<RoundBook | null> {
    return (await this.#desk.one("round", id))?.body ?? null;
  }

  async pledgesOf(customer: CustomerId): Promise<Pledge[]> {
    return (await this.#desk.all("pledge", { party: accounts.customer(customer) })).map(({ body }) => body);
  }

  /** By model: what is left of its pledges, and by how much they raise pay together. */
  async demand(): Promise<{ model: ModelKey; left: Nano; raisePercent: number; pledges: number }[]> {
    const byModel = new Map<ModelKey, { left: Nano; raisePercent: number; pledges: number }>();
    for (const { body } of await this.#desk.all("pledge", { state: "open" })) {
      const { left, raisePercent, pledges } = byModel.get(body.model) ?? { left: 0n, raisePercent: 0, pledges: 0 };
      const sum = { left: left + body.left, raisePercent: raisePercent + body.raisePercent, pledges: pledges + 1 };
      byModel.set(body.model, sum);
    }
    return [...byModel].map(([model, of]) => ({ model, ...of })).sort((a, b) => (a.left > b.left ? -1 : 1));
  }

  openRound(caller: Caller, wish: RoundWish): Promise<Result<RoundBook, TabgridError>> {
    const { model, title, ...terms } = wish;
    return this.#desk.act(caller, "round-opened", wish, async (books, at) => {
      const version = await books.one("version", model);
      if (version?.state !== "minted") return noModel("model", model);
      const owns = await ownsName(books, caller, version.body.creator);
      if (!owns.ok) return owns;
      const before = version.body.round === null ? null : await books.one("round", version.body.round);
      if (before && before.body.round.state !== "missed") {
        const detail = { field: "model", expected: "a version without a round", got: before.body.round.state };
        return err(failure("wrong-state", `${model} has a round`, detail));
      }
      const id = `b_${this.#newId()}`;
      const opened = openRound({ ...terms, round: id, creator: version.body.creator }, at);
      if (!opened.ok) return opened;
      const book: RoundBook = { round: opened.value, model, title, openedAt: at, yields: 0 };
      const records = [roundRecord(book), versionRecord({ ...version.body, round: id }, "minted")];
      return ok({ reply: book, subject: id, records });
    });
  }

  back(caller: Caller & { customer: CustomerId }, id: string, amount: Nano): Promise<Result<RoundBook, TabgridError>> {
    const party = accounts.customer(caller.customer);
    return this.#move(caller, "round-backed", id, { amount }, async (book, books, at) =>
      back(book.round, party, amount, await books.balance(party), at),
    );
  }

  /** After the deadline anybody may have a missed round paid back. */
  miss(caller: Caller, id: string): Promise<Result<RoundBook, TabgridError>> {
    return this.#move(caller, "round-missed", id, {}, async ({ round }, _, at) => miss(round, at, tiesOf(id)));
  }

  /** By the operator, who saw that the milestone was reached. */
  release(caller: Caller, id: string): Promise<Result<RoundBook, TabgridError>> {
    return this.#move(caller, "milestone-released", id, {}, async ({ round }, _, at) =>
      releaseMilestone(round, actorOf(caller), at),
    );
  }

  /** By the creator or the operator. */
  stop(caller: Caller, id: string): Promise<Result<RoundBook, TabgridError>> {
    return this.#move(caller, "round-stopped", id, {}, async ({ round }, books, at) => {
      if (caller.customer !== null) {
        const owns = await ownsName(books, caller, round.creator);
        if (!owns.ok) return owns;
      }
      return stop(round, at, tiesOf(id));
    });
  }

  transfer(
    caller: Caller & { customer: CustomerId },
    id: string,
    to: CustomerId,
    shares: bigint,
  ): Promise<Result<RoundBook, TabgridError>> {
    return this.#move(caller, "shares-transferred", id, { to, shares }, async ({ round }, books) => {
      if (!(await books.hasCustomer(to))) {
        return noCustomer("to", to);
      }
      const moved = transferShares(round, accounts.customer(caller.customer), accounts.customer(to), shares);
      return moved.ok ? ok({ round: moved.value, transfer: null }) : moved;
    });
  }

  /** What lies with the yield venue goes to the holders. */
  payYield(caller: Caller, id: string): Promise<Result<RoundBook, TabgridError>> {
    return this.#desk.act(caller, "yield-paid", { round: id }, async (books, at) => {
      const book = (await books.one("round", id))?.body;
      if (!book) return noRound("round", id);
      const account = ledgerVenue.account(id);
      const lies = { usdc: await books.balance(account), dn: await books.balance(accounts.dn(account)) };
      const transfer = payYield(book.round, lies, ledgerVenue, book.yields + 1, at, tiesOf(id));
      if (!transfer) {
        const detail = { field: "round", expected: "something with its yield venue", got: "0" };
        return err(failure("insufficient-balance", `round ${id} has no yield to pay`, detail));
      }
      const next = { ...book, yields: book.yields + 1 };
      return ok({ reply: next, subject: id, transfers: [transfer], records: [roundRecord(next)] });
    });
  }

  #move(
    caller: Caller,
    action: string,
    id: string,
    input: Record<string, unknown>,
    move: (
      book: RoundBook,
      books: Books,
      at: number,
    ) => Promise<Result<{ round: Round; transfer: Transfer | null }, TabgridError>>,
  ): Promise<Result<RoundBook, TabgridError>> {
    return this.#desk.act(caller, action, { round: id, ...input }, async (books, at) => {
      const book = (await books.one("round", id))?.body;
      if (!book) return noRound("round", id);
      const moved = await move(book, books, at);
      if (!moved.ok) return moved;
      const next = { ...book, round: moved.value.round };
      return ok({ reply: next, subject: id, transfers: [moved.value.transfer], records: [roundRecord(next)] });
    });
  }

  pledge(
    caller: Caller & { customer: CustomerId },
    wish: { model: ModelKey; amount: Nano; raisePercent: number },
  ): Promise<Result<Pledge, TabgridError>> {
    const { customer } = caller;
    const { model, amount, raisePercent } = wish;
    return this.#desk.act(caller, "pledged", wish, async (books, at) => {
      if ((await books.one("version", model))?.state !== "minted") return noModel("model", model);
      const id = `pl_${this.#newId()}`;
      const balance = await books.balance(accounts.customer(customer));
      const made = pledge({ pledge: id, customer, model, raisePercent }, amount, balance, at);
      if (!made.ok) return made;
      const { pledge: pledged, transfer } = made.value;
      return ok({ reply: pledged, subject: id, transfers: [transfer], records: [pledgeRecord(pledged)] });
    });
  }

  withdraw(caller: Caller & { customer: CustomerId }, id: string): Promise<Result<Pledge, TabgridError>> {
    return this.#desk.act(caller, "pledge-withdrawn", { pledge: id }, async (books, at) => {
      const found = (await books.one("pledge", id))?.body;
      if (!found || found.customer !== caller.customer) return unknown("not-found")("pledge", id);
      const back = withdraw(found, at);
      if (!back.ok) return back;
      const { pledge: withdrawn, transfer } = back.value;
      return ok({ reply: withdrawn, subject: id, transfers: [transfer], records: [pledgeRecord(withdrawn)] });
    });
  }
}

async function ownsName(books: Books, caller: Caller, name: string): Promise<Result<AccountId, TabgridError>> {
  const owner = (await books.one("creator", name))?.body.customer;
  if (caller.customer !== null && owner === caller.customer) return ok(accounts.customer(caller.customer));
  return forbidden(`${name} is not yours`, "creator", "the customer behind this name", actorOf(caller));
}

const tiesOf =
  (id: string) =>
  (party: string): string =>
    hex(sha256(`${id}:${party}`));
