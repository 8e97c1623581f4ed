import type { CustomerId } from "../../shared/ids.ts";
import { accounts } from "../economy/accounts.ts";
import { ledgerVenue } from "../economy/rounds.ts";
import { DAY_MS } from "../settlement/test-books.ts";
import type { Version } from "../store/party-records.ts";
import { behind, CREATORS, creatorOf, customerOf, customers, type Draw, type Kinds } from "./ledger-draw.ts";
import { OWNERS, ownerOf } from "./ledger-work.ts";

/** What customers ask for: stake, the demand board, creators and their rounds; and the operator for them. */
export const customerKinds: Kinds = {
  grant: [
    8,
    (d) => {
      const dn = d.odd ? 10n ** 18n : d.amount;
      return () => d.books.parties.customers.grant(d.asFoundation, d.customer, d.amount * 100n, dn);
    },
  ],
  stake: [
    16,
    (d) => async () => {
      const domain = d.odd ? "nowhere" : d.domain;
      return d.books.parties.staking.stake(d.asCustomer, { domain, validator: null }, await d.dnOf(d.customer));
    },
  ],
  /** To somebody new, or once more to one of those that have delegates. */
  delegate: [
    20,
    (d) => {
      const [isNew, validator] = [d.below(3) === 0, ownerOf(d.lived.firstOwner + d.below(OWNERS * 2))];
      return async () => {
        const known = isNew ? null : await d.record("position", "staked", (one) => one.validator !== null);
        const target = known?.body.validator ? known.body : { domain: d.domain, validator };
        return d.books.parties.staking.stake(d.asCustomer, target, await d.dnOf(d.customer));
      };
    },
  ],
  unstake: [
    26,
    (d) => async () => {
      const found = await d.record("position", "staked", ({ amount }) => amount > 0n);
      if (!found) return null;
      const { body } = found;
      return d.books.parties.staking.unstake(d.rightly(customerOf(body.party)), body, d.portion(body.amount));
    },
  ],
  "release stake": [
    24,
    (d) => {
      const state = d.below(3) === 0 ? "unbonding" : "staked";
      return async () => {
        const isFree = ({ amount, freeAt }: { amount: bigint; freeAt: number }) => amount > 0n && freeAt <= d.at;
        const found = await d.record("position", state, ({ unbonding }) => unbonding.some(isFree));
        return found && d.books.parties.staking.release(d.rightly(customerOf(found.body.party)), found.body);
      };
    },
  ],
  pledge: [
    22,
    (d) => {
      const raisePercent = d.odd ? 1_001 : 1 + d.below(60);
      const amount = d.below(2) === 0 ? d.amount / 20n + 1n : d.amount * 10_000n;
      return async () => {
        const model = await d.model();
        return model && d.books.parties.backing.pledge(d.asCustomer, { model, amount, raisePercent });
      };
    },
  ],
  withdraw: [
    14,
    (d) => async () => {
      const found = await d.record("pledge", "open");
      return found && d.books.parties.backing.withdraw(d.rightly(found.body.customer), found.id);
    },
  ],
  "name a creator": [
    8,
    (d) => {
      const name = creatorOf(d.below(CREATORS));
      const customer = d.odd ? d.customer : behind(name);
      return () => d.books.parties.backing.nameCreator(d.asFoundation, name, customer);
    },
  ],
  "collect royalties": [
    16,
    (d) => async () => {
      const names = Array.from({ length: CREATORS }, (_, i) => creatorOf(i));
      const name = await d.once("name", async () => {
        const matured = await d.books.store.settlement.balances(names.map(accounts.creatorMatured));
        return d.of(d.odd ? names : names.filter((one) => (matured.get(accounts.creatorMatured(one)) ?? 0n) > 0n));
      });
      return name === null ? null : d.books.parties.backing.collect(d.rightly(behind(name)), name);
    },
  ],
  "open a round": [
    20,
    (d) => {
      const terms = termsOf(d);
      return async () => {
        const open = async () => {
          const named = new Set((await d.books.store.parties.all("creator")).map(({ id }) => id));
          const rounds = new Map((await d.books.store.parties.all("round")).map((one) => [one.id, one.body.round]));
          const isFree = ({ creator, round, royaltyBasisPoints }: Version) =>
            named.has(creator) && royaltyBasisPoints > 0 && (round === null || rounds.get(round)?.state === "missed");
          return d.of((await d.books.parties.domains.versions()).filter((one) => d.odd || isFree(one)));
        };
        const version = await d.once("version", open);
        if (!version) return null;
        const { model, creator } = version;
        return d.books.parties.backing.openRound(d.rightly(behind(creator)), { model, title: "round", ...terms });
      };
    },
  ],
  /** More than is missing, or far less. */
  "back a round": [
    34,
    (d) => {
      const times = d.below(4) === 0 ? 200n : 1n;
      return async () => {
        const found = await d.record("round", "open", ({ round }) => round.deadlineAt > d.at);
        const amount = times * (d.amount / 2n + 1n);
        return found && d.books.parties.backing.back(d.asCustomer, found.id, amount);
      };
    },
  ],
  "miss a round": [
    14,
    (d) => async () => {
      const found = await d.record("round", "open", ({ round }) => round.deadlineAt <= d.at);
      return found && d.books.parties.backing.miss(d.asCustomer, found.id);
    },
  ],
  "release a milestone": [
    24,
    (d) => async () => {
      const found = await d.record("round", "building");
      return found && d.books.parties.backing.release(d.asFoundation, found.id);
    },
  ],
  "stop a round": [
    6,
    (d) => async () => {
      const found = await d.record("round", "building");
      const caller = d.amount % 2n === 0n ? d.asFoundation : found && d.rightly(behind(found.body.round.creator));
      return found && caller && d.books.parties.backing.stop(caller, found.id);
    },
  ],
  "transfer shares": [
    18,
    (d) => {
      const to = d.below(16) === 0 ? ("c_nobody" as CustomerId) : (customers[d.below(customers.length)] as CustomerId);
      const state = (["building", "done", "done", "stopped"] as const)[d.below(4)] as string;
      return async () => {
        const found = await d.record("round", state);
        const held = found && d.of([...found.body.round.holdings].filter(([, shares]) => d.odd || shares > 0n));
        if (!found || !held) return null;
        const [holder, shares] = held;
        return d.books.parties.backing.transfer(d.as(customerOf(holder)), found.id, to, d.portion(shares));
      };
    },
  ],
  "pay yield": [
    20,
    (d) => {
      const state = (["building", "done", "done", "stopped"] as const)[d.below(4)] as string;
      return async () => {
        const id = await d.once("yielding", async () => {
          const rounds = await d.books.store.parties.all("round", { state });
          const venues = new Map(rounds.map((one) => [one.id, ledgerVenue.account(one.id)]));
          const lies = await d.books.store.settlement.balances([...venues.values()]);
          return d.of([...venues].filter(([, venue]) => d.odd || (lies.get(venue) ?? 0n) > 0n))?.[0] ?? null;
        });
        return id === null ? null : d.books.parties.backing.payYield(d.asCustomer, id);
      };
    },
  ],
};

/** A third of the rounds ask for more than comes in before their deadline. */
function termsOf(d: Draw) {
  const [cut, yields] = [1_000 * (1 + d.below(3)), 1_000 + d.below(8_000)];
  const deadlineAt = d.at + (d.below(30) === 0 ? 0 : DAY_MS * (1 + d.below(6)));
  const whole = d.below(30) === 0 ? 9_999 : 10_000;
  const milestones = [cut, whole - 2 * cut, cut].map((share, i) => ({ name: `${i}`, share }));
  const yieldVenue = d.below(3) > 0 ? 10_000 - yields : 0;
  const target = d.amount * (d.below(3) === 0 ? 1_000n : 1n);
  return { target, deadlineAt, backers: yields, yieldVenue, terms: "terms", milestones };
}
