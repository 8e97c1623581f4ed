import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { AssignmentId, CustomerId, ModelKey, OwnerId, TaskId } from "../../shared/ids.ts";
import { sha256 } from "../../shared/test-sha256.ts";
import { accounts } from "./accounts.ts";
import { assertBalanced } from "./ledger.ts";
import { overturn } from "./overturn.ts";
import { receiptLeaf } from "./receipts.ts";
import { commonsRevenue, settle } from "./revenue.ts";
import type { VerifiedExecution, VerifiedTask } from "./verified-task.ts";

/** A text is paid by the tokens that were delivered: prices of 1,000,000 make the miners' part of 67 % easy to read. */

const PRICE = 1_000_000n;
const MINERS = 670_000n;

const run = (by: string, role: "primary" | "check", more: Partial<VerifiedExecution>): VerifiedExecution => ({
  by: by === "reference" ? by : (`own_${by}` as OwnerId),
  miner: null,
  assignment: by === "reference" ? null : (`a_${by}` as AssignmentId),
  role,
  commitment: "00",
  accepted: true,
  signed: true,
  newcomer: false,
  ...more,
});

const text = (executions: VerifiedExecution[], more: Partial<VerifiedTask> = {}, held = PRICE): VerifiedTask => ({
  task: "t_one" as TaskId,
  at: 1,
  customer: "c_one" as CustomerId,
  model: "toy@1" as ModelKey,
  creator: "Tabgrid authors",
  royaltyBasisPoints: 2_000,
  level: "fast",
  price: PRICE,
  work: 1_000n,
  basis: "checked",
  inputHash: "00",
  commitment: "00",
  executions,
  text: { promptTokens: 4, outputTokens: 60, finish: "length", seed: "7", held, checkWork: 100n },
  ...more,
});

function settled(of: VerifiedTask, pool = 0n) {
  const settlement = settle(of, commonsRevenue, pool, sha256);
  if (!settlement.ok) throw new Error(settlement.error.message);
  assertBalanced(settlement.value.transfer);
  const gains = new Map(settlement.value.transfer.legs.map(({ account, amount }) => [account, amount]));
  const pay = Object.fromEntries(settlement.value.pay.map(({ owner, amount }) => [owner.slice(4), amount]));
  return { ...settlement.value, gains, pay };
}

describe("a settled text", () => {
  test("costs what was delivered: the rest of the hold goes back in the same transfer", () => {
    const { gains, pay } = settled(text([run("ann", "primary", { work: 1_000n })], {}, 3n * PRICE));
    const customer = "c_one" as CustomerId;
    expect(gains.get(accounts.customerHeld(customer))).toBe(-3n * PRICE);
    expect(gains.get(accounts.customer(customer))).toBe(2n * PRICE);
    expect(pay).toEqual({ ann: MINERS });
  });

  test("verified pays maker and checker by their own work", () => {
    const runs = [run("ann", "primary", { work: 1_000n }), run("ben", "check", { work: 100n })];
    const fact = text(runs, { level: "verified" });
    const { pay } = settled(fact);
    expect(pay).toEqual({ ann: 609_091n, ben: 60_909n });
  });

  test("fast pays the check out of the pool, or by work out of the part of a newcomer", () => {
    const runs = [run("ann", "primary", { work: 1_000n }), run("ben", "check", { work: 100n })];
    expect(settled(text(runs), 1_000_000n).pay).toEqual({ ann: MINERS, ben: MINERS / 10n });
    const fresh = [{ ...(runs[0] as VerifiedExecution), newcomer: true }, runs[1] as VerifiedExecution];
    expect(settled(text(fresh)).pay).toEqual({ ann: 609_091n, ben: 60_909n });
  });

  test("by two makers pays each its own tokens, and reading them again first by who left, then by the pool", () => {
    const runs = [run("ann", "primary", { work: 400n }), run("ben", "primary", { work: 600n, repeated: 50n })];
    expect(settled(text(runs), 1_000_000n).pay).toEqual({ ann: 268_000n - 33_500n, ben: 402_000n + 33_500n });
    const unsigned = [{ ...(runs[0] as VerifiedExecution), signed: false }, runs[1] as VerifiedExecution];
    expect(settled(text(unsigned), 1_000_000n).pay).toEqual({ ann: 0n, ben: 402_000n + 33_500n });
    const sentAway = [runs[0] as VerifiedExecution, { ...(runs[1] as VerifiedExecution), preempted: true }];
    expect(settled(text(sentAway), 1_000_000n).pay).toEqual({ ann: 268_000n, ben: 402_000n + 33_500n });
  });

  test("that the reference node went on with pays nobody for its part", () => {
    const runs = [run("ann", "primary", { work: 400n }), run("reference", "primary", { work: 600n, repeated: 50n })];
    const { pay, poolGain } = settled(text(runs));
    expect(pay).toEqual({ ann: 268_000n });
    expect(poolGain).toBe(80_000n + 402_000n);
  });

  test("shares with its makers, by work, what the pool lacks for a check", () => {
    const made = [run("ann", "primary", { work: 400n }), run("ben", "primary", { work: 600n })];
    const runs = [...made, run("cid", "check", { work: 100n })];
    const rich = settled(text(runs), 1_000_000n);
    expect(rich.pay).toEqual({ ann: 268_000n, ben: 402_000n, cid: 67_000n });
    const own = settled(text(runs, { royaltyBasisPoints: 0 }));
    expect(own.pay, "8 % of the price pay a check of 8.7 % as far as they go").toEqual({
      ann: (348_000n * ((950_000n * 1_000n) / 1_100n)) / 870_000n,
      ben: (522_000n * ((950_000n * 1_000n) / 1_100n)) / 870_000n,
      cid: 86_363n,
    });
    expect(own.poolGain).toBeLessThan(3n);
  });

  test("balances whatever its makers, and never takes more from the pool than it has", () => {
    const share = fc.record({
      work: fc.bigInt({ min: 1n, max: 10_000n }),
      repeated: fc.bigInt({ min: 0n, max: 10_000n }),
      signed: fc.boolean(),
      newcomer: fc.boolean(),
      preempted: fc.boolean(),
    });
    fc.assert(
      fc.property(
        fc.array(share, { minLength: 1, maxLength: 3 }),
        fc.bigInt({ min: 0n, max: 2_000_000n }),
        fc.constantFrom("fast" as const, "verified" as const, "quorum-3" as const),
        (makers, pool, level) => {
          const runs = makers.map((more, at) => run(`m${at}`, "primary", more));
          const work = makers.reduce((sum, one) => sum + one.work, 0n);
          const { poolGain, pay } = settled(text([...runs, run("c", "check", { work: 100n })], { level, work }), pool);
          expect(pool + poolGain).toBeGreaterThanOrEqual(0n);
          for (const amount of Object.values(pay)) expect(amount).toBeGreaterThanOrEqual(0n);
        },
      ),
    );
  });

  test("that is overturned gives its customer the price, and not the rest a second time", () => {
    const fact = text([run("ann", "primary", { work: 1_000n })], {}, 3n * PRICE);
    const { transfer, gains } = settled(fact);
    const reversal = overturn(fact, transfer, (account) => gains.get(account) ?? 0n, "commons");
    expect(reversal.claim).toBe(0n);
    const back = reversal.transfer?.legs.find(({ account }) => account === accounts.customer("c_one" as CustomerId));
    expect(back?.amount).toBe(PRICE);
  });

  test("says on its receipt its seed, its tokens and who made which", () => {
    const fact = text([run("ann", "primary", { work: 1_000n, span: { from: 0, to: 60 } })]);
    const leaf = JSON.parse(receiptLeaf(fact, settled(fact).transfer));
    expect(leaf.text).toEqual({ finish: "length", outputTokens: 60, promptTokens: 4, seed: "7" });
    expect(leaf.executions[0].tokens).toEqual([0, 60]);
  });
});
