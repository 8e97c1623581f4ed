import type { Nano } from "../../shared/money.ts";
import { fromFloat16, type Tensor, viewOf } from "../../shared/tensor.ts";

/**
 * How often a `fast` result is checked (../shared/policy.md, "How often"). Numbers in, a probability out: nothing here
 * knows sessions or tasks, so the study measures exactly these functions.
 */
export interface CheckPolicy {
  /** Passed checks below which an owner is a newcomer: every result is checked. */
  newcomerPasses: number;
  /** Passed checks from which the rate is `trustedRate`; `earlyRate` before. */
  trustedPasses: number;
  earlyRate: number;
  trustedRate: number;
  /** Least rate where a check costs at most `cheapCheck` of the work. */
  cheapCheckRate: number;
  cheapCheck: number;
  /** Share of checks that are the reference node's or canaries; the second where addresses carry no evidence. */
  referenceShare: number;
  referenceShareLocal: number;
  /** Part of that share that canaries take over from the reference node, where a result need not be checked itself. */
  canaryPart: number;
  /** Share of peers' checks that go to another device class. */
  crossClassShare: number;
  /** Unchecked results of an owner that are kept, and checked after a fail. */
  rechecks: number;
  /** A price this many times the median is always checked. */
  highValueFactor: number;
  /** Shares of the price that go neither to the creator nor to miners, in basis points (../shared/money.md). */
  deductedBasisPoints: number;
}

export const commonsChecks: CheckPolicy = {
  newcomerPasses: 20,
  trustedPasses: 100,
  earlyRate: 0.2,
  trustedRate: 0.05,
  cheapCheckRate: 0.3,
  cheapCheck: 0.3,
  referenceShare: 0.2,
  referenceShareLocal: 0.5,
  canaryPart: 0.5,
  crossClassShare: 0.25,
  rechecks: 20,
  highValueFactor: 100,
  deductedBasisPoints: 1_300,
};

/** Work saved by not computing, as a share of the pay. */
const SAVED_COST = 0.6;
/** What a wrong answer may be worth to someone outside, as a share of the pay. */
const OUTSIDE_GAIN = 1;
/** Chance that a checked cheat is caught and upheld: [t + (1 − t)(1 − f_c)](1 − β)ρ of ../shared/reference/verification.md. */
const CAUGHT = 0.67;

export interface Stake {
  /** Pay of this task. */
  pay: Nano;
  /** Collateral and held pay of the owner: what it would lose. */
  atRisk: Nano;
}

/** The least rate at which cheating does not pay: ((c − c′) + b) / (0.67 (L + w)). */
export function deterrentRate({ pay, atRisk }: Stake): number {
  if (pay <= 0n) return 0;
  const lossInPays = Number(atRisk) / Number(pay) + 1;
  return Math.min(1, (SAVED_COST + OUTSIDE_GAIN) / (CAUGHT * lossInPays));
}

/** Probability that a result of an owner with `passes` passed checks is checked. */
export function checkRate(policy: CheckPolicy, passes: number, stake: Stake, checkCost = 1): number {
  if (passes < policy.newcomerPasses) return 1;
  const byPasses = passes < policy.trustedPasses ? policy.earlyRate : policy.trustedRate;
  const byCost = checkCost <= policy.cheapCheck ? policy.cheapCheckRate : 0;
  return Math.max(byPasses, byCost, deterrentRate(stake));
}

/** Price of one execution that reaches its miner. */
export const payOf = (policy: CheckPolicy, price: Nano, royaltyBasisPoints: number, executions: number): Nano =>
  (price * BigInt(10_000 - policy.deductedBasisPoints - royaltyBasisPoints)) / BigInt(10_000 * executions);

const PRICES_KEPT = 256;
const PRICES_PER_MEDIAN = 64;

/** Median of the last 256 prices, brought up to date every 64 requests. */
export class MedianPrice {
  #last: Nano[] = [];
  #next = 0;
  #median: Nano | null = null;

  add(price: Nano): void {
    this.#last[this.#next % PRICES_KEPT] = price;
    if (this.#next++ % PRICES_PER_MEDIAN > 0) return;
    const sorted = [...this.#last].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
    this.#median = sorted[sorted.length >> 1] as Nano;
  }

  isHigh(price: Nano, factor: number): boolean {
    return this.#median !== null && price >= this.#median * BigInt(factor);
  }
}

const COMMITMENTS_KEPT = 64;

/** What one device answered last, to notice an answer that is given to different questions. */
export class RecentAnswers {
  #inputByCommitment = new Map<string, string>();

  /** True where the same outputs were returned for other inputs. */
  repeats(commitment: string, inputHash: string): boolean {
    const known = this.#inputByCommitment.get(commitment);
    if (known !== undefined) return known !== inputHash;
    this.#inputByCommitment.set(commitment, inputHash);
    if (this.#inputByCommitment.size > COMMITMENTS_KEPT) {
      for (const oldest of this.#inputByCommitment.keys()) {
        this.#inputByCommitment.delete(oldest);
        break;
      }
    }
    return false;
  }
}

/** Outputs that a working model hardly gives: not a number somewhere, or the same number everywhere. */
export function looksBroken(outputs: readonly Tensor[]): boolean {
  return outputs.some((tensor) => {
    const values = viewOf(tensor);
    const isFloat = tensor.dtype === "float32" || tensor.dtype === "float64";
    const isHalf = tensor.dtype === "float16";
    let constant = values.length > 1;
    for (let i = 0; i < values.length; i++) {
      const value = values[i] as number;
      if (constant && value !== values[0]) constant = false;
      if (isFloat ? Number.isNaN(value) : isHalf && Number.isNaN(fromFloat16(value))) return true;
      if (!constant && !isFloat && !isHalf) return false;
    }
    return constant;
  });
}
