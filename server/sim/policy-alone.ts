import type { AssignmentId, ModelKey, OwnerId, TaskId } from "../../shared/ids.ts";
import { type Rng, seededRng } from "../../shared/random.ts";
import { type CheckPolicy, checkRate } from "../core/check-policy.ts";
import { freshStanding, passesOf, recordMismatch, recordPass } from "../core/trust.ts";

/**
 * The policy's own functions on one owner after another, without a network around them: fast enough for the rare events
 * that a whole network would take days to show. Every check is decided rightly.
 */
export interface AloneOptions {
  tasks: number;
  /** Chance that a result is wrong, and adjudicated so once it is checked. */
  errorRate: number;
  checks: CheckPolicy;
  /** Pays of the owner that are held at any time, at most. */
  stakeInPays: number;
}

export interface AloneLife {
  suspendedAt: number | null;
  checks: number;
}

const ground = { model: "m@1" as ModelKey, runtime: "webgpu", deviceClass: "c" };

function aloneLife(options: AloneOptions, rng: Rng): AloneLife {
  const { tasks, errorRate, checks, stakeInPays } = options;
  const standing = freshStanding("own" as OwnerId, 0);
  const unchecked: boolean[] = [];
  let checked = 0;
  let at = 0;
  const judge = (isWrong: boolean, isRecheck: boolean): void => {
    checked++;
    if (!isWrong) return recordPass(standing, ground, at, !isRecheck);
    recordMismatch(standing, mismatchAt(at));
    for (const wrong of unchecked.splice(0)) judge(wrong, true);
  };
  for (let task = 1; task <= tasks; task++) {
    at += 1_000;
    const isWrong = rng.next() < errorRate;
    const stake = { pay: 1, atRisk: Math.min(task, stakeInPays) };
    if (rng.next() < checkRate(checks, passesOf(standing, ground), stake)) judge(isWrong, false);
    else {
      unchecked.push(isWrong);
      if (unchecked.length > checks.rechecks) unchecked.shift();
    }
    if (standing.suspended) return { suspendedAt: task, checks: checked };
  }
  return { suspendedAt: null, checks: checked };
}

/** Of so many owners with this error rate, how many were suspended. */
export function suspendedAmong(owners: number, options: AloneOptions, seed: number): number {
  const rng = seededRng(seed);
  let suspended = 0;
  for (let owner = 0; owner < owners; owner++) if (aloneLife(options, rng).suspendedAt !== null) suspended++;
  return suspended;
}

const mismatchAt = (at: number): Parameters<typeof recordMismatch>[1] => ({
  at,
  task: "t" as TaskId,
  assignment: "a" as AssignmentId,
  ...ground,
  found: "check",
  inputHash: "",
  commitment: "",
  reference: "",
  distance: 6,
  compared: "y",
  referenceMs: 1,
});
