import { failure, type TabgridError } from "../../shared/errors.ts";
import type { MinerId, ModelKey, OwnerId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { accounts } from "../economy/accounts.ts";
import { settingsAt } from "../economy/domains.ts";
import type { Transfer } from "../economy/ledger.ts";
import { toUsdc, twap } from "../economy/market.ts";
import { bondOf, depositMore, leave, type Registration, register, release } from "../economy/registration.ts";
import type { PartyBodies } from "../store/party-records.ts";
import type { Books } from "../store/party-store.ts";
import { type Caller, type Desk, unknown, type Written } from "./desk.ts";
import { parametersNow } from "./governance-desk.ts";

/** Miners in domains: fee, deposit, bond, ask price, and the way out. */
export type Registered = PartyBodies["registration"];

const registrationId = (domain: string, owner: OwnerId): string => `${domain}/${owner}`;

const registrationRecord = (of: Registered): Written<"registration"> => ({
  kind: "registration",
  id: registrationId(of.domain, of.owner),
  party: accounts.miner(of.owner),
  subject: of.domain,
  state: of.state,
  from: null,
  body: of,
});

export interface Bond {
  registration: Registered;
  /** Deposit, and held pay at half its value. */
  bond: Nano;
  minimum: Nano;
}

export class MinerDesk {
  readonly #desk: Desk;
  constructor(desk: Desk) {
    this.#desk = desk;
  }

  register(
    caller: Caller,
    owner: OwnerId,
    domain: string,
    wish: { deposit: Nano; ask: Nano | null },
  ): Promise<Result<Registered, TabgridError>> {
    return this.#move(caller, "miner-registered", domain, owner, wish, async (before, books, at) => {
      const book = (await books.one("domain", domain))?.body;
      const settings = book && settingsAt(book.timeline, this.#desk.domains.epoch);
      if (!settings) return unknown("unknown-domain")("domain", domain);
      return register(domain, owner, settings, wish, await fundsOf(books, owner), before, at);
    });
  }

  deposit(caller: Caller, owner: OwnerId, domain: string, amount: Nano): Promise<Result<Registered, TabgridError>> {
    return this.#move(caller, "collateral-deposited", domain, owner, { amount }, async (before, books, at) => {
      if (!before) return unregistered(domain, owner);
      return depositMore(before, amount, await fundsOf(books, owner), before.moves + 1, at);
    });
  }

  leave(caller: Caller, owner: OwnerId, domain: string): Promise<Result<Registered, TabgridError>> {
    return this.#move(caller, "miner-left", domain, owner, {}, async (before, _, at) => {
      if (!before) return unregistered(domain, owner);
      const left = leave(before, at);
      return left.ok ? ok({ registration: left.value, transfer: null }) : left;
    });
  }

  release(caller: Caller, owner: OwnerId, domain: string): Promise<Result<Registered, TabgridError>> {
    return this.#move(caller, "collateral-released", domain, owner, {}, async (before, books, at) => {
      if (!before) return unregistered(domain, owner);
      const parameters = await parametersNow(books, this.#desk.domains.epoch);
      return release(before, parameters["staking.unbondingMs"], await books.hasOpenCase(owner), at);
    });
  }

  /** Null where no such miner has ever come. */
  async ownerOf(miner: MinerId): Promise<OwnerId | null> {
    return (await this.#desk.store.miner(miner))?.owner ?? null;
  }

  async of(owner: OwnerId): Promise<Bond[]> {
    const held = (await this.#desk.store.account(accounts.minerHeld(owner)))?.balance ?? 0n;
    const market = (await this.#desk.one("market", "market"))?.body;
    const price = market ? twap(market, this.#desk.now()) : null;
    return (await this.#desk.all("registration", { party: accounts.miner(owner) })).map(({ body }) => {
      const minimum = this.#desk.domains.settings(body.domain)?.minimumCollateral ?? 0n;
      return { registration: body, bond: bondOf(body.deposit, held, price), minimum };
    });
  }

  /** What an owner would lose by a severe case, nano-USDC: held pay and deposits, these at the pool's average price. */
  async atRisk(owner: OwnerId): Promise<Nano> {
    const held = (await this.#desk.store.account(accounts.minerHeld(owner)))?.balance ?? 0n;
    const market = (await this.#desk.one("market", "market"))?.body;
    const price = market ? twap(market, this.#desk.now()) : null;
    if (price === null) return held;
    const bonds = await this.of(owner);
    return (
      held +
      toUsdc(
        bonds.reduce((sum, { registration }) => sum + registration.deposit, 0n),
        price,
      )
    );
  }

  /**
   * Models whose work this owner is not given: their domain asks for a registration that it does not have, or pays less
   * than it asks. `models`: all that are published.
   */
  async barred(owner: OwnerId, models: readonly ModelKey[]): Promise<ModelKey[]> {
    const byDomain = new Map((await this.of(owner)).map(({ registration }) => [registration.domain, registration]));
    return models.filter((model) => {
      const settings = this.#desk.domains.settingsOf(model);
      const registration = byDomain.get(this.#desk.domains.domainOf(model));
      if (registration?.state === "registered") return (registration.ask ?? 0n) > settings.tariff.nanoPerGflop;
      return registration !== undefined || settings.registrationFee > 0n || settings.minimumCollateral > 0n;
    });
  }

  #move(
    caller: Caller,
    action: string,
    domain: string,
    owner: OwnerId,
    input: Record<string, unknown>,
    move: (
      before: Registered | null,
      books: Books,
      at: number,
    ) => Promise<Result<{ registration: Registration; transfer: Transfer | null }, TabgridError>>,
  ): Promise<Result<Registered, TabgridError>> {
    return this.#desk.act(caller, action, { domain, owner, ...input }, async (books, at) => {
      const id = registrationId(domain, owner);
      const before = (await books.one("registration", id))?.body ?? null;
      const moved = await move(before, books, at);
      if (!moved.ok) return moved;
      const { registration, transfer } = moved.value;
      const next: Registered = { ...registration, moves: (before?.moves ?? 0) + 1 };
      return ok({ reply: next, subject: id, transfers: [transfer], records: [registrationRecord(next)] });
    });
  }
}

async function fundsOf(books: Books, owner: OwnerId) {
  const account = accounts.miner(owner);
  return { usdc: await books.balance(account), dn: await books.balance(accounts.dn(account)) };
}

const unregistered = (domain: string, owner: OwnerId) =>
  err(
    failure("wrong-state", `${owner} is not registered in ${domain}`, {
      field: "state",
      expected: "registered",
      got: "none",
    }),
  );
