import type { ModelKey, OwnerId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import type { Millis } from "../../shared/time.ts";
import type { Mismatch, Standing, StandingNote } from "./events.ts";

/**
 * What the hub thinks of an owner (../shared/policy.md, "Fault of a device, fault of a person"), with the notes that say
 * why.
 *
 * Trust is the mean of Beta(α, β) with forgetting of 0.99 a day: it routes, it never punishes. Strikes are Wald's
 * sequential test of a 1 % against a 10 % error rate: only adjudicated mismatches count, and 9.2 suspends.
 */
const FORGETTING_PER_DAY = 0.99;
const DAY_MS = 86_400_000;
export const strikeRule = { mismatch: 2.3, pass: -0.095, floor: -4.6, suspend: 9.2 } as const;
/** Passed checks below which an owner is a newcomer for a model on a device class and runtime. */
export const NEWCOMER_PASSES = 20;
/** Passed checks that make an owner's word about its device class count. */
export const PROVEN_PASSES = 100;
const NOTES_KEPT = 32;
/** Device classes are made of what a miner returns: a forger must not grow its standing without end. */
const COUNTERS_KEPT = 64;

/** Where passes are counted: one model on one kind of device. */
export interface Ground {
  model: ModelKey;
  runtime: string;
  deviceClass: string;
}

export const groundKey = ({ model, runtime, deviceClass }: Ground): string => `${model}|${runtime}|${deviceClass}`;

export function freshStanding(owner: OwnerId, at: Millis): Standing {
  return {
    owner,
    alpha: 1,
    beta: 1,
    updatedAt: at,
    strikes: 0,
    suspended: false,
    openCase: null,
    passed: {},
    proven: {},
    history: [],
  };
}

/** What a receipt says of whoever made or checked its answer. */
export interface ExecutorStanding {
  /** 0 to 1, to three places. */
  trust: number;
  /** k: passed checks since the last fail, for this model, runtime and device class. */
  passed: number;
  /** Held pay, and deposits at the pool's average price, in all domains: nano-USDC. */
  atRisk: Nano;
}

export const trustOf = (standing: Standing): number => standing.alpha / (standing.alpha + standing.beta);

/** k of the check policy. */
export const passesOf = (standing: Standing, ground: Ground): number => standing.passed[groundKey(ground)] ?? 0;

/** The most passes that k ever was: what a fail does not take away. */
export const isProven = (standing: Standing, ground: Ground): boolean =>
  (standing.proven[groundKey(ground)] ?? 0) >= PROVEN_PASSES;

/** No mismatch that passes have not outweighed: its `fast` answers are delivered before their verdict. */
export const inGoodStanding = (standing: Standing): boolean => !standing.suspended && standing.strikes <= 0;

/** α and β drift back towards the prior of 1 with time. */
function forget(standing: Standing, at: Millis): void {
  const kept = FORGETTING_PER_DAY ** (Math.max(0, at - standing.updatedAt) / DAY_MS);
  standing.alpha = 1 + (standing.alpha - 1) * kept;
  standing.beta = 1 + (standing.beta - 1) * kept;
  standing.updatedAt = at;
}

/** `earnsRate`: whether it counts towards k; a recheck does not, or the results before a fail would make up for it. */
export function recordPass(standing: Standing, ground: Ground, at: Millis, earnsRate = true): void {
  forget(standing, at);
  standing.alpha += 1;
  standing.strikes = Math.max(strikeRule.floor, standing.strikes + strikeRule.pass);
  if (earnsRate) count(standing, groundKey(ground));
  const last = standing.history.at(-1);
  if (last?.kind === "passes") {
    last.at = at;
    last.count++;
    last.strikes = standing.strikes;
  } else note(standing, { kind: "passes", at, count: 1, strikes: standing.strikes });
}

/**
 * An adjudicated mismatch: the reference node disagreed beyond FAIL. Returns whether it suspends the owner. One of a device class
 * that is known to be at fault strikes nobody.
 */
export function recordMismatch(standing: Standing, mismatch: Mismatch, isOfClass = false): boolean {
  forget(standing, mismatch.at);
  standing.passed[groundKey(mismatch)] = 0;
  if (!isOfClass) {
    standing.beta += 1;
    standing.strikes += strikeRule.mismatch;
  }
  note(standing, { kind: "mismatch", at: mismatch.at, mismatch, voided: isOfClass, strikes: standing.strikes });
  if (isOfClass || standing.suspended || standing.strikes < strikeRule.suspend) return false;
  standing.suspended = true;
  note(standing, { kind: "suspended", at: mismatch.at, strikes: standing.strikes });
  return true;
}

/** Takes back the strikes of a ground whose device class was at fault. Returns whether that lifts a suspension. */
export function voidStrikes(standing: Standing, ground: Ground, at: Millis): boolean {
  const key = groundKey(ground);
  let voided = 0;
  for (const entry of standing.history) {
    if (entry.kind !== "mismatch" || entry.voided || groundKey(entry.mismatch) !== key) continue;
    entry.voided = true;
    voided++;
  }
  if (voided === 0) return false;
  standing.strikes = Math.max(strikeRule.floor, standing.strikes - voided * strikeRule.mismatch);
  standing.beta = Math.max(1, standing.beta - voided);
  note(standing, { kind: "voided", at, count: voided, strikes: standing.strikes });
  // What a person has ruled, a person takes back.
  if (!standing.suspended || standing.openCase === null || standing.strikes >= strikeRule.suspend) return false;
  restore(standing, at, "the device class was at fault");
  return true;
}

/** Ends a suspension; strikes start again. */
export function restore(standing: Standing, at: Millis, why: string): void {
  standing.suspended = false;
  standing.openCase = null;
  standing.strikes = Math.min(0, standing.strikes);
  note(standing, { kind: "restored", at, why, strikes: standing.strikes });
}

/** Out for good, by a person's ruling: no open case can give work back. */
export function expel(standing: Standing, at: Millis): void {
  standing.suspended = true;
  standing.openCase = null;
  note(standing, { kind: "suspended", at, strikes: standing.strikes });
}

/** The adjudicated mismatches that still count, oldest first. */
export const mismatchesOf = (standing: Standing): Mismatch[] =>
  standing.history.flatMap((entry) => (entry.kind === "mismatch" && !entry.voided ? [entry.mismatch] : []));

function count(standing: Standing, key: string): void {
  const passes = (standing.passed[key] ?? 0) + 1;
  standing.passed[key] = passes;
  if (passes <= (standing.proven[key] ?? 0)) return;
  if (!(key in standing.proven)) makeRoom(standing);
  standing.proven[key] = passes;
}

/** Forgets the ground with the fewest passes. */
function makeRoom({ passed, proven }: Standing): void {
  const keys = Object.keys(proven);
  if (keys.length < COUNTERS_KEPT) return;
  const least = keys.reduce((a, b) => ((proven[b] as number) < (proven[a] as number) ? b : a));
  delete passed[least];
  delete proven[least];
}

function note(standing: Standing, entry: StandingNote): void {
  standing.history.push(entry);
  if (standing.history.length > NOTES_KEPT) standing.history.shift();
}
