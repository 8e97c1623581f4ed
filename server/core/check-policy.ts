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

/** Amounts as plain numbers, in one unit: only their ratio counts. */
export interface Stake {
  /** Pay of this task. */
  pay: number;
  /** Collateral and held pay of the owner: what it would lose. */
  atRisk: number;
}

/** The least rate at which cheating does not pay: ((c − c′) + b) / (0.67 (L + w)). */
export function deterrentRate({ pay, atRisk }: Stake): number {
  if (pay <= 0) return 0;
  const lossInPays = atRisk / pay + 1;
  return Math.min(1, (SAVED_COST + OUTSIDE_GAIN) / (CAUGHT * lossInPays));
}

/** Probability that a result of an owner with `passes` passed checks is checked. */
export function checkRate(policy: CheckPolicy, passes: number, stake: Stake, checkCost = 1): number {
  if (passes < policy.newcomerPasses) return 1;
  const byPasses = passes < policy.trustedPasses ? policy.earlyRate : policy.trustedRate;
  const byCost = checkCost <= policy.cheapCheck ? policy.cheapCheckRate : 0;
  return Math.max(byPasses, byCost, deterrentRate(stake));
}

/** What of the price of one execution reaches its miner, to weigh it: money itself is split by the economy. */
export const payOf = (policy: CheckPolicy, price: Nano, royaltyBasisPoints: number): number =>
  (Number(price) * (10_000 - policy.deductedBasisPoints - royaltyBasisPoints)) / 10_000;

export const PRICES_KEPT = 256;
const PRICES_PER_MEDIAN = 64;

/** Median of the last 256 prices, brought up to date with each of the first and then every 64 requests. */
export class MedianPrice {
  #last: Nano[] = [];
  #next = 0;
  readonly #factor: bigint;
  #high: Nano | null = null;

  /** A price is high from so many medians on. */
  constructor(factor: number) {
    this.#factor = BigInt(factor);
  }

  add(price: Nano): void {
    this.#last[this.#next % PRICES_KEPT] = price;
    const isDue = this.#next < PRICES_PER_MEDIAN || this.#next % PRICES_PER_MEDIAN === 0;
    this.#next++;
    if (!isDue) return;
    const sorted = [...this.#last].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
    this.#high = (sorted[sorted.length >> 1] as Nano) * this.#factor;
  }

  isHigh(price: Nano): boolean {
    return this.#high !== null && price >= this.#high;
  }
}

const COMMITMENTS_KEPT = 64;

/**
 * What one device answered last, to notice an answer that is given to different questions. Kept as fingerprints in fixed
 * memory: a stranger with the same one costs a check in 30 million answers, and a repeated answer is never missed.
 */
export class RecentAnswers {
  /** The newer half fills up, then becomes the older. */
  #newer = new Half();
  #older = new Half();

  /** True where the same outputs were returned for other inputs. */
  repeats(commitment: string, inputHash: string): boolean {
    const [answer, question] = [fingerprint(commitment), fingerprint(inputHash)];
    const known = this.#newer.questionOf(answer) || this.#older.questionOf(answer);
    if (known !== 0) return known !== question;
    if (this.#newer.isFull) {
      [this.#newer, this.#older] = [this.#older, this.#newer];
      this.#newer.clear();
    }
    this.#newer.add(answer, question);
    return false;
  }
}

class Half {
  readonly #answers = new Int32Array(COMMITMENTS_KEPT);
  readonly #questions = new Int32Array(COMMITMENTS_KEPT);
  #count = 0;

  get isFull(): boolean {
    return this.#count === COMMITMENTS_KEPT;
  }

  /** 0 where there is none. */
  questionOf(answer: number): number {
    const at = this.#answers.indexOf(answer);
    return at < 0 ? 0 : (this.#questions[at] as number);
  }

  add(answer: number, question: number): void {
    this.#answers[this.#count] = answer;
    this.#questions[this.#count++] = question;
  }

  clear(): void {
    this.#answers.fill(0);
    this.#count = 0;
  }
}

/** Of a hash in hex: its first 16 digits are as good as all. Never 0. */
function fingerprint(hash: string): number {
  let sum = 0;
  for (let at = 0; at < 16 && at < hash.length; at++) sum = (Math.imul(sum, 31) + hash.charCodeAt(at)) | 0;
  return sum || 1;
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
