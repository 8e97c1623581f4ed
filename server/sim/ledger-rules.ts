import { serviceLevels } from "../../shared/pricing.ts";
import { accounts } from "../economy/accounts.ts";
import { type DomainSettings, settingsAt } from "../economy/domains.ts";
import type { Change, Proposal } from "../economy/governance.ts";
import { type Bound, domainBounds, networkBounds, networkParameters } from "../economy/governance-bounds.ts";
import { commonsVerification } from "../economy/verification-terms.ts";
import type { Version } from "../store/party-records.ts";
import { CREATORS, creatorOf, type Draw, type Kinds } from "./ledger-draw.ts";

/** Who sets the rules: votes, owners of domains, and the operator who publishes. */
const DOMAINS_MOST = 8;

export const ruleKinds: Kinds = {
  propose: [
    20,
    (d) => {
      const [change, ahead] = [drawChange(d), d.odd ? 0 : 1 + d.below(9)];
      return async () => {
        const from = (await d.once("epoch", async () => d.books.domains.epoch)) + ahead;
        return d.books.parties.governance.propose(d.asCustomer, { title: "change", change, from });
      };
    },
  ],
  vote: [
    60,
    (d) => {
      const approve = d.below(8) > 0;
      return async () => {
        const party = accounts.customer(d.customer);
        const fits = (one: Proposal) => one.closesAt > d.at && !one.votes.has(party);
        const found = await d.record("proposal", "voting", fits);
        return found && d.books.parties.governance.vote(d.asCustomer, found.id, approve);
      };
    },
  ],
  "count votes": [
    20,
    (d) => async () => {
      const found = await d.record("proposal", "voting", ({ closesAt }) => closesAt <= d.at);
      return found && d.books.parties.governance.count(d.asCustomer, found.id);
    },
  ],
  "execute a vote": [
    22,
    (d) => async () => {
      const found = await d.record("proposal", "locked", ({ unlocksAt }) => (unlocksAt ?? 0) <= d.at);
      return found && d.books.parties.governance.execute(d.asCustomer, found.id);
    },
  ],
  "change a domain": [
    20,
    (d) => {
      const [ahead, change] = [d.odd ? d.below(2) : 1 + d.below(2), drawSettings(d)];
      return async () => {
        const { owner, from, settings } = await d.once("settings", async () => {
          const book = await d.books.parties.domains.one(d.domain);
          const from = d.books.domains.epoch + ahead;
          return { owner: book?.owner ?? null, from, settings: book && settingsAt(book.timeline, from) };
        });
        if (!settings) return null;
        const caller = d.odd ? d.asCustomer : { customer: owner, key: d.key };
        return d.books.parties.domains.change(caller, d.domain, change(settings), from);
      };
    },
  ],
  "create a domain": [
    8,
    (d) => {
      const owner = d.below(3) === 0 ? null : d.customer;
      const [fee, minimum] = [BigInt(d.below(1_000)), BigInt(d.below(30_000))];
      return async () => {
        const names = d.books.domains.names();
        const isRoom = await d.once("room", async () => names.length < DOMAINS_MOST);
        if (!isRoom && !d.odd) return null;
        const domain = await d.once("domain", async () => (d.odd ? d.domain : `d${names.length}`));
        const settings = { registrationFee: fee, minimumCollateral: minimum };
        return d.books.parties.domains.create(d.asFoundation, { domain, title: domain, owner, settings });
      };
    },
  ],
  /** Odd: with a royalty that leaves the miners too little, or once more with another one. */
  "draft a version": [
    12,
    (d) => {
      const royaltyBasisPoints = d.odd ? 8_000 : (([0, 500, 2_000, 3_000] as const)[d.below(4)] ?? 0);
      const creator = creatorOf(d.below(CREATORS));
      return async () => {
        const known = d.odd && d.amount % 2n === 0n ? await d.model() : null;
        const model = known ?? (`m-${d.id}@1` as Version["model"]);
        const version = { model, domain: d.domain, creator, royaltyBasisPoints, round: null };
        return d.books.parties.domains.draft(d.asFoundation, version);
      };
    },
  ],
  "publish a version": [
    14,
    (d) => async () => {
      const isRoom = await d.once("room", async () => (await d.lived.versions()).length < d.lived.room);
      const drafts = () => d.books.store.parties.all("version", { state: "draft" });
      const draft = isRoom ? await d.once("draft", async () => d.of(await drafts())) : null;
      return draft && d.books.parties.domains.mint(d.asFoundation, draft.body);
    },
  ],
};

/** Any within its bounds, and some beyond; delays and lengths mostly short, or little would come of the votes after it. */
function drawChange(d: Draw): Change {
  const number = BigInt(d.below(1_001));
  const isBeyond = d.below(10) === 0;
  const within = ({ least, most }: Bound, times: bigint) =>
    isBeyond ? most + 1n + times : least + ((most - least) * times) / 1_000n;
  if (d.below(3) > 0) {
    const parameter = networkParameters[d.below(networkParameters.length)] as (typeof networkParameters)[number];
    const times = parameter.endsWith("Ms") ? (number * number) / 1_000n : number;
    return { kind: "network", parameter, value: within(networkBounds[parameter], times) };
  }
  const parameter = (["processor", "variableBurn"] as const)[d.below(4)] ?? "listed";
  const value =
    parameter === "listed" && !isBeyond ? (number % 3n > 0n ? 1n : 0n) : within(domainBounds[parameter], number);
  return { kind: "domain", domain: d.domain, parameter, value };
}

/** All that an owner may set. */
function drawSettings(d: Draw): (settings: DomainSettings) => DomainSettings {
  const [owner, emission, pool] = [d.below(900), d.below(600), 730 + d.below(400)];
  const registrationFee = BigInt(d.below(2_000));
  const minimumCollateral = BigInt(d.below(3) === 0 ? d.below(60_000) : 0);
  const [stakers, availability, severePercent] = [d.below(3_000), d.below(2_100), d.below(101)];
  const [offset, targetStake] = [d.below(2) === 0, BigInt(d.below(1_000_000_000))];
  const miners = 7_000 - stakers - (d.odd ? 1 : 0);
  const difficultyPpm = 500_000n + BigInt(d.below(1_000_000));
  const isStricter = d.below(4) === 0;
  const verification = {
    checkRate: 500 + d.below(1_500),
    newcomerPasses: 20 + d.below(30),
    referenceShare: 2_000 + d.below(3_001),
    leastLevel: serviceLevels[d.below(2)] ?? "fast",
  };
  return (settings) => ({
    ...settings,
    revenue: { ...settings.revenue, owner, emission, pool: isStricter ? pool + 900 : pool },
    emission: { owner, miners, stakers, validators: 3_000, availability },
    tariff: { ...settings.tariff, difficultyPpm },
    verification: isStricter ? verification : commonsVerification,
    ...{ registrationFee, minimumCollateral, severePercent, offset, targetStake },
  });
}
