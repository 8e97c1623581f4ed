import type { Nano } from "../../../shared/money.ts";
import { type Market, PRICE_ONE, priceOf, seedMarket, trade, twap } from "../../economy/market.ts";
import { type Draw, WEEKS } from "./draws.ts";
import { type Cell, emissionOf, FIRST_SUPPLY } from "./rules.ts";

/** Five years of one network under one rule, a week a step; docs/emissions-study.md, "Model". */
export interface Outcome {
  /** Week in which capacity had been below 20 % of demand for 13 weeks; null: never. */
  collapsed: number | null;
  /** Of what customers would have asked. */
  served: number;
  /** At the start and after every four weeks, over the first. */
  price: number[];
  /** Share of demand served in every four weeks. */
  service: number[];
  /** Minted less burned, over the first supply. */
  netIssuance: number;
  /** USDC of emission per USDC served. */
  subsidy: number;
  /** Of all revenue. */
  wash: number;
  /** Median of income over cost. */
  margin: number;
  /** USDC of buying per USDC of emission, of each half-year that kept its price within 5 %. */
  buying: number[];
}

/** Weeks between the points of a series. */
export const PACE = 4;

const WEEK_MS = 604_800_000;
const FIRST_PRICE = 0.05;
/** The production pool's price is an integer: below this DN is worthless and nobody trades it. */
const WORTHLESS = 1e-12;
const HALF_YEAR = 26;

const between = (value: number, least: number, most: number): number => Math.min(most, Math.max(least, value));
const nano = (amount: number): Nano => BigInt(Math.max(0, Math.round(amount * 1e9)));

/** The production pool, in floating point on the outside. */
class Pool {
  market: Market;
  bought = 0;

  constructor(usdc: number) {
    this.market = seedMarket(nano(usdc), nano(usdc / FIRST_PRICE), 0);
  }

  get price(): number {
    return Number(priceOf(this.market)) / Number(PRICE_ONE);
  }

  get usdc(): number {
    return Number(this.market.usdc) / 1e9;
  }

  /** DN for USDC. */
  buy(usdc: number, at: number): number {
    const usdcIn = nano(usdc);
    if (usdcIn === 0n || this.price < WORTHLESS) return 0;
    const { market, out } = trade(this.market, { usdcIn }, at);
    this.market = market;
    this.bought += usdc;
    return Number(out) / 1e9;
  }

  /** USDC for DN. */
  sell(dn: number, at: number): number {
    const dnIn = nano(dn);
    if (dnIn === 0n || this.price < WORTHLESS) return 0;
    const { market, out } = trade(this.market, { dnIn }, at);
    this.market = market;
    return Number(out) / 1e9;
  }
}

/** `atStake`: the share of the first supply that is staked at first. */
export function simulate(draw: Draw, cell: Cell, atStake = 0.4): Outcome {
  const { split, route } = cell;
  const mint = emissionOf(cell.level);
  const pool = new Pool(draw.poolUsdc);
  let potential = draw.demand;
  let servedShare = 1;
  let capacity = draw.demand;
  let supply = FIRST_SUPPLY;
  let staked = atStake * FIRST_SUPPLY;
  let speculators = 0.1 * FIRST_SUPPLY;
  let minersHold = 0;
  let washing = draw.wash >= 0.5 ? draw.demand / 1_000 : 0;
  let burnAverage = 0;
  let minted = 0;
  let burned = 0;
  let short = 0;
  let collapsed: number | null = null;
  const prices: number[] = [];
  const revenue: Nano[] = [];
  const margins: number[] = [];
  const buying: number[] = [];
  const series = { price: [1], service: [] as number[] };
  const lately = { wanted: 0, served: 0 };
  const total = { potential: 0, served: 0, wash: 0, emission: 0 };
  let windowEmission = 0;

  for (let week = 0; week < WEEKS; week++) {
    const at = (week + 1) * WEEK_MS;
    potential *= Math.exp(draw.drift / 52 - draw.volatility ** 2 / 2 + draw.volatility * (draw.noise[week] as number));
    const isShock = week >= draw.shockWeek && week < draw.shockWeek + draw.shockWeeks;
    const wanted = potential * (isShock ? 1 - draw.shockDepth : 1);
    const asked = wanted * servedShare ** draw.demandElasticity;
    const effective = capacity * (1 - draw.cheaters);
    const served = Math.min(asked, effective);
    servedShare += 0.1 * ((asked > 0 ? Math.min(1, effective / asked) : 1) - servedShare);
    const matured = served + washing;
    revenue.push(nano(matured));
    if (revenue.length > 8) revenue.shift();

    const burnUsdc = route === "table" ? 0.01 * matured : draw.burnShare * 0.96 * matured;
    const burnedNow = pool.buy(burnUsdc, at);
    burnAverage += 0.1 * (burnUsdc - burnAverage);
    supply -= burnedNow;
    burned += burnedNow;

    const emission = mint({
      week,
      revenue,
      twap: twap(pool.market, at),
      close: priceOf(pool.market),
      supply,
      price: pool.price,
      utilisation: effective > 0 ? served / effective : 1,
      burned: burnedNow,
    });
    supply += emission;
    minted += emission;
    const price = pool.price;

    // Miners, honest ones by their share of the work.
    const mined = matured > 0 ? emission * split.miners * (served / matured) : 0;
    const fees = route === "table" ? 0.67 * served : 0;
    const cost = draw.unitCost * capacity;
    const missing = Math.max(0, cost - fees) / Math.max(price, WORTHLESS);
    const sold = Math.min(mined + minersHold, Math.max(draw.sold * mined, missing));
    minersHold += mined - sold;
    const sellers: number[] = [sold];
    const income = fees + mined * price;

    // Everybody else who is paid in DN.
    const staking = emission * split.stakers;
    const yearlyYield = staked > 0 ? (staking * 52) / staked : 0;
    const leaving = staked * 0.02 * between(1 - yearlyYield / draw.requiredYield, 0, 1);
    sellers.push(staking / 3 + leaving, emission - mined - staking);
    staked += (staking * 2) / 3 - leaving;
    const joining = pool.usdc * 0.001 * between(yearlyYield / draw.requiredYield - 1, 0, 1);
    staked += pool.buy(joining, at);

    const before = prices.at(-4) ?? FIRST_PRICE;
    const worth = (10 * 52 * burnAverage) / supply;
    const mood =
      draw.momentum * between(Math.log(price / before) / 0.1, -1, 1) +
      draw.value * between(Math.log(Math.max(worth, WORTHLESS) / price), -1, 1);
    const order = draw.speculation * pool.usdc * between(mood, -1, 1);
    if (order > 0) speculators += pool.buy(order, at);
    else {
      const given = Math.min(speculators, -order / price);
      speculators -= given;
      sellers.push(given);
    }
    pool.sell(
      sellers.reduce((sum, one) => sum + one, 0),
      at,
    );

    const returned = route === "table" ? 0.95 : 0;
    const rewarded = matured > 0 ? (emission * price * (split.miners + split.creators)) / matured : 0;
    washing = Math.min(washing * (returned + rewarded > 1 ? 1.2 : 0.7), 10 * served);
    if (draw.wash >= 0.5) washing = Math.max(washing, draw.demand / 1_000);

    const ratio = income / Math.max(cost, 1e-9);
    margins.push(ratio);
    capacity *= Math.exp(between(0.1 * draw.supplyElasticity * Math.log(Math.max(ratio, 1e-9)), -0.1, 0.1));

    short = effective < 0.2 * wanted ? short + 1 : 0;
    if (short >= 13) collapsed ??= week;
    prices.push(pool.price);
    total.potential += wanted;
    total.served += served;
    total.wash += washing;
    total.emission += emission * price;
    windowEmission += emission * price;
    if ((week + 1) % HALF_YEAR === 0) {
      const start = prices.at(-HALF_YEAR - 1) ?? FIRST_PRICE;
      if (Math.abs(Math.log(pool.price / start)) <= 0.05 && windowEmission > 0)
        buying.push(pool.bought / windowEmission);
      pool.bought = 0;
      windowEmission = 0;
    }
    lately.wanted += wanted;
    lately.served += served;
    if ((week + 1) % PACE === 0) {
      series.price.push(pool.price / FIRST_PRICE);
      series.service.push(lately.served / lately.wanted);
      lately.wanted = lately.served = 0;
    }
  }
  margins.sort((a, b) => a - b);
  return {
    collapsed,
    served: total.served / total.potential,
    ...series,
    netIssuance: (minted - burned) / FIRST_SUPPLY,
    subsidy: total.emission / Math.max(total.served, 1),
    wash: total.wash / (total.served + total.wash),
    margin: margins[margins.length >> 1] as number,
    buying,
  };
}
