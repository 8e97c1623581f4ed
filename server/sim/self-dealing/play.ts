import type { AccountId, AssignmentId, CustomerId, ModelKey, OwnerId, TaskId } from "../../../shared/ids.ts";
import type { Nano } from "../../../shared/money.ts";
import { executionsPriced, priceOf as priceOfTask } from "../../../shared/pricing.ts";
import { accounts } from "../../economy/accounts.ts";
import { greatest, least } from "../../economy/apportion.ts";
import { CheckCredits } from "../../economy/check-credit.ts";
import type { DomainSettings } from "../../economy/domains.ts";
import { ofSupply } from "../../economy/emission.ts";
import { type EpochMemory, type EpochPeriod, firstMemory, planEpoch } from "../../economy/epoch-plan.ts";
import { type EpochTally, emptyTally, modelOf, periodOf } from "../../economy/epoch-tally.ts";
import { heldTask } from "../../economy/held-task.ts";
import { grant, hold } from "../../economy/holds.ts";
import { legsOf } from "../../economy/ledger.ts";
import { type Market, priceOf, seedMarket, toDn, toUsdc, trade, twap, WINDOW_MS } from "../../economy/market.ts";
import { CLEAN_MS, Maturation } from "../../economy/maturation.ts";
import { PlainBooks } from "../../economy/plain-books.ts";
import { type PoolWork, payPoolWork } from "../../economy/pool-work.ts";
import { settle } from "../../economy/revenue.ts";
import { ownRoyalty, type Royalty } from "../../economy/royalty.ts";
import { madeBy } from "../../economy/task-pay.ts";
import type { VerifiedExecution, VerifiedTask } from "../../economy/verified-task.ts";
import { sha256 } from "../../store/sha256.ts";
import type { Deal, Elsewhere, Setting } from "./setting.ts";

/**
 * One party that is consumer, miner, validator, creator, backer, staker and domain owner at once, on the production rules.
 * A setting is played twice, with and without the dealer's own tasks, beside honest customers, miners and stakers, at the
 * same prices. The verification pool holds what honest work has brought in, and every check may be the dealer's own.
 * Everything doubtful counts for the dealer: of the pool what its own work brought in and may yet pay for checks, all that is burned (as a holder of DN it could at most win what
 * the buyback paid), and each epoch's DN at the higher of TWAP and closing price.
 */
export interface Dealing {
  /** What the dealer paid for its own tasks, nano-USDC. */
  spent: Nano;
  /** Of it what went to foundation and processor. */
  lost: Nano;
  /** What it has more than without them; below zero where it loses. */
  gain: Nano;
}

const UNIT = 1_000_000_000n;
const DAY = 86_400_000;
const SUPPLY = 100_000_000n * UNIT;
const START = 2 * WINDOW_MS;
const dealer = "own_dealer" as OwnerId;
const honest = "own_honest" as OwnerId;
const customers = { dealer: "c_dealer" as CustomerId, honest: "c_honest" as CustomerId };
const models = ["shared@1", "other@1"] as ModelKey[];
const nano = (units: number): Nano => BigInt(units) * UNIT;
/** `percent` of `whole` for the dealer, the rest for the honest one. */
const parted = (whole: bigint, percent: number, [mine, theirs]: readonly [AccountId, AccountId]) =>
  new Map([
    [mine, (whole * BigInt(percent)) / 100n],
    [theirs, (whole * BigInt(100 - percent)) / 100n],
  ]);
const miners = [accounts.miner(dealer), accounts.miner(honest)] as const;
const parties = [accounts.customer(customers.dealer), accounts.customer(customers.honest)] as const;

const own: readonly AccountId[] = [
  accounts.customer(customers.dealer),
  accounts.miner(dealer),
  accounts.minerHeld(dealer),
  accounts.creator("dealer"),
  accounts.creatorMatured("dealer"),
  accounts.domain("dealt"),
];

export function dealingOf(setting: Setting): Dealing {
  const played = play(setting, null);
  const without = play({ ...setting, deals: setting.deals.filter(({ byDealer }) => !byDealer) }, played.markets);
  return { spent: played.spent, lost: played.lost, gain: played.wealth - without.wealth };
}

/** `markets`: the pool after each closing, where another play has made it; then this one buys nothing. */
function play(of: Setting, markets: readonly Market[] | null) {
  const books = new PlainBooks();
  let market = marketOf(of);
  const honestly = nano(of.verificationUsdc);
  const start = new Map([
    [accounts.dnIssuer, -SUPPLY],
    [accounts.dnTreasury, SUPPLY - market.dn],
    [accounts.dn(accounts.market), market.dn],
    [accounts.issuer, -market.usdc - honestly],
    [accounts.market, market.usdc],
    [accounts.pool("dealt"), honestly],
  ]);
  books.post({ id: "genesis", kind: "genesis", at: 0, task: null, legs: legsOf(start) });
  const credits = new CheckCredits();
  for (const customer of Object.values(customers)) books.post(grant(customer, 10n ** 12n * UNIT, "start", 0));

  const seeded = market.usdc;
  const epochMs = of.epochDays * DAY;
  const rule = { kappaPpm: BigInt(of.kappaPpm), floorPpm: BigInt(of.floorPpm), ceilingPpm: BigInt(of.ceilingPpm) };
  let previous = memoryOf(of, epochMs, market);
  const total = { spent: 0n, lost: 0n, dn: 0n, usdcOfDn: 0n };
  const after: Market[] = [];
  for (let epoch = 0; epoch < of.epochs; epoch++) {
    const tally = emptyTally();
    settleAll(of, epoch, { books, credits }, tally, total);
    addElsewhere(tally, "listed", of.listedElsewhere, epoch);
    addElsewhere(tally, "open", of.openElsewhere, epoch);
    const at = START + epoch * epochMs;
    const given = markets?.[epoch];
    const plan = planEpoch(
      {
        epoch: epoch + 1,
        at,
        epochMs,
        tally,
        periods: periodsOf(of, epochMs),
        royalties: royaltiesOf(of),
        market: given ?? market,
        slippagePpm: given ? 0n : 10_000n,
        rule,
        supply: SUPPLY,
        previous,
      },
      sha256,
    );
    for (const transfer of plan.transfers) books.post(transfer);
    ({ market, memory: previous } = plan);
    after.push(market);
    const dn = own.reduce((sum, account) => sum + books.balance(accounts.dn(account)), 0n);
    const average = twap(market, at) ?? 0n;
    total.usdcOfDn += toUsdc(dn - total.dn, greatest(average, priceOf(market)));
    total.dn = dn;
  }
  const pooled = [accounts.burn("dealt"), accounts.emission("dealt")];
  const credit = credits.forHub("dealt", dealer, books.balance(accounts.pool("dealt")));
  const usdc = [...own, ...pooled].reduce((sum, account) => sum + books.balance(account), credit);
  const bought = books.balance(accounts.market) - seeded;
  return { ...total, markets: after, wealth: usdc + bought + total.usdcOfDn };
}

function memoryOf(of: Setting, epochMs: number, market: Market): EpochMemory {
  if (of.level.of === "genesis") return firstMemory;
  const percent = BigInt(of.level.percent);
  const ceiling = ofSupply(BigInt(of.ceilingPpm), SUPPLY, epochMs);
  if (of.level.of === "ceiling") return { ...firstMemory, level: (ceiling * percent) / 100n };
  const weekly = nano(of.listedElsewhere.revenue[0] ?? 0);
  const worth = (toDn(weekly, twap(market, START) ?? priceOf(market)) * BigInt(of.kappaPpm)) / 1_000_000n;
  const wanted = least(greatest(worth, ofSupply(BigInt(of.floorPpm), SUPPLY, epochMs)), ceiling);
  const revenue = Array<Nano>(Math.ceil(WINDOW_MS / epochMs)).fill(weekly);
  return { ...firstMemory, level: (wanted * percent) / 100n, revenue };
}

/** The tasks that mature in an epoch, out of hold and held pay. */
function settleAll(
  of: Setting,
  epoch: number,
  { books, credits }: { books: PlainBooks; credits: CheckCredits },
  tally: EpochTally,
  total: { spent: Nano; lost: Nano },
): void {
  const maturation = new Maturation();
  const due = of.deals.filter((deal) => deal.epoch === epoch).flatMap((deal) => Array<Deal>(deal.repeat).fill(deal));
  for (const [n, deal] of due.entries()) {
    const fact = factOf(deal, `${epoch}_${n}`, n, of);
    const { revenue } = settingsOf(deal, of);
    const pool = () => books.balance(accounts.pool("dealt"));
    const credit = (owner: OwnerId | null, gain: Nano) => {
      if (owner !== null) credits.add({ domain: "dealt", owner, gain });
    };
    const execution = fact.price / BigInt(executionsPriced(fact.level));
    if (deal.byDealer && deal.hub !== "nothing") {
      const work = hubWorkOf(fact, deal.hub, execution);
      const paid = payPoolWork(work, revenue, credits.forHub("dealt", work.subject, pool()));
      if (!paid.ok) throw new Error(paid.error.message);
      if (paid.value.transfer) books.post(paid.value.transfer);
      credit(work.subject, paid.value.poolGain);
      if (deal.hub === "refuted") continue;
    }
    books.post(hold({ task: fact.task, customer: fact.customer, amount: fact.price }, n));
    const settled = settle(fact, revenue, credits.forChecks("dealt", madeBy(fact), pool(), execution), sha256);
    if (!settled.ok) throw new Error(settled.error.message);
    books.post(settled.value.transfer);
    credit(settled.value.madeBy, settled.value.poolGain);
    const held = heldTask(fact, settled.value, null, revenue, sinceOf(deal));
    maturation.settled(held);
    if (!deal.byDealer) continue;
    total.spent += fact.price;
    total.lost += held.foundation + held.processor;
  }
  for (const transfer of maturation.mature(CLEAN_MS + due.length, () => 0n, tally)) books.post(transfer);
}

/** What the hub orders on account of a deal: a known answer for its miner, or two checks that refute it. */
function hubWorkOf(fact: VerifiedTask, why: "canary" | "refuted", price: Nano): PoolWork {
  const [made] = fact.executions as [VerifiedExecution];
  const ran = (role: "primary" | "check", n: number): VerifiedExecution => {
    const assignment = `${made.assignment}_${why}_${n}` as AssignmentId;
    return { ...made, by: dealer, role, assignment };
  };
  const executions = why === "canary" ? [ran("primary", 0)] : [ran("check", 0), ran("check", 1)];
  const { task, at, royaltyBasisPoints } = fact;
  return { task, at, royaltyBasisPoints, price, why, subject: madeBy(fact), executions };
}

const sinceOf = ({ before }: Deal): number => (before ? 0 : 1);
const settingsOf = (deal: Deal, of: Setting): DomainSettings => (deal.before ? of.before : of.settings);

function factOf(deal: Deal, id: string, at: number, of: Setting): VerifiedTask {
  const base = { miner: null, commitment: "", accepted: true, signed: true };
  const owner = deal.byDealer ? dealer : honest;
  const checkers = { dealer, honest: "own_checker" as OwnerId, reference: "reference" as const };
  const executions: VerifiedExecution[] = [
    { ...base, by: owner, assignment: `a_${id}` as never, role: "primary", newcomer: deal.newcomer },
  ];
  for (let i = 1; deal.checker !== "none" && i < Math.max(2, executionsPriced(deal.level)); i++) {
    const by = checkers[deal.checker];
    const assignment = by === "reference" ? null : (`a_${id}_${i}` as never);
    executions.push({ ...base, by, assignment, role: "check", newcomer: false });
  }
  const work = nano(deal.gflop);
  return {
    task: `t_${id}` as TaskId,
    at,
    customer: deal.byDealer ? customers.dealer : customers.honest,
    model: `${deal.model}@1` as ModelKey,
    creator: deal.model === "shared" && !of.creatorIsDealer ? "honest" : "dealer",
    royaltyBasisPoints: of.royalties[deal.model],
    level: deal.level,
    price: priceOfTask(work, deal.level, settingsOf(deal, of).tariff, deal.preemptible),
    work,
    basis: "checked",
    inputHash: "",
    commitment: "",
    executions,
  };
}

/** Honest revenue of another domain: what of it concerns the dealer is its part of what is minted for it. */
function addElsewhere(tally: EpochTally, domain: string, { revenue, dealerPercent }: Elsewhere, epoch: number): void {
  const usdc = nano(revenue[epoch] ?? 0);
  if (usdc === 0n) return;
  const processor = (usdc * 3n) / 100n;
  const period = periodOf(tally, { domain, since: 0 });
  Object.assign(period, { revenue: usdc, foundation: usdc / 100n, processor });
  const work = parted(usdc, dealerPercent, miners);
  Object.assign(modelOf(period, `${domain}@1` as ModelKey), { revenue: usdc, work, checks: work });
}

function periodsOf(of: Setting, epochMs: number): Map<string, EpochPeriod> {
  const { stakeOfDealerPercent } = of;
  const available = new Map([
    [accounts.miner(dealer), BigInt(of.availableDealer)],
    [accounts.miner(honest), BigInt(of.availableHonest)],
  ]);
  const staked = nano(of.stakedDn) * BigInt(epochMs);
  const elsewhere = (isListed: boolean, { dealerPercent }: Elsewhere): EpochPeriod => ({
    shares: of.settings.emission,
    targetStake: of.settings.targetStake,
    listed: isListed,
    offset: false,
    stakes: parted(staked, dealerPercent, parties),
    availability: new Map(),
  });
  const dealt = ({ emission, targetStake, listed, offset }: DomainSettings): EpochPeriod => ({
    shares: emission,
    targetStake,
    listed,
    offset,
    stakes: parted(staked, stakeOfDealerPercent, parties),
    availability: new Map(models.map((model) => [model, available])),
  });
  return new Map([
    ["dealt@0", dealt(of.before)],
    ["dealt@1", dealt(of.settings)],
    ["listed@0", elsewhere(true, of.listedElsewhere)],
    ["open@0", elsewhere(false, of.openElsewhere)],
  ]);
}

function royaltiesOf(of: Setting): Map<ModelKey, Royalty> {
  const { backers, yieldVenue } = of;
  const shared = ownRoyalty(of.creatorIsDealer ? "dealer" : "honest", of.royalties.shared);
  const holdings = new Map([...parted(100n, of.dealerHolds, parties)].filter(([, shares]) => shares > 0n));
  return new Map([
    [
      "shared@1" as ModelKey,
      {
        ...shared,
        backers: backers * 100,
        yieldVenue: yieldVenue * 100,
        own: (100 - backers - yieldVenue) * 100,
        holdings,
        venue: yieldVenue > 0 ? parties[0] : null,
      },
    ],
    ["other@1" as ModelKey, ownRoyalty("dealer", of.royalties.other)],
    ["listed@1" as ModelKey, ownRoyalty("dealer", of.royalties.other)],
    ["open@1" as ModelKey, ownRoyalty("dealer", of.royalties.other)],
  ]);
}

function marketOf({ poolUsdc, poolDn, pushUsdc, pushDays }: Setting): Market {
  const market = seedMarket(nano(poolUsdc), nano(poolDn), 0);
  return pushUsdc === 0 ? market : trade(market, { usdcIn: nano(pushUsdc) }, START - pushDays * DAY).market;
}
