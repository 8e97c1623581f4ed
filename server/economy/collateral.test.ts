import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { TabgridError } from "../../shared/errors.ts";
import type { AccountId, OwnerId } from "../../shared/ids.ts";
import type { Result } from "../../shared/result.ts";
import { accounts } from "./accounts.ts";
import { slash } from "./collateral.ts";
import { commonsSettings } from "./domains.ts";
import { legsOf } from "./ledger.ts";
import { PRICE_ONE } from "./market.ts";
import { PlainBooks } from "./plain-books.ts";
import { bondedPay, bondOf, depositMore, leave, register, release } from "./registration.ts";
import { closeStakeTime, openPosition, releaseStake, stake, unstake } from "./staking.ts";

const ann = "own_ann" as OwnerId;
const bea = "customer:c_bea" as AccountId;
const WEEK = 604_800_000n;
const annDn = accounts.dn(accounts.miner(ann));

const must = <T>(result: Result<T, TabgridError>): T => {
  if (!result.ok) throw new Error(result.error.message);
  return result.value;
};

function richBooks(): PlainBooks {
  const books = new PlainBooks();
  const gains = new Map([
    [accounts.dnIssuer, -2_000n],
    [annDn, 1_000n],
    [accounts.dn(bea), 1_000n],
    [accounts.issuer, -100n],
    [accounts.miner(ann), 100n],
  ]);
  books.post({ id: "start", kind: "grant", at: 0, task: null, legs: legsOf(gains) });
  return books;
}

describe("a miner's deposit", () => {
  it("goes in with the fee, and comes back after the delay", () => {
    const books = richBooks();
    const settings = { ...commonsSettings, registrationFee: 7n };
    const joined = must(register("d", ann, settings, { deposit: 100n, ask: 3n }, { usdc: 100n, dn: 1_000n }, null, 1));
    if (joined.transfer) books.post(joined.transfer);
    const more = must(depositMore(joined.registration, 50n, { usdc: 93n, dn: 900n }, 1, 2));
    if (more.transfer) books.post(more.transfer);
    expect(books.balance(accounts.collateral("d", ann))).toBe(150n);
    expect(books.balance(accounts.domain("d"))).toBe(7n);
    const left = must(release(must(leave(more.registration, 5)), WEEK, false, 5 + Number(WEEK)));
    if (left.transfer) books.post(left.transfer);
    expect(books.balance(annDn)).toBe(1_000n);
    const again = must(
      register("d", ann, settings, { deposit: 0n, ask: null }, { usdc: 93n, dn: 0n }, left.registration, 9),
    );
    expect(again.registration.round).toBe(2);
    expect(again.transfer?.id).not.toBe(joined.transfer?.id);
  });

  it("is earned as a bond: held pay counts by half, and what is needed does not mature", () => {
    // 0.05 USDC a DN: 40 DN are missing, worth 2 USDC, for which 4 USDC of held pay must stay.
    const price = PRICE_ONE / 20n;
    expect(bondedPay(100n, 60n, 50n, price)).toBe(4n);
    expect(bondedPay(100n, 60n, 3n, price)).toBe(3n);
    expect(bondedPay(100n, 100n, 50n, price)).toBe(0n);
    expect(bondedPay(100n, 60n, 50n, null)).toBe(50n);
    expect(bondOf(60n, 4n, price)).toBe(100n);
    expect(bondOf(60n, 4n, null)).toBe(60n);
  });

  it("held pay that must stay covers what is missing, and one nano-USDC less does not", () => {
    const amount = fc.bigInt(0n, 10n ** 15n);
    const price = fc.bigInt(PRICE_ONE / 1_000n, PRICE_ONE * 100n);
    fc.assert(
      fc.property(amount, amount, price, (minimum, deposit, twap) => {
        const needed = bondedPay(minimum, deposit, 10n ** 30n, twap);
        expect(bondOf(deposit, needed, twap) + 1n >= minimum).toBe(true);
        if (needed > 2n) expect(bondOf(deposit, needed - 2n, twap) <= minimum).toBe(true);
      }),
    );
  });
});

describe("a decided case", () => {
  const decision = { case: "c_1", owner: ann, at: 9, reviewer: "c_op", ruling: "severe" as const };

  it("severe: 60 % slashed, half of it burned; 40 % returned; expelled", () => {
    const books = richBooks();
    const { registration, transfer } = must(
      register("d", ann, commonsSettings, { deposit: 500n, ask: null }, { usdc: 0n, dn: 1_000n }, null, 1),
    );
    if (transfer) books.post(transfer);
    const slashing = must(slash(decision, registration, [], 60));
    if (slashing.transfer) books.post(slashing.transfer);
    expect(slashing).toMatchObject({ slashed: 300n, registration: { state: "expelled", deposit: 0n } });
    expect(books.balance(accounts.dnBurned)).toBe(150n);
    expect(books.balance(accounts.dn(accounts.pool("d")))).toBe(150n);
    expect(books.balance(annDn)).toBe(700n);
  });

  it("takes no more than what there is, keeps the books balanced, and reaches stake on its way out", () => {
    const part = fc.bigInt(1n, 1_000n);
    const ruling = fc.constantFrom("minor" as const, "severe" as const);
    fc.assert(
      fc.property(part, part, part, ruling, fc.integer({ min: 0, max: 100 }), (deposit, staked, leaving, how, e) => {
        const books = richBooks();
        const joined = must(
          register("d", ann, commonsSettings, { deposit, ask: null }, { usdc: 0n, dn: 1_000n }, null, 1),
        );
        if (joined.transfer) books.post(joined.transfer);
        const put = must(stake(openPosition("d", ann, bea, 0), staked, 1_000n, 1));
        books.post(put.transfer);
        const out = leaving <= staked ? must(unstake(put.position, leaving, WEEK, 2)) : null;
        if (out) books.post(out.transfer);
        const slashing = must(slash({ ...decision, ruling: how }, joined.registration, [(out ?? put).position], e));
        if (slashing.transfer) books.post(slashing.transfer);
        expect(slashing.slashed <= deposit + staked).toBe(true);
        expect(books.total("DN")).toBe(0n);
        const burned = books.balance(accounts.dnBurned);
        expect(burned + books.balance(accounts.dn(accounts.pool("d")))).toBe(slashing.slashed);
        expect(books.balance(accounts.collateral("d", ann))).toBe(slashing.registration.deposit);
        const [position] = slashing.positions;
        expect(books.balance(accounts.stake(`d:${ann}`, bea))).toBe(position?.amount);
      }),
    );
  });
});

describe("stake", () => {
  it("earns by time while staked, not on its way out, and is free after the delay", () => {
    const books = richBooks();
    const put = must(stake(openPosition("d", null, bea, 0), 100n, 1_000n, 10));
    const out = must(unstake(put.position, 40n, WEEK, 110));
    const { position, time } = closeStakeTime(out.position, 210);
    expect(time).toBe(100n * 100n + 60n * 100n);
    expect(closeStakeTime(position, 310).time).toBe(6_000n);
    const free = must(releaseStake(position, false, 110 + Number(WEEK)));
    for (const { transfer } of [put, out, free]) books.post(transfer);
    expect(books.balance(accounts.dn(bea))).toBe(940n);
    expect(free.position).toMatchObject({ amount: 60n, unbonding: [] });
  });
});
