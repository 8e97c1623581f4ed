import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { AssignmentId, CustomerId, MinerId, ModelKey, OwnerId, TaskId } from "../../shared/ids.ts";
import { serviceLevels } from "../../shared/pricing.ts";
import { sha256 } from "../../shared/test-sha256.ts";
import { assertBalanced } from "./ledger.ts";
import { commonsRevenue, revenueTable, type Settlement, settle } from "./revenue.ts";
import type { VerifiedExecution, VerifiedTask } from "./verified-task.ts";

const execution = (
  by: string,
  role: VerifiedExecution["role"],
  change: Partial<VerifiedExecution> = {},
): VerifiedExecution => ({
  by: by === "reference" ? by : (`own_${by}` as OwnerId),
  miner: by === "reference" ? null : (`m_${by}` as MinerId),
  assignment: by === "reference" ? null : (`a_${by}` as AssignmentId),
  role,
  commitment: "00",
  accepted: true,
  signed: by !== "reference",
  newcomer: false,
  ...change,
});

const fact = (
  price: bigint,
  level: VerifiedTask["level"],
  executions: VerifiedExecution[],
  royalty = 2_000,
): VerifiedTask => ({
  task: "t_one" as TaskId,
  at: 1,
  customer: "c_one" as CustomerId,
  model: "digits@1" as ModelKey,
  creator: "Tabgrid authors",
  royaltyBasisPoints: royalty,
  level,
  price,
  work: 1_000n,
  basis: "checked",
  inputHash: "00",
  commitment: "00",
  executions,
});

function settled(of: VerifiedTask, pool = 0n): Settlement {
  const settlement = settle(of, commonsRevenue, pool, sha256);
  if (!settlement.ok) throw new Error(settlement.error.message);
  assertBalanced(settlement.value.transfer);
  return settlement.value;
}

/** Gains by account, without the customer's. */
const gains = ({ transfer }: Settlement): Record<string, bigint> =>
  Object.fromEntries(
    transfer.legs.filter((leg) => !leg.account.startsWith("customer")).map((leg) => [leg.account, leg.amount]),
  );

const MICRO = 1_000n;
const ONE = 1_000_000_000n;

describe("the worked example of one µUSDC and of one USDC", () => {
  const fixed = (unit: bigint) => ({
    "burn:commons": 10n * unit,
    foundation: 10n * unit,
    processor: 30n * unit,
    "creator:Tabgrid%20authors": 200n * unit,
  });

  it("one execution priced: the primary has the miners' 67 %", () => {
    const alone = [execution("ann", "primary"), execution("reference", "check")];
    expect(gains(settled(fact(MICRO, "fast", alone)))).toEqual({
      ...fixed(1n),
      "pool:commons": 80n,
      "miner:own_ann:held": 670n,
    });
    expect(gains(settled(fact(ONE, "fast", alone)))).toEqual({
      ...fixed(1_000_000n),
      "pool:commons": 80_000_000n,
      "miner:own_ann:held": 670_000_000n,
    });
  });

  it("two priced: half each", () => {
    const two = [execution("ann", "primary"), execution("bob", "check")];
    expect(gains(settled(fact(MICRO, "verified", two)))).toEqual({
      ...fixed(1n),
      "pool:commons": 80n,
      "miner:own_ann:held": 335n,
      "miner:own_bob:held": 335n,
    });
    expect(gains(settled(fact(ONE, "verified", two)))).toMatchObject({
      "miner:own_ann:held": 335_000_000n,
      "miner:own_bob:held": 335_000_000n,
    });
  });

  it("three priced: thirds, the odd unit to the least SHA-256 of `t_one:execution-N`", () => {
    const three = [execution("ann", "primary"), execution("bob", "check"), execution("cid", "check")];
    expect(gains(settled(fact(MICRO, "quorum-3", three)))).toEqual({
      ...fixed(1n),
      "pool:commons": 80n,
      "miner:own_ann:held": 223n,
      "miner:own_bob:held": 223n,
      "miner:own_cid:held": 224n,
    });
    expect(gains(settled(fact(ONE, "quorum-3", three)))).toMatchObject({
      "miner:own_ann:held": 223_333_333n,
      "miner:own_bob:held": 223_333_333n,
      "miner:own_cid:held": 223_333_334n,
    });
  });
});

describe("who is paid", () => {
  it("what the reference node, a refuted or an unsigned execution would earn stays in the pool", () => {
    const pools = [
      [execution("ann", "primary"), execution("reference", "check")],
      [execution("ann", "primary"), execution("bob", "check", { accepted: false })],
      [execution("ann", "primary"), execution("bob", "check", { signed: false })],
      [execution("ann", "primary", { accepted: false }), execution("bob", "check")],
      [execution("ann", "primary", { signed: false }), execution("bob", "check")],
    ].map((executions) => settled(fact(MICRO, "verified", executions)).poolGain);
    expect(pools).toEqual([415n, 415n, 415n, 415n, 415n]);
  });

  it("where the reference node answered, the whole miners' part enters the pool", () => {
    for (const level of serviceLevels) {
      const settlement = settled(fact(MICRO, level, [execution("reference", "primary")]));
      expect(settlement.poolGain).toBe(750n);
      expect(settlement.pay).toEqual([]);
    }
  });

  it("an unpriced check is paid by the pool; what the pool lacks, primary and check share", () => {
    const checked = fact(MICRO, "fast", [execution("ann", "primary"), execution("bob", "check")]);
    const rich = settled(checked, 590n);
    expect(rich.poolGain).toBe(-590n);
    expect(gains(rich)).toMatchObject({ "miner:own_ann:held": 670n, "miner:own_bob:held": 670n });
    const short = settled(checked, 589n);
    expect(short.pay.map(({ amount }) => amount)).toEqual([669n, 669n]);
    expect(short.poolGain, "80 of the price, 670 that are the primary's, and 588 of the pool").toBe(-588n);
    const poor = settled(checked, 0n);
    expect(poor.pay.map(({ amount }) => amount)).toEqual([375n, 375n]);
    expect(poor.pay.map(({ reason }) => reason)).toEqual([
      "primary: the whole miners' part, less what it shares with its check",
      "check: a share of the primary's part and of the verification pool",
    ]);
  });

  it("a newcomer halves the part with its checker; the reference node's half enters the pool", () => {
    const newcomer = execution("ann", "primary", { newcomer: true });
    const peer = settled(fact(MICRO, "fast", [newcomer, execution("bob", "check")]));
    expect(peer.pay.map(({ amount }) => amount)).toEqual([335n, 335n]);
    expect(peer.poolGain).toBe(80n);
    const reference = settled(fact(MICRO, "fast", [newcomer, execution("reference", "check")]));
    expect(reference.pay.map(({ amount }) => amount)).toEqual([335n]);
    expect(reference.poolGain).toBe(415n);
    const unchecked = settled(fact(MICRO, "fast", [newcomer]));
    expect(unchecked.pay.map(({ amount }) => amount)).toEqual([670n]);
  });

  it("a checker earns the same whether or not it refuted a newcomer", () => {
    const refuted = execution("ann", "primary", { newcomer: true, accepted: false });
    expect(settled(fact(MICRO, "fast", [refuted, execution("bob", "check")])).pay).toMatchObject([{ amount: 335n }]);
  });

  it("of a hedged pair only the answer is paid", () => {
    const hedged = settled(
      fact(MICRO, "verified", [
        execution("quick", "hedge"),
        execution("slow", "primary"),
        execution("bob", "check"),
        execution("reference", "check"),
      ]),
    );
    expect(hedged.pay.map(({ owner, role, amount }) => [owner, role, amount])).toEqual([
      ["own_quick", "primary", 335n],
      ["own_slow", "primary", 0n],
      ["own_bob", "check", 335n],
    ]);
  });

  it("a third run beyond the priced ones is the pool's to pay", () => {
    const three = fact(MICRO, "verified", [
      execution("ann", "primary"),
      execution("bob", "check"),
      execution("cid", "third"),
    ]);
    expect(settled(three, 0n).pay.map(({ amount }) => amount)).toEqual([207n, 335n, 207n]);
    expect(settled(three, 255n).pay.map(({ amount }) => amount)).toEqual([335n, 335n, 335n]);
  });

  it("a check is paid though nobody is who answered, out of the part that nobody earns", () => {
    const byHub = [execution("reference", "primary"), execution("ann", "check"), execution("bob", "third")];
    expect(settled(fact(MICRO, "fast", byHub)).pay.map(({ amount }) => amount)).toEqual([375n, 375n]);
    const refuted = [execution("ann", "primary", { accepted: false }), execution("bob", "check")];
    expect(settled(fact(MICRO, "fast", refuted)).pay.map(({ amount }) => amount)).toEqual([670n]);
  });

  it("adds up what one owner earns twice", () => {
    const twice = [execution("ann", "primary"), { ...execution("ann", "check"), assignment: "a_2" as AssignmentId }];
    expect(gains(settled(fact(MICRO, "verified", twice)))).toMatchObject({ "miner:own_ann:held": 670n });
  });
});

describe("any settlement", () => {
  const executions = fc.array(
    fc
      .record({
        by: fc.constantFrom("ann", "bob", "cid", "dora", "reference"),
        role: fc.constantFrom("primary" as const, "hedge" as const, "check" as const, "third" as const),
        accepted: fc.boolean(),
        signed: fc.boolean(),
        newcomer: fc.boolean(),
      })
      .map(({ by, role, ...rest }) => execution(by, role, rest)),
    { maxLength: 6 },
  );

  it("moves exactly the price, never takes more than the pool has, and pays only accepted and signed work", () => {
    fc.assert(
      fc.property(
        fc.bigInt(1n, 10n ** 9n).map((micro) => micro * 1_000n),
        fc.constantFrom(...serviceLevels),
        executions,
        fc.integer({ min: 0, max: 5_700 }),
        fc.bigInt(0n, 10n ** 12n),
        (price, level, list, royalty, pool) => {
          const settlement = settled(fact(price, level, list, royalty), pool);
          const payer = settlement.transfer.legs.find((leg) => leg.account.startsWith("customer"));
          expect(payer?.amount).toBe(-price);
          expect(pool + settlement.poolGain >= 0n).toBe(true);
          const earning = list.filter((one) => one.accepted && one.signed && one.by !== "reference");
          const paid = settlement.pay.filter((line) => line.amount > 0n);
          expect(paid.length).toBeLessThanOrEqual(earning.length);
          for (const line of paid) expect(earning.some((one) => one.assignment === line.assignment)).toBe(true);
          for (const { account, amount } of settlement.transfer.legs) {
            if (account !== "pool:commons" && account !== payer?.account) expect(amount > 0n).toBe(true);
          }
          expect(settled(fact(price, level, list, royalty), pool)).toEqual(settlement);
        },
      ),
    );
  });
});

describe("revenueTable", () => {
  it("gives the rest to the miners", () => {
    expect(revenueTable(commonsRevenue, 2_000)).toMatchObject({ ok: true, value: { creator: 2_000, miners: 6_700 } });
    expect(revenueTable(commonsRevenue, 5_700)).toMatchObject({ ok: true, value: { miners: 3_000 } });
  });

  it.each([
    ["miners below 30 %", commonsRevenue, 5_701, "revenue.miners"],
    ["more than the whole", { ...commonsRevenue, pool: 9_000 }, 2_000, "revenue.miners"],
    ["another burn", { ...commonsRevenue, burn: 0 }, 2_000, "revenue.burn"],
    ["processor above 10 %", { ...commonsRevenue, processor: 1_001 }, 2_000, "revenue.processor"],
    ["owner above 10 %", { ...commonsRevenue, owner: 1_001 }, 2_000, "revenue.owner"],
    ["a negative share", { ...commonsRevenue, emission: -1 }, 2_000, "revenue.emission"],
    ["a fraction", { ...commonsRevenue, pool: 0.5 }, 2_000, "revenue.pool"],
    ["a negative royalty", commonsRevenue, -1, "royaltyBasisPoints"],
  ])("refuses %s and names the field", (_, revenue, royalty, field) => {
    expect(revenueTable(revenue, royalty)).toMatchObject({ ok: false, error: { code: "value-out-of-range", field } });
    expect(settle(fact(MICRO, "fast", [], royalty), revenue, 0n, sha256).ok).toBe(false);
  });
});
