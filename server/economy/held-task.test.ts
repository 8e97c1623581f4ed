import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { AccountId, CustomerId, ModelKey, OwnerId, TaskId } from "../../shared/ids.ts";
import { serviceLevels } from "../../shared/pricing.ts";
import { sha256 } from "../../shared/test-sha256.ts";
import { accounts } from "./accounts.ts";
import { sum } from "./apportion.ts";
import { countParts, countTask, emptyTally } from "./epoch-tally.ts";
import { heldTask } from "./held-task.ts";
import { legsOf } from "./ledger.ts";
import { commonsRevenue, settle } from "./revenue.ts";
import type { VerifiedExecution, VerifiedTask } from "./verified-task.ts";

const execution = (
  by: string,
  role: VerifiedExecution["role"],
  change: Partial<VerifiedExecution> = {},
): VerifiedExecution => ({
  by: by === "reference" ? by : (`own_${by}` as OwnerId),
  miner: null,
  assignment: by === "reference" ? null : (`a_${by}` as never),
  role,
  commitment: "",
  accepted: true,
  signed: by !== "reference",
  newcomer: false,
  ...change,
});
const fact = (level: VerifiedTask["level"], executions: VerifiedTask["executions"], price = 10_000n): VerifiedTask => ({
  task: "t_1" as TaskId,
  at: 5,
  customer: "c_1" as CustomerId,
  model: "m@1" as ModelKey,
  creator: "vic",
  royaltyBasisPoints: 2_000,
  level,
  price,
  work: 3_000n,
  basis: "checked",
  inputHash: "",
  commitment: "",
  executions,
});

function held(of: VerifiedTask, pool = 0n) {
  const settlement = settle(of, commonsRevenue, pool, sha256);
  if (!settlement.ok) throw new Error(settlement.error.message);
  return { task: heldTask(of, settlement.value, null, commonsRevenue, 0), settlement };
}

describe("heldTask", () => {
  it("reads the parts of the price, and gives the price to those who were paid for it", () => {
    const { task } = held(fact("verified", [execution("ann", "primary"), execution("bob", "check")]));
    expect(task).toMatchObject({ revenue: 10_000n, foundation: 100n, processor: 300n, creator: 2_000n, burn: 100n });
    expect(task.pay).toEqual([
      { owner: "own_ann", amount: 3_350n, worth: 5_000n },
      { owner: "own_bob", amount: 3_350n, worth: 5_000n },
    ]);
    expect(task.checks).toEqual([{ owner: "own_bob", worth: 10_000n }]);
  });

  it("the reference node's part of work and checks is nobody's", () => {
    const { task } = held(fact("verified", [execution("ann", "primary"), execution("reference", "check")]));
    expect([sum(task.pay.map(({ worth }) => worth)), task.checks.length]).toEqual([5_000n, 0]);
  });

  it("a check that the pool pays has pay and is worth nothing of the price", () => {
    const { task } = held(fact("fast", [execution("ann", "primary"), execution("bob", "check")]), 1_000_000n);
    expect(task.pay.map(({ worth }) => worth)).toEqual([10_000n, 0n]);
    expect(task.checks).toEqual([{ owner: "own_bob", worth: 10_000n }]);
  });

  it("where primary and check share what the pool lacks, the price is claimed once", () => {
    const { task } = held(fact("fast", [execution("ann", "primary"), execution("bob", "check")]), 0n);
    expect(task.pay.map(({ amount }) => amount)).toEqual([3_750n, 3_750n]);
    expect(task.pay.map(({ worth }) => worth)).toEqual([5_597n, 4_402n]);
  });

  it("a check that disagreed or was not signed is no claim", () => {
    for (const change of [{ accepted: false }, { signed: false }])
      expect(held(fact("fast", [execution("ann", "primary"), execution("bob", "check", change)])).task.checks).toEqual(
        [],
      );
  });

  it("a bonus of pledges is held with the pay", () => {
    const of = fact("fast", [execution("ann", "primary")]);
    const { settlement } = held(of);
    const legs = legsOf(
      new Map<AccountId, bigint>([
        [accounts.pledge(of.model), -500n],
        [accounts.minerHeld("own_ann" as OwnerId), 500n],
      ]),
    );
    const bonus = { id: "bonus:t_1", kind: "bonus" as const, at: 5, task: of.task, legs };
    const task = heldTask(of, settlement.value, bonus, commonsRevenue, 0);
    expect(task.pay).toEqual([
      { owner: "own_ann", amount: 6_700n, worth: 10_000n },
      { owner: "own_ann", amount: 500n, worth: 0n },
    ]);
  });

  it("whatever was executed: pay is what was posted as held, no claims exceed the price", () => {
    const executions = fc.array(
      fc
        .record({
          by: fc.constantFrom("ann", "bob", "cid", "reference"),
          role: fc.constantFrom("primary" as const, "check" as const, "third" as const, "hedge" as const),
          accepted: fc.boolean(),
          newcomer: fc.boolean(),
        })
        .map(({ by, role, ...change }) => execution(by, role, change)),
      { maxLength: 6 },
    );
    const price = fc.bigInt(1n, 10n ** 6n).map((micro) => micro * 1_000n);
    fc.assert(
      fc.property(
        fc.constantFrom(...serviceLevels),
        executions,
        price,
        fc.bigInt(0n, 10n ** 9n),
        (level, list, of, pool) => {
          const { task, settlement } = held(fact(level, list, of), pool);
          const posted = settlement.value.transfer.legs.filter(
            ({ account }) => account.endsWith(":held") && account.startsWith("miner"),
          );
          expect(sum(task.pay.map(({ amount }) => amount))).toBe(sum(posted.map(({ amount }) => amount)));
          expect(sum(task.pay.map(({ worth }) => worth)) <= task.revenue).toBe(true);
          expect(sum(task.checks.map(({ worth }) => worth)) <= task.revenue).toBe(true);
        },
      ),
    );
  });
});

describe("the tally of an epoch", () => {
  it("grows with parties and models, not with tasks", () => {
    const tally = emptyTally();
    const { task } = held(fact("verified", [execution("ann", "primary"), execution("bob", "check")]));
    for (let n = 0; n < 10_000; n++) {
      countParts(tally, task);
      countTask(tally, task);
    }
    const commons = tally.periods.get("commons@0");
    const of = commons?.models.get(task.model);
    expect([tally.periods.size, commons?.models.size, of?.work.size]).toEqual([1, 1, 2]);
    expect(commons).toMatchObject({ revenue: 10n ** 8n, burn: 10n ** 6n });
    expect(of).toMatchObject({ revenue: 10n ** 8n, royalties: 2n * 10n ** 7n });
  });
});
