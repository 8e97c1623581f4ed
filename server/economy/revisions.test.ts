import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { AccountId, AssignmentId, CaseId, CustomerId, ModelKey, OwnerId, TaskId } from "../../shared/ids.ts";
import { sha256 } from "../../shared/test-sha256.ts";
import { accounts } from "./accounts.ts";
import { type CaseDecided, postCase } from "./case-postings.ts";
import { assertBalanced, type Transfer } from "./ledger.ts";
import { overturn, type RefutedTask } from "./overturn.ts";
import { type PoolWork, payPoolWork } from "./pool-work.ts";
import { commonsRevenue, settle } from "./revenue.ts";
import type { VerifiedExecution as Execution } from "./verified-task.ts";

const PRICE = 1_000_000n;
const task = "t_1" as TaskId;
const customer = "c1" as CustomerId;
const ann = "own_ann" as OwnerId;
const held = accounts.minerHeld(ann);
const pool = accounts.pool("commons");

const execution = (by: string, extra: Partial<Execution> = {}): Execution => ({
  by: by === "reference" ? by : (`own_${by}` as OwnerId),
  miner: null,
  assignment: by === "reference" ? null : (`a_${by}` as AssignmentId),
  role: "primary",
  commitment: "c",
  accepted: true,
  signed: true,
  newcomer: false,
  ...extra,
});

function settlementOf(price: bigint, executions: Execution[], before: bigint): Transfer {
  const settled = settle(
    {
      task,
      at: 1,
      customer,
      model: "m@1" as ModelKey,
      creator: "tabgrid",
      royaltyBasisPoints: 2_000,
      level: "fast",
      price,
      work: 1_000n,
      basis: "unchecked",
      inputHash: "i",
      commitment: "c",
      executions,
    },
    commonsRevenue,
    before,
    sha256,
  );
  if (!settled.ok) throw new Error(settled.error.message);
  return settled.value.transfer;
}

const fact = (price: bigint): RefutedTask => ({
  task,
  at: 2,
  customer,
  price,
});

const balancesAfter = (transfer: Transfer, start: Record<string, bigint> = {}) => {
  const balances = new Map(Object.entries(start));
  for (const { account, amount } of transfer.legs) balances.set(account, (balances.get(account) ?? 0n) + amount);
  return (account: AccountId): bigint => balances.get(account) ?? 0n;
};
const amountOn = (transfer: Transfer | null, account: AccountId): bigint =>
  transfer?.legs.find((leg) => leg.account === account)?.amount ?? 0n;

describe("overturn", () => {
  it("reverses every posting and gives the whole price back", () => {
    const settlement = settlementOf(PRICE, [execution("ann")], 0n);
    const { transfer, claim } = overturn(fact(PRICE), settlement, balancesAfter(settlement), "commons");
    expect(claim).toBe(0n);
    expect(amountOn(transfer, accounts.customer(customer))).toBe(PRICE);
    expect(amountOn(transfer, held)).toBe(-670_000n);
    expect(amountOn(transfer, accounts.creator("tabgrid"))).toBe(-200_000n);
    expect(amountOn(transfer, accounts.customerHeld(customer))).toBe(0n);
  });

  it("takes from the miner no more than this task's pay, however much it holds", () => {
    const settlement = settlementOf(PRICE, [execution("ann")], 0n);
    const rich = balancesAfter(settlement, { [held]: 50_000_000n, [accounts.creator("tabgrid")]: -200_000n });
    const { transfer, claim } = overturn(fact(PRICE), settlement, rich, "commons");
    expect(amountOn(transfer, held)).toBe(-670_000n);
    // The creator has been paid out: pool and foundation stand in as far as they go, the rest is a claim.
    expect(claim).toBe(200_000n);
  });

  it("draws on pool, treasury and foundation, in this order", () => {
    const settlement = settlementOf(PRICE, [execution("ann")], 0n);
    const start = { [held]: -670_000n, [pool]: 500_000n, [accounts.domain("commons")]: 60_000n };
    const balances = balancesAfter(settlement, { ...start, [accounts.foundation]: 900_000n });
    const { transfer, claim } = overturn(fact(PRICE), settlement, balances, "commons");
    expect(claim).toBe(0n);
    expect(amountOn(transfer, pool)).toBe(-580_000n);
    expect(amountOn(transfer, accounts.domain("commons"))).toBe(-60_000n);
    expect(amountOn(transfer, accounts.foundation)).toBe(-(10_000n + 110_000n));
  });

  it("is balanced, overdraws nobody and refunds price less claim, whatever is left", () => {
    const left = fc.bigInt(0n, 2_000_000n);
    fc.assert(
      fc.property(
        fc.bigInt(1n, 5_000n).map((micros) => micros * 1_000n),
        fc.array(fc.constantFrom("bob", "reference"), { maxLength: 2 }),
        fc.tuple(left, left, left, left, left, left),
        (price, others, [a, b, c, d, e, f]) => {
          const executions = [execution("ann"), ...others.map((by) => execution(by, { role: "check" }))];
          const settlement = settlementOf(price, executions, 10n ** 9n);
          const named = [held, pool, accounts.creator("tabgrid"), accounts.foundation, accounts.processor];
          const balance = new Map<AccountId, bigint>(
            named.map((account, i) => [account, [a, b, c, d, e][i] as bigint]),
          );
          balance.set(accounts.burn("commons"), f);
          const balanceOf = (account: AccountId) => balance.get(account) ?? 0n;
          const { transfer, claim } = overturn(fact(price), settlement, balanceOf, "commons");
          expect(claim >= 0n && claim <= price).toBe(true);
          expect(amountOn(transfer, accounts.customer(customer))).toBe(price - claim);
          if (!transfer) return;
          assertBalanced(transfer);
          for (const { account, amount } of transfer.legs) {
            if (amount < 0n) expect(balanceOf(account) + amount >= 0n, account).toBe(true);
          }
        },
      ),
    );
  });
});

describe("payPoolWork", () => {
  const work = (executions: Execution[], price = PRICE): PoolWork => ({
    task,
    at: 3,
    royaltyBasisPoints: 2_000,
    price,
    why: "canary",
    subject: null,
    executions,
  });

  it("pays like any other execution, and says nothing of what it was", () => {
    const paid = payPoolWork(work([execution("ann")]), commonsRevenue, PRICE);
    if (!paid.ok || !paid.value.transfer) throw new Error("unpaid");
    assertBalanced(paid.value.transfer);
    expect(paid.value.poolGain).toBe(-670_000n);
    const { amount, outcome, reason } = paid.value.pay[0] as (typeof paid.value.pay)[number];
    expect({ amount, outcome, reason }).toEqual({
      amount: 670_000n,
      outcome: "paid",
      reason: "primary: the whole miners' part",
    });
  });

  it("pays nothing that is unsigned or not accepted, and others as far as the pool lasts", () => {
    const executions = [
      execution("ann", { signed: false }),
      execution("bob", { accepted: false }),
      execution("reference"),
      execution("cid"),
    ];
    expect(payPoolWork(work(executions), commonsRevenue, 669_999n)).toMatchObject({
      ok: true,
      value: { poolGain: -669_999n, pay: [{ outcome: "unpaid" }, { outcome: "paid", amount: 669_999n }] },
    });
    expect(payPoolWork(work(executions), commonsRevenue, 0n)).toMatchObject({
      ok: true,
      value: { transfer: null, poolGain: 0n, pay: [{ outcome: "unpaid" }, { outcome: "unpaid" }] },
    });
  });
});

describe("postCase", () => {
  const decided = (ruling: CaseDecided["ruling"], days = 7): CaseDecided => ({
    case: "c_1" as CaseId,
    owner: ann,
    at: days * 86_400_000,
    openedAt: 0,
    reviewer: "eve",
    ruling,
  });

  it("forfeits a fifth, or three fifths with the rest returned", () => {
    const minor = postCase(decided("minor"), 1_000n, 0n, "commons");
    expect([amountOn(minor, held), amountOn(minor, pool)]).toEqual([-200n, 200n]);
    const severe = postCase(decided("severe"), 1_000n, 0n, "commons");
    const returned = amountOn(severe, accounts.miner(ann));
    expect([amountOn(severe, held), amountOn(severe, pool), returned]).toEqual([-1_000n, 600n, 400n]);
  });

  it("pays interest for the days that held pay was frozen, as far as the pool goes", () => {
    const due = (10n ** 12n * 5n * 7n) / (100n * 365n);
    expect(amountOn(postCase(decided("dismissed"), 10n ** 12n, 10n ** 12n, "commons"), held)).toBe(due);
    expect(amountOn(postCase(decided("dismissed"), 10n ** 12n, 5n, "commons"), held)).toBe(5n);
    expect(postCase(decided("dismissed"), 10n ** 12n, 0n, "commons")).toBeNull();
  });

  it("moves nothing without a reviewer", () => {
    expect(() => postCase({ ...decided("severe"), reviewer: "" }, 1_000n, 0n, "commons")).toThrow("decided by nobody");
  });

  it("never takes more than is held", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("minor" as const, "severe" as const),
        fc.bigInt(0n, 10n ** 15n),
        fc.bigInt(0n, 10n ** 15n),
        (ruling, amount, before) => {
          const transfer = postCase(decided(ruling), amount, before, "commons");
          if (transfer) assertBalanced(transfer);
          expect(amountOn(transfer, held) <= 0n && amountOn(transfer, held) >= -amount).toBe(true);
          expect(amountOn(transfer, pool) <= amount).toBe(true);
        },
      ),
    );
  });
});
