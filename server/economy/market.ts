import type { AccountId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { assert } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import { accounts } from "./accounts.ts";
import { apportion, least, sum } from "./apportion.ts";
import { legsOf, type Transfer } from "./ledger.ts";

/**
 * The one place where DN has a price: a constant-product pool (Uniswap v2, without a fee), seeded by the operator.
 * usdc · dn never falls; rounding stays in the pool. Policy reads the time-weighted average price, kept as Uniswap v3 does:
 * the sum of price × time at the first trade of each hour, interpolated in between.
 */
export interface Market {
  usdc: Nano;
  dn: Nano;
  /** Of the last trade, up to when `cumulative` counts. */
  at: Millis;
  /** Sum of price × ms since the seed. */
  cumulative: bigint;
  /** Oldest first; one an hour at most; the oldest that an average of `WINDOW_MS` may need stays. */
  observations: readonly { at: Millis; cumulative: bigint }[];
}

/** USDC per DN × 10¹⁸. */
export type Price = bigint;

export const PRICE_ONE = 10n ** 18n;
const HOUR_MS = 3_600_000;
export const WINDOW_MS = 28 * 24 * HOUR_MS;

export const toDn = (usdc: Nano, price: Price): Nano => (usdc * PRICE_ONE) / price;
export const toUsdc = (dn: Nano, price: Price): Nano => (dn * price) / PRICE_ONE;

/** Both amounts > 0; they come from the operator's accounts, see `seedTransfer`. */
export function seedMarket(usdc: Nano, dn: Nano, at: Millis): Market {
  assert(usdc > 0n && dn > 0n, `market seeded with ${usdc} USDC and ${dn} DN`);
  return { usdc, dn, at, cumulative: 0n, observations: [{ at, cumulative: 0n }] };
}

/** Before the operator has seeded one: there is no price, and nothing is bought. */
export const noMarket: Market = { usdc: 0n, dn: 0n, at: 0, cumulative: 0n, observations: [] };

export const priceOf = ({ usdc, dn }: Market): Price => (usdc * PRICE_ONE) / dn;

/** Average price over the window that ends at `now`; null while the pool is younger than the window. */
export function twap(market: Market, now: Millis, windowMs: Millis = WINDOW_MS): Price | null {
  const from = now - windowMs;
  const first = market.observations[0];
  if (!first || first.at > from) return null;
  return (cumulativeAt(market, now) - cumulativeAt(market, from)) / BigInt(windowMs);
}

function cumulativeAt(market: Market, time: Millis): bigint {
  const { at, cumulative, observations } = market;
  if (time >= at) return cumulative + priceOf(market) * BigInt(time - at);
  const next = observations.findIndex((one) => one.at > time);
  const before = observations[next < 0 ? observations.length - 1 : next - 1];
  assert(before, `no price at ${time}`);
  const after = observations[next] ?? { at, cumulative };
  const passed = BigInt(time - before.at);
  return before.cumulative + ((after.cumulative - before.cumulative) * passed) / BigInt(after.at - before.at);
}

const DAY_MS = 24 * HOUR_MS;

/** Average price of each of the last 28 days that end at `now`, oldest first; a day that the pool began in is shorter. */
export function dailyPrices(market: Market, now: Millis): { at: Millis; price: Price }[] {
  const first = market.observations[0];
  if (!first) return [];
  const days: { at: Millis; price: Price }[] = [];
  for (let at = now - WINDOW_MS + DAY_MS; at <= now; at += DAY_MS) {
    const from = Math.max(at - DAY_MS, first.at);
    if (at <= from) continue;
    days.push({ at, price: (cumulativeAt(market, at) - cumulativeAt(market, from)) / BigInt(at - from) });
  }
  return days;
}

/** The pool gives DN for USDC (`usdcIn`) or USDC for DN (`dnIn`). */
export function trade(
  market: Market,
  order: { usdcIn: Nano } | { dnIn: Nano },
  now: Millis,
): { market: Market; out: Nano } {
  assert(now >= market.at, `trade at ${now}, before the last one`);
  const cumulative = cumulativeAt(market, now);
  const last = market.observations.at(-1);
  const isNewHour = !last || now - last.at >= HOUR_MS;
  const observed = isNewHour ? [...market.observations, { at: now, cumulative }] : market.observations;
  const needed = observed.findLastIndex((one) => one.at <= now - WINDOW_MS);
  const observations = needed > 0 ? observed.slice(needed) : observed;
  const { usdc, dn } = market;
  if ("usdcIn" in order) {
    assert(order.usdcIn > 0n, `trade of ${order.usdcIn} USDC`);
    const out = (dn * order.usdcIn) / (usdc + order.usdcIn);
    return { market: { usdc: usdc + order.usdcIn, dn: dn - out, at: now, cumulative, observations }, out };
  }
  assert(order.dnIn > 0n, `trade of ${order.dnIn} DN`);
  const out = (usdc * order.dnIn) / (dn + order.dnIn);
  return { market: { usdc: usdc - out, dn: dn + order.dnIn, at: now, cumulative, observations }, out };
}

/**
 * Buys DN with what matured for burning and burns it, once an epoch. The average price paid stays within `slippagePpm` of
 * the price before: of a constant-product pool that is usdcIn ≤ reserve × slippage. The rest of the budgets carries over.
 */
export function buyback(
  market: Market,
  budgets: ReadonlyMap<AccountId, Nano>,
  slippagePpm: bigint,
  { epoch, at, tieBreak }: { epoch: number; at: Millis; tieBreak: (id: string) => string },
): { market: Market; transfer: Transfer | null; spent: Nano; burned: Nano } {
  const spent = least(sum(budgets.values()), (market.usdc * slippagePpm) / 1_000_000n);
  const parts = spent > 0n ? apportion(spent, budgets, tieBreak) : null;
  if (!parts) return { market, transfer: null, spent: 0n, burned: 0n };
  const traded = trade(market, { usdcIn: spent }, at);
  const gains = new Map<AccountId, Nano>([...parts].map(([account, amount]) => [account, -amount]));
  gains.set(accounts.market, spent);
  gains.set(accounts.dn(accounts.market), -traded.out);
  gains.set(accounts.dnBurned, traded.out);
  const transfer: Transfer = { id: `epoch:${epoch}:buyback`, kind: "buyback", at, task: null, legs: legsOf(gains) };
  return { market: traded.market, transfer, spent, burned: traded.out };
}
