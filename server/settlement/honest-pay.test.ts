import { expect, it } from "vitest";
import type { AssignmentId, CustomerId, ModelKey, OwnerId, TaskId } from "../../shared/ids.ts";
import { nextInt, type Rng, seededRng } from "../../shared/random.ts";
import { checkRate, commonsChecks } from "../core/check-policy.ts";
import type { Execution } from "../core/events.ts";
import { DomainMap } from "./domain-map.ts";
import { Settling } from "./settling.ts";

/**
 * What it costs the honest that checks are paid out of what the checked work brought in (docs/decisions/checks-paid-by-own-work.md):
 * `fast` tasks of one price, checked as often as the policy says, a tenth of the checks by the reference node and a tenth by
 * known answers.
 */
const PRICE = 1_000_000n;
const MINERS = 670_000;
const ann = "own_ann" as OwnerId;
const bob = "own_bob" as OwnerId;

interface Task {
  /** Of the whole miners' part; what it had for a known answer is left out. */
  miner: number;
  /** What its checker had, where it had one. */
  check: number | null;
}

function life(rng: Rng, tasks: number): Task[] {
  const pools = new Map([["commons", 10n ** 12n]]);
  const settling = new Settling(new DomainMap(), { pools, deposits: new Map(), credits: [] });
  let passes = 0;
  return Array.from({ length: tasks }, (_, n) => {
    const isNew = passes < commonsChecks.newcomerPasses;
    const rate = checkRate(commonsChecks, passes, { pay: MINERS, atRisk: MINERS * n });
    const isDrawn = rng.next() < rate;
    const isPeers = isDrawn && nextInt(rng, 10) >= 2;
    const isCanary = isDrawn && !isPeers && !isNew && nextInt(rng, 2) === 1;
    if (isDrawn) passes++;
    const ran = (owner: OwnerId | "reference", role: "primary" | "check", id: string): Execution => ({
      by: owner,
      miner: null,
      assignment: owner === "reference" ? null : (`a_${id}` as AssignmentId),
      role,
      commitment: "",
      accepted: true,
      signed: true,
      newcomer: isNew,
      computeMs: 1,
    });
    const base = {
      task: `t_${n}` as TaskId,
      at: n,
      model: "digits@1" as ModelKey,
      royaltyBasisPoints: 2_000,
      price: PRICE,
    };
    const byHub = isDrawn && !isPeers && !isCanary ? [ran("reference", "check", `${n}_check`)] : [];
    const checks = isPeers ? [ran(bob, "check", `${n}_check`)] : byHub;
    const paid = settling.settle({
      ...base,
      ...{ customer: "c_one" as CustomerId, creator: "tabgrid", level: "fast", work: 1n, basis: "checked" },
      ...{ inputHash: "", commitment: "", executions: [ran(ann, "primary", `${n}`), ...checks] },
    });
    const canary = { ...base, task: `c_${n}` as TaskId, why: "canary" as const, subject: ann };
    if (isCanary) settling.poolWork({ ...canary, executions: [ran(ann, "primary", `${n}_canary`)] });
    const of = (owner: OwnerId) => Number(paid.lines.find((line) => line.owner === owner)?.amount ?? 0n) / MINERS;
    return { miner: of(ann), check: isPeers ? of(bob) : null };
  });
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

it("is a fortieth of a miner's pay in its first hundreds of tasks, a sixth of their checkers', and nothing later", () => {
  const lives = Array.from({ length: 40 }, (_, n) => life(seededRng(7_919 * (n + 1)), 2_000));
  const between = (from: number, to: number) => {
    const tasks = lives.flatMap((one) => one.slice(from, to));
    return { miner: mean(tasks.map(({ miner }) => miner)), check: mean(tasks.flatMap(({ check }) => check ?? [])) };
  };
  const early = between(20, 440);
  expect(early.miner).toBeCloseTo(0.975, 2);
  expect(early.check).toBeCloseTo(0.835, 1);
  expect(between(1_000, 2_000)).toEqual({ miner: 1, check: 1 });
});
