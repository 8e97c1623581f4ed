import fc from "fast-check";
import { expect, it } from "vitest";
import type { AccountId, AssignmentId, CustomerId, ModelKey, OwnerId, TaskId } from "../../shared/ids.ts";
import { serviceLevels } from "../../shared/pricing.ts";
import type { CheckDone, Execution, PoolWork } from "../core/events.ts";
import { accounts } from "../economy/accounts.ts";
import { legsOf, type Transfer } from "../economy/ledger.ts";
import { DomainMap } from "./domain-map.ts";
import { Settling } from "./settling.ts";

const ann = "own_ann" as OwnerId;
const bob = "own_bob" as OwnerId;
const model = "digits@1" as ModelKey;

it("knows what an owner has deposited in a model's domain, as others post it", () => {
  const domains = new DomainMap();
  domains.publish("spectra@1" as ModelKey, "physics");
  const settling = new Settling(domains, {
    pools: new Map(),
    deposits: new Map([[accounts.collateral("commons", ann), 100n]]),
    credits: [],
  });
  const move = (gains: [AccountId, bigint][]): Transfer => ({
    id: "move",
    kind: "deposit",
    at: 1,
    task: null,
    legs: legsOf(new Map(gains)),
  });
  settling.follow([
    move([
      [accounts.dn(accounts.miner(bob)), -30n],
      [accounts.collateral("physics", bob), 30n],
    ]),
    move([
      [accounts.collateral("commons", ann), -20n],
      [accounts.dnBurned, 20n],
    ]),
  ]);
  expect(settling.depositOf(ann, model)).toBe(80n);
  expect(settling.depositOf(bob, model)).toBe(0n);
  expect(settling.depositOf(bob, "spectra@1" as ModelKey)).toBe(30n);
});

const owners = ["own_ann", "own_bob", "own_cid", "own_dora"] as OwnerId[];
const someone = fc.constantFrom(...owners, "reference" as const);
const work = fc.record({
  of: someone,
  checkers: fc.array(someone, { maxLength: 3 }),
  level: fc.constantFrom(...serviceLevels),
  price: fc.bigInt(1n, 10n ** 6n).map((micro) => micro * 1_000n),
  newcomer: fc.boolean(),
  isAccepted: fc.boolean(),
  why: fc.constantFrom("task" as const, "task" as const, "canary" as const, "refuted" as const, "recheck" as const),
});

function executionsOf(
  n: number,
  { of, checkers, newcomer, isAccepted }: typeof work extends fc.Arbitrary<infer W> ? W : never,
) {
  return [of, ...checkers].map(
    (by, at): Execution => ({
      by,
      miner: null,
      assignment: by === "reference" ? null : (`a_${n}_${at}` as AssignmentId),
      role: at === 0 ? "primary" : "check",
      commitment: "00",
      accepted: at > 0 || isAccepted,
      signed: true,
      newcomer,
      computeMs: 1,
    }),
  );
}

it("pays for looking at an owner's work no more than that work brought in, whatever the pool holds of others", () => {
  fc.assert(
    fc.property(fc.array(work, { minLength: 1, maxLength: 40 }), fc.bigInt(0n, 10n ** 12n), (tasks, pool) => {
      const settling = new Settling(new DomainMap(), {
        pools: new Map([["commons", pool]]),
        deposits: new Map(),
        credits: [],
      });
      const broughtIn = new Map<OwnerId | null, bigint>();
      for (const [n, one] of tasks.entries()) {
        const { price, level, why } = one;
        const executions = executionsOf(n, one);
        const base = { task: `t_${n}` as TaskId, at: n, model, royaltyBasisPoints: 2_000, price, executions };
        const subject = one.of === "reference" ? null : one.of;
        const { transfer, held } =
          why === "task"
            ? settling.settle({ ...base, ...verified, level } as CheckDone)
            : settling.poolWork({ ...base, why, subject } as PoolWork);
        const gain = transfer?.legs.find(({ account }) => account === accounts.pool("commons"))?.amount ?? 0n;
        const sum = (broughtIn.get(subject) ?? 0n) + gain;
        broughtIn.set(subject, sum);
        expect(sum).toBeGreaterThanOrEqual(0n);
        const credited = held.flatMap((change) => (change.kind === "credited" ? [change] : []));
        const expected = subject === null || gain === 0n ? [] : [{ domain: "commons", owner: subject, gain }];
        expect(credited).toMatchObject(expected);
        expect(credited).toHaveLength(expected.length);
      }
    }),
  );
});

const verified = {
  customer: "c_one" as CustomerId,
  creator: "tabgrid",
  work: 1n,
  basis: "checked",
  inputHash: "00",
  commitment: "00",
};

it("starts from what the books say", () => {
  const credits = [{ domain: "commons", owner: ann, gain: 400n }];
  const settling = new Settling(new DomainMap(), {
    pools: new Map([["commons", 1_000n]]),
    deposits: new Map(),
    credits,
  });
  const executions = executionsOf(1, {
    of: bob,
    checkers: [ann],
    level: "fast",
    price: 1_000n,
    newcomer: false,
    isAccepted: false,
    why: "canary",
  });
  const lookAt = (subject: OwnerId): PoolWork => ({
    task: `t_${subject}` as TaskId,
    at: 1,
    model,
    royaltyBasisPoints: 2_000,
    price: 1_000n,
    why: "refuted",
    subject,
    executions,
  });
  expect(settling.poolWork(lookAt(bob)).lines).toMatchObject([{ owner: ann, outcome: "unpaid", amount: 0n }]);
  expect(settling.poolWork(lookAt(ann)).lines).toMatchObject([{ owner: ann, outcome: "paid", amount: 400n }]);
  settling.follow([], [{ kind: "credited", domain: "commons", owner: bob, gain: 5n, by: "overturn:t_1" }]);
  expect(settling.poolWork({ ...lookAt(bob), task: "t_2" as TaskId }).lines).toMatchObject([{ amount: 5n }]);
});
