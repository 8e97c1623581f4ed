import type { ModelKey, OwnerId } from "../../shared/ids.ts";
import type { Millis } from "../../shared/time.ts";
import type { Standing } from "./events.ts";

/**
 * What the hub thinks of an owner (../shared/policy.md, "Fault of a device, fault of a person").
 *
 * Trust is the mean of Beta(α, β) with forgetting of 0.99 a day: it routes, it never punishes. Strikes are Wald's
 * sequential test of a 1 % against a 10 % error rate: only adjudicated mismatches count, and 9.2 suspends.
 */
const FORGETTING_PER_DAY = 0.99;
const DAY_MS = 86_400_000;
const STRIKE_MISMATCH = 2.3;
const STRIKE_PASS = -0.095;
const STRIKE_FLOOR = -4.6;
const STRIKE_SUSPEND = 9.2;
/** Passed checks below which an owner is a newcomer for a model and runtime. */
export const NEWCOMER_PASSES = 20;

export function freshStanding(owner: OwnerId, at: Millis): Standing {
  return { owner, alpha: 1, beta: 1, updatedAt: at, strikes: 0, suspended: false, passed: {} };
}

export const trustOf = (standing: Standing): number => standing.alpha / (standing.alpha + standing.beta);

const passedKey = (model: ModelKey, runtime: string): string => `${model}|${runtime}`;

export const passesOf = (standing: Standing, model: ModelKey, runtime: string): number =>
  standing.passed[passedKey(model, runtime)] ?? 0;

/** α and β drift back towards the prior of 1 with time. */
function forget(standing: Standing, at: Millis): void {
  const kept = FORGETTING_PER_DAY ** (Math.max(0, at - standing.updatedAt) / DAY_MS);
  standing.alpha = 1 + (standing.alpha - 1) * kept;
  standing.beta = 1 + (standing.beta - 1) * kept;
  standing.updatedAt = at;
}

export function recordPass(standing: Standing, model: ModelKey, runtime: string, at: Millis): void {
  forget(standing, at);
  standing.alpha += 1;
  standing.strikes = Math.max(STRIKE_FLOOR, standing.strikes + STRIKE_PASS);
  const key = passedKey(model, runtime);
  standing.passed[key] = (standing.passed[key] ?? 0) + 1;
}

/** An adjudicated mismatch: the reference node disagreed beyond FAIL. Returns whether the owner is now suspended. */
export function recordMismatch(standing: Standing, model: ModelKey, runtime: string, at: Millis): boolean {
  forget(standing, at);
  standing.beta += 1;
  standing.strikes += STRIKE_MISMATCH;
  standing.passed[passedKey(model, runtime)] = 0;
  if (standing.strikes >= STRIKE_SUSPEND) standing.suspended = true;
  return standing.suspended;
}
