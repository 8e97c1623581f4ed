import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Nano } from "../../shared/money.ts";
import { accounts } from "./accounts.ts";
import { assertBalanced } from "./ledger.ts";
import {
  buyback,
  type Market,
  PRICE_ONE,
  priceOf,
  seedMarket,
  toDn,
  toUsdc,
  trade,
  twap,
  WINDOW_MS,
} from "./market.ts";

const HOUR = 3_600_000;
const UNIT = 1_000_000_000n;
/** 50,000 USDC against 1,000,000 DN: 0.05 USDC a DN. */
const pool = () => seedMarket(50_000n * UNIT, 1_000_000n * UNIT, 0);
const ties = (id: string) => id;

const orders = fc.array(
  fc.record({
    side: fc.constantFrom("usdcIn" as const, "dnIn" as const),
    amount: fc.bigInt(1n, 100_000n * UNIT),
    waitMs: fc.integer({ min: 0, max: 5 * 24 * HOUR }),
  }),
  { maxLength: 60, size: "max" },
);
const orderOf = (side: "usdcIn" | "dnIn", amount: Nano) => (side === "usdcIn" ? { usdcIn: amount } : { dnIn: amount });

describe("trade", () => {
  it("gives what the constant product leaves", () => {
    const { market, out } = trade(pool(), { usdcIn: 50_000n * UNIT }, 1);
    expect(out).toBe(500_000n * UNIT);
    expect(priceOf(market)).toBe(PRICE_ONE / 5n);
    expect(priceOf(pool())).toBe(PRICE_ONE / 20n);
  });

  it("never lets usdc × dn fall, never empties a side, and a round trip gains nothing", () => {
    fc.assert(
      fc.property(orders, (list) => {
        let market: Market = pool();
        for (const { side, amount, waitMs } of list) {
          const product = market.usdc * market.dn;
          const there = trade(market, orderOf(side, amount), market.at + waitMs);
          expect(there.market.usdc * there.market.dn >= product).toBe(true);
          expect(there.market.usdc > 0n && there.market.dn > 0n).toBe(true);
          if (there.out > 0n) {
            const back = trade(
              there.market,
              orderOf(side === "usdcIn" ? "dnIn" : "usdcIn", there.out),
              there.market.at,
            );
            expect(back.out <= amount).toBe(true);
          }
          market = there.market;
        }
      }),
    );
  });
});

describe("twap", () => {
  it("is nothing until the pool has 28 days of prices", () => {
    expect(twap(pool(), WINDOW_MS - 1)).toBeNull();
    expect(twap(pool(), WINDOW_MS)).toBe(PRICE_ONE / 20n);
  });

  it("weighs each price by how long it held", () => {
    const { market } = trade(pool(), { usdcIn: 50_000n * UNIT }, WINDOW_MS / 4);
    expect(twap(market, WINDOW_MS)).toBe((PRICE_ONE / 20n + 3n * (PRICE_ONE / 5n)) / 4n);
    expect(twap(market, 2 * WINDOW_MS)).toBe(PRICE_ONE / 5n);
  });

  it("a price held for a moment moves it by no more than that moment's share", () => {
    const pushed = trade(pool(), { usdcIn: 450_000n * UNIT }, WINDOW_MS);
    const { market } = trade(pushed.market, { dnIn: pushed.out }, WINDOW_MS + 60_000);
    const average = twap(market, WINDOW_MS + 60_000) as bigint;
    expect(average > PRICE_ONE / 20n).toBe(true);
    expect(average < ((PRICE_ONE / 20n) * 1_003n) / 1_000n).toBe(true);
  });

  it("equals the average of every price, also where old observations were dropped", () => {
    fc.assert(
      fc.property(orders, (list) => {
        let market: Market = pool();
        const prices = [{ at: 0, price: priceOf(market) }];
        for (const { side, amount, waitMs } of list) {
          // On the hour, so that no trade shares its observation with another.
          const at = (Math.floor((market.at + waitMs) / HOUR) + 1) * HOUR;
          market = trade(market, orderOf(side, amount), at).market;
          prices.push({ at, price: priceOf(market) });
        }
        const now = market.at + 5 * HOUR;
        const from = now - WINDOW_MS;
        if (from < 0) {
          expect(twap(market, now)).toBeNull();
          return;
        }
        let exact = 0n;
        prices.forEach(({ at, price }, i) => {
          const start = Math.max(at, from);
          const end = Math.max(start, prices[i + 1]?.at ?? now);
          exact += price * BigInt(end - start);
        });
        const average = twap(market, now) as bigint;
        const error = average - exact / BigInt(WINDOW_MS);
        expect(error >= -1n && error <= 1n).toBe(true);
        expect(market.observations.length).toBeLessThanOrEqual(28 * 24 + 2);
      }),
    );
  });

  it("converts both ways, rounding down", () => {
    expect(toDn(UNIT, PRICE_ONE / 20n)).toBe(20n * UNIT);
    expect(toUsdc(20n * UNIT, PRICE_ONE / 20n)).toBe(UNIT);
    expect(toDn(1n, 3n * PRICE_ONE)).toBe(0n);
  });
});

describe("buyback", () => {
  const run = (budgets: [string, Nano][], slippagePpm = 10_000n) =>
    buyback(pool(), new Map(budgets.map(([domain, amount]) => [accounts.burn(domain), amount])), slippagePpm, {
      epoch: 7,
      at: 9,
      tieBreak: ties,
    });

  it("spends the budgets, burns what it got, and balances", () => {
    const { transfer, spent, burned, market } = run([
      ["a", 3n],
      ["b", 7n],
    ]);
    expect([spent, burned]).toEqual([10n, 199n]);
    if (!transfer) throw new Error("no transfer");
    assertBalanced(transfer);
    expect(transfer.id).toBe("epoch:7:buyback");
    expect(market.usdc).toBe(50_000n * UNIT + 10n);
  });

  it("stays within the slippage bound; the rest of the budget carries over", () => {
    fc.assert(
      fc.property(fc.bigInt(1n, 10n ** 15n), fc.bigInt(1n, 10_000n), (budget, slippagePpm) => {
        const before = pool();
        const { spent, burned } = run([["a", budget]], slippagePpm);
        expect(spent <= budget).toBe(true);
        // Average price paid ≤ (1 + slippage) × price before, up to the rounding of one nano-DN.
        expect(spent * before.dn * 1_000_000n <= (burned + 1n) * before.usdc * (1_000_000n + slippagePpm)).toBe(true);
      }),
    );
    expect(run([["a", 10n ** 15n]]).spent).toBe(500n * UNIT);
  });

  it("does nothing without a budget", () => {
    expect(run([]).transfer).toBeNull();
    expect(run([["a", 0n]]).transfer).toBeNull();
  });
});
