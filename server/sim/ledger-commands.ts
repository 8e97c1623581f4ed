import type { AccountId, CustomerId, ModelKey, OwnerId } from "../../shared/ids.ts";
import { nextInt, type Rng } from "../../shared/random.ts";
import { accounts } from "../economy/accounts.ts";
import { settingsAt } from "../economy/domains.ts";
import type { Change } from "../economy/governance.ts";
import { domainBounds, networkBounds, networkParameters } from "../economy/governance-bounds.ts";
import type { Address } from "../economy/payouts.ts";
import { DAY_MS, foundation, type TestBooks } from "../settlement/test-books.ts";
import type { PartyBodies, PartyKind } from "../store/party-records.ts";
import { OWNERS, ownerOf } from "./ledger-work.ts";

/**
 * What parties do, drawn at random, refusals among it. Each customer is creator, backer, staker, voter and owner of earnings
 * at once; c_ann owns a domain besides.
 */
export const customers = ["c_ann", "c_bob", "c_cid"] as CustomerId[];
export const creatorOf = (customer: CustomerId): string => `creator ${customers.indexOf(customer)}`;
export const OWNED = "acme";

/** Draws and what they fell on: the same in every try of a step. */
export class Draw {
  readonly books: TestBooks;
  readonly rng: Rng;
  readonly key: string;
  readonly customer: CustomerId;
  readonly owner: OwnerId;
  readonly amount: bigint;
  readonly domain: string;
  readonly #which: number;
  #picked = new Map<string, unknown>();

  constructor(books: TestBooks, rng: Rng, key: string, firstOwner: number) {
    this.books = books;
    this.rng = rng;
    this.key = key;
    this.customer = customers[this.below(customers.length)] as CustomerId;
    this.owner = ownerOf(firstOwner + this.below(OWNERS));
    this.amount = BigInt(1 + this.below(1_000_000));
    this.domain = this.below(3) === 0 ? OWNED : "commons";
    this.#which = this.below(1_000);
  }

  below(bound: number): number {
    return nextInt(this.rng, bound);
  }
  get asCustomer() {
    return { customer: this.customer, key: this.key };
  }
  get asOwner() {
    return { customer: null, miner: this.owner, key: this.key };
  }
  get asFoundation() {
    return { ...foundation, key: this.key };
  }

  /** Kept, so that a second try asks for the same although the first may have changed it. */
  async once<T>(name: string, find: () => Promise<T>): Promise<T> {
    if (!this.#picked.has(name)) this.#picked.set(name, await find());
    return this.#picked.get(name) as T;
  }

  of<T>(list: readonly T[]): T | null {
    return list[this.#which % Math.max(1, list.length)] ?? null;
  }

  /** One of the newest records in such a state, of those that fit where any do. */
  record<Kind extends PartyKind>(
    kind: Kind,
    state: string,
    fits: (body: PartyBodies[Kind]) => boolean = () => true,
  ): Promise<{ id: string; body: PartyBodies[Kind] } | null> {
    return this.once(`${kind} ${state}`, async () => {
      const { data } = await this.books.store.parties.list(kind, { state }, { limit: 20, after: null });
      return this.of(data.filter(({ body }) => fits(body))) ?? this.of(data);
    });
  }
}

type Act = () => Promise<unknown>;

/** Drawn here, done by what is returned, as often as it takes. */
export const commands: Record<string, (draw: Draw) => Act> = {
  register: (d) => {
    const [deposit, ask] = [d.below(2) === 0 ? d.amount : 0n, d.below(4) === 0 ? d.amount : null];
    return () => d.books.parties.miners.register(d.asOwner, d.owner, d.domain, { deposit, ask });
  },
  deposit: (d) => async () => {
    const { owner, domain } = (await d.record("registration", "registered"))?.body ?? d;
    return d.books.parties.miners.deposit({ ...d.asOwner, miner: owner }, owner, domain, d.amount / 100n + 1n);
  },
  leave: (d) => async () => {
    const { owner, domain } = (await d.record("registration", "registered"))?.body ?? d;
    return d.books.parties.miners.leave({ ...d.asOwner, miner: owner }, owner, domain);
  },
  "release deposit": (d) => async () => {
    const leaving = await d.record("registration", "leaving", (one) => (one.leftAt ?? 0) < d.books.now - 7 * DAY_MS);
    const { owner, domain } = leaving?.body ?? d;
    return d.books.parties.miners.release({ ...d.asOwner, miner: owner }, owner, domain);
  },
  swap: (d) => {
    const give = d.below(3) === 0 ? "DN" : "USDC";
    const wish = { give, amount: d.amount, least: 1n } as const;
    const isOwner = d.below(2) === 0;
    const party = isOwner ? accounts.miner(d.owner) : accounts.customer(d.customer);
    return () => d.books.parties.market.swap(isOwner ? d.asOwner : d.asCustomer, party, wish);
  },
  stake: (d) => {
    const target = { domain: d.domain, validator: d.below(2) === 0 ? d.owner : null };
    return () => d.books.parties.staking.stake(d.asCustomer, target, d.amount);
  },
  unstake: (d) => async () => {
    const position = await d.record("position", "staked");
    return position && d.books.parties.staking.unstake(partyOf(d, position.body), position.body, d.amount / 2n + 1n);
  },
  "release stake": (d) => async () => {
    const position = await d.record("position", d.amount % 2n === 0n ? "unbonding" : "staked", ({ unbonding }) =>
      unbonding.some(({ freeAt }) => freeAt <= d.books.now),
    );
    return position && d.books.parties.staking.release(partyOf(d, position.body), position.body);
  },
  grant: (d) => () => d.books.parties.customers.grant(d.asFoundation, d.customer, d.amount * 100n, d.amount),
  "spend earnings": (d) => () =>
    d.books.settlement.earnings.spend(d.owner, d.customer, d.amount / 10n + 1n, `{"key":"${d.key}"}`),
  "payout address": (d) => {
    const account = d.below(2) === 0 ? accounts.miner(d.owner) : accounts.creatorMatured(creatorOf(d.customer));
    const address = `0x${String(d.below(60)).padStart(40, "0")}` as Address;
    const set = { account, address, proof: "", at: d.books.now };
    return () => d.books.store.settlement.payouts.setAddress(set);
  },
  /** Of what the last roots promise, or more than that. */
  "payout claim": (d) => async () => {
    const { payouts } = d.books.store.settlement;
    const asset = d.amount % 2n === 0n ? "USDC" : "DN";
    const { epoch } = await d.books.store.settlement.running();
    const book = await d.once("book", () => payouts.book(asset, epoch));
    const found = d.of([...book.cumulative]);
    if (!found) return;
    const cumulative = found[1] + (d.amount % 5n === 0n ? 1n : 0n);
    await payouts.claim({ reference: d.key, asset, address: found[0], cumulative }, epoch, d.books.now);
  },
  pledge: (d) => {
    const raisePercent = 1 + d.below(60);
    return async () => {
      const model = d.of(await models(d));
      return model && d.books.parties.backing.pledge(d.asCustomer, { model, amount: d.amount, raisePercent });
    };
  },
  withdraw: (d) => async () => {
    const open = await d.record("pledge", "open");
    const customer = open?.body.customer ?? d.customer;
    return open && d.books.parties.backing.withdraw({ customer, key: d.key }, open.id);
  },
  "open a round": (d) => {
    const [cut, yields] = [1_000 * (1 + d.below(3)), 1_000 + d.below(8_000)];
    const deadlineAt = d.books.now + DAY_MS * (1 + d.below(20));
    const rest = 10_000 - 2 * cut;
    const milestones = [cut, rest, cut].map((share, i) => ({ name: `${i}`, share }));
    const yieldVenue = d.below(2) === 0 ? 10_000 - yields : 0;
    const terms = { target: d.amount, deadlineAt, backers: yields, yieldVenue, terms: "terms", milestones };
    return async () => {
      const creator = creatorOf(d.customer);
      const free = async () => (await d.books.parties.domains.versions()).filter((one) => one.creator === creator);
      const model = d.of((await d.once("versions", free)).map((one) => one.model));
      return model && d.books.parties.backing.openRound(d.asCustomer, { model, title: "round", ...terms });
    };
  },
  "back a round": (d) => async () => {
    const round = await d.record("round", "open");
    return round && d.books.parties.backing.back(d.asCustomer, round.id, d.amount / 2n + 1n);
  },
  "miss a round": (d) => async () => {
    const round = await d.record("round", "open", (one) => one.round.deadlineAt <= d.books.now);
    return round && d.books.parties.backing.miss(d.asCustomer, round.id);
  },
  "release a milestone": (d) => async () => {
    const round = await d.record("round", "building");
    return round && d.books.parties.backing.release(d.asFoundation, round.id);
  },
  "stop a round": (d) => async () => {
    const round = await d.record("round", "building");
    return round && d.books.parties.backing.stop(d.amount % 2n === 0n ? d.asFoundation : d.asCustomer, round.id);
  },
  "transfer shares": (d) => {
    const to = customers[d.below(customers.length)] as CustomerId;
    return async () => {
      const round = await d.record("round", (["building", "done", "stopped"] as const)[Number(d.amount % 3n)] ?? "");
      const holder = round && d.of([...round.body.round.holdings.keys()]);
      return (
        holder && d.books.parties.backing.transfer(partyOf(d, { party: holder }), round.id, to, d.amount / 9n + 1n)
      );
    };
  },
  "pay yield": (d) => async () => {
    const round = await d.record(
      "round",
      d.amount % 2n === 0n ? "building" : "done",
      (one) => one.round.yieldVenue > 0,
    );
    return round && d.books.parties.backing.payYield(d.asCustomer, round.id);
  },
  "collect royalties": (d) => () => d.books.parties.backing.collect(d.asCustomer, creatorOf(d.customer)),
  propose: (d) => {
    const [change, ahead] = [drawChange(d), 1 + d.below(3)];
    return async () => {
      const from = (await d.once("epoch", async () => d.books.domains.epoch)) + ahead;
      return d.books.parties.governance.propose(d.asCustomer, { title: "change", change, from });
    };
  },
  vote: (d) => async () => {
    const open = await d.record("proposal", "voting");
    return open && d.books.parties.governance.vote(d.asCustomer, open.id, d.amount % 5n !== 0n);
  },
  "count votes": (d) => async () => {
    const open = await d.record("proposal", "voting", (one) => one.closesAt <= d.books.now);
    return open && d.books.parties.governance.count(d.asCustomer, open.id);
  },
  "execute a vote": (d) => async () => {
    const locked = await d.record("proposal", "locked", (one) => (one.unlocksAt ?? 0) <= d.books.now);
    return locked && d.books.parties.governance.execute(d.asCustomer, locked.id);
  },
  "change a domain": (d) => {
    const [ahead, owner, emission, pool] = [1 + d.below(2), d.below(900), d.below(600), 730 + d.below(400)];
    const [registrationFee, minimumCollateral] = [
      BigInt(d.below(2_000)),
      BigInt(d.below(3) === 0 ? d.below(60_000) : 0),
    ];
    const [stakers, availability, severePercent] = [d.below(3_000), d.below(2_100), d.below(101)];
    const [offset, targetStake] = [d.below(2) === 0, BigInt(d.below(1_000_000_000))];
    return async () => {
      const change = await d.once("settings", async () => {
        const book = await d.books.parties.domains.one(d.domain);
        const from = d.books.domains.epoch + ahead;
        return { from, settings: book && settingsAt(book.timeline, from) };
      });
      if (!change.settings) return null;
      const shares = { owner, miners: 7_000 - stakers, stakers, validators: 3_000, availability };
      const revenue = { ...change.settings.revenue, owner, emission, pool };
      const rules = { registrationFee, minimumCollateral, severePercent, offset, targetStake };
      const settings = { ...change.settings, revenue, emission: shares, ...rules };
      const caller = d.domain === OWNED ? { customer: customers[0] as CustomerId, key: d.key } : d.asFoundation;
      return d.books.parties.domains.change(caller, d.domain, settings, change.from);
    };
  },
};

/** Published ones, of which hub work is drawn too. */
export const models = async ({ books }: { books: TestBooks }): Promise<ModelKey[]> =>
  (await books.parties.domains.versions()).map(({ model }) => model);

const partyOf = ({ key }: Draw, { party }: { party: AccountId }) => ({
  customer: party.slice("customer:".length) as CustomerId,
  key,
});

function drawChange(d: Draw): Change {
  const within = ({ least, most }: { least: bigint; most: bigint }) =>
    least + ((most - least + (d.below(10) === 0 ? 2n : 0n)) * BigInt(d.below(1_001))) / 1_000n;
  if (d.below(2) === 0) {
    const parameter = networkParameters[d.below(networkParameters.length)] as (typeof networkParameters)[number];
    return { kind: "network", parameter, value: within(networkBounds[parameter]) };
  }
  const parameter = (["processor", "variableBurn", "listed"] as const)[d.below(3)] ?? "listed";
  return { kind: "domain", domain: d.domain, parameter, value: within(domainBounds[parameter]) };
}
