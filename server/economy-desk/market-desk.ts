import { failure, type TabgridError } from "../../shared/errors.ts";
import type { AccountId } from "../../shared/ids.ts";
import { NANO_PER_UNIT, type Nano } from "../../shared/money.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { accounts } from "../economy/accounts.ts";
import { checkCovered, checkIssue } from "../economy/amount.ts";
import { legsOf, type Transfer } from "../economy/ledger.ts";
import { type Market, type Price, seedMarket, trade, twap } from "../economy/market.ts";
import type { Books } from "../store/party-store.ts";
import type { Caller, Desk, Written } from "./desk.ts";

/** The pool that prices DN: seeded by the operator, traded by whoever holds one side. */
const MARKET = "market";
const GENESIS: Nano = 100_000_000n * NANO_PER_UNIT;

export const marketRecord = (market: Market): Written<"market"> => ({
  kind: "market",
  id: MARKET,
  party: null,
  subject: null,
  state: "open",
  from: null,
  body: market,
});

/** 100,000,000 DN into the treasury, once. */
export const genesis = (at: number): Transfer => ({
  id: "genesis",
  kind: "genesis",
  at,
  task: null,
  legs: legsOf(
    new Map([
      [accounts.dnIssuer, -GENESIS],
      [accounts.dnTreasury, GENESIS],
    ]),
  ),
});

export interface SwapWish {
  give: "USDC" | "DN";
  amount: Nano;
  /** The least to get for it. */
  least: Nano;
}

export class MarketDesk {
  readonly #desk: Desk;
  readonly #newId: () => string;
  constructor(desk: Desk, newId: () => string) {
    this.#desk = desk;
    this.#newId = newId;
  }

  async market(): Promise<Market | null> {
    return (await this.#desk.one("market", MARKET))?.body ?? null;
  }

  /** Null while the pool is younger than 28 days. */
  async twap(): Promise<Price | null> {
    const market = await this.market();
    return market && twap(market, this.#desk.now());
  }

  /** DN minted less DN burned. */
  async supply(): Promise<Nano> {
    const of = async (account: AccountId) => (await this.#desk.store.account(account))?.balance ?? 0n;
    return -(await of(accounts.dnIssuer)) - (await of(accounts.dnBurned));
  }

  /** Once. USDC from the issuer of test USDC, DN from the treasury. */
  seed(caller: Caller, usdc: Nano, dn: Nano): Promise<Result<Market, TabgridError>> {
    return this.#desk.act(caller, "market-seeded", { usdc, dn }, async (books, at) => {
      if (await books.one("market", MARKET)) {
        const detail = { field: "market", expected: "no market yet", got: "a seeded one" };
        return err(failure("wrong-state", "the market has its reserves", detail));
      }
      const wholeUsdc = checkCovered(usdc, GENESIS, accounts.issuer, "usdc");
      if (!wholeUsdc.ok) return wholeUsdc;
      const issued = checkIssue(usdc, -(await books.balance(accounts.issuer)), "usdc");
      if (!issued.ok) return issued;
      const covered = checkCovered(dn, await books.balance(accounts.dnTreasury), accounts.dnTreasury, "dn");
      if (!covered.ok) return covered;
      const gains = new Map([
        [accounts.issuer, -usdc],
        [accounts.market, usdc],
        [accounts.dnTreasury, -dn],
        [accounts.dn(accounts.market), dn],
      ]);
      const transfer: Transfer = { id: "market:seed", kind: "swap", at, task: null, legs: legsOf(gains) };
      const market = seedMarket(usdc, dn, at);
      return ok({ reply: market, subject: MARKET, transfers: [transfer], records: [marketRecord(market)] });
    });
  }

  /** `party`: whose USDC and DN change. */
  swap(caller: Caller, party: AccountId, wish: SwapWish): Promise<Result<{ out: Nano; market: Market }, TabgridError>> {
    return this.#desk.act(caller, "swapped", { ...wish }, (books, at) =>
      swapped(books, party, wish, this.#newId(), at),
    );
  }
}

async function swapped(books: Books, party: AccountId, wish: SwapWish, id: string, at: number) {
  const before = (await books.one("market", MARKET))?.body;
  if (!before) {
    const detail = { field: "market", expected: "a seeded market", got: "none" };
    return err(failure("wrong-state", "the operator has not seeded the market", detail));
  }
  const { give, amount, least } = wish;
  const [from, to] = give === "USDC" ? [party, accounts.dn(party)] : [accounts.dn(party), party];
  const covered = checkCovered(amount, await books.balance(from), from, "amount");
  if (!covered.ok) return covered;
  const { market, out } = trade(
    before,
    give === "USDC" ? { usdcIn: amount } : { dnIn: amount },
    Math.max(at, before.at),
  );
  if (out < least || out === 0n) {
    const detail = { field: "least", expected: `at most ${out}`, got: String(least) };
    return err(failure("slippage-exceeded", "the pool gives less than this", detail));
  }
  const pool = [accounts.market, accounts.dn(accounts.market)];
  const [gaining, giving] = (give === "USDC" ? pool : pool.toReversed()) as [AccountId, AccountId];
  const gains = new Map([
    [from, -amount],
    [gaining, amount],
    [giving, -out],
    [to, out],
  ]);
  const transfer: Transfer = { id: `swap:${id}`, kind: "swap", at, task: null, legs: legsOf(gains) };
  return ok({ reply: { out, market }, subject: MARKET, transfers: [transfer], records: [marketRecord(market)] });
}
