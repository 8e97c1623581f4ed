import { failure, type TabgridError } from "../../shared/errors.ts";
import { type ServiceLevel, serviceLevels } from "../../shared/pricing.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import type { DomainRevenue } from "./revenue.ts";

/**
 * What a domain's owner decides of the verification policy (../shared/policy.md): never less than the policy asks for. Who
 * checks, when results agree and what follows from a verdict are the hub's, alike for all domains.
 */
export interface VerificationTerms {
  /** Least share of `fast` answers that is checked however many checks a miner has passed, hundredths of a per cent. */
  checkRate: number;
  /** Passed checks below which every `fast` answer of a miner is checked. */
  newcomerPasses: number;
  /** Share of checks that are the reference node's or known answers, hundredths of a per cent. */
  referenceShare: number;
  /** What is asked for less is refused; also the level of a request that names none, where its own would be less. */
  leastLevel: ServiceLevel;
}

/** The policy's own: the least of each. */
export const commonsVerification: VerificationTerms = {
  checkRate: 500,
  newcomerPasses: 20,
  referenceShare: 2_000,
  leastLevel: "fast",
};

/** Of the policy, and no domain's to set: until so many passes at least this rate. */
export const earlyChecks = { passes: 100, rate: 2_000 } as const;

const WHOLE = 10_000;
/** A miner's first tasks, over which the cost of checks is averaged. */
const TASKS = 1_000;
/** The reference node serves all domains, so none may draw it for more than half of its checks. */
const REFERENCE_MOST = 5_000;
const bounds = {
  checkRate: [commonsVerification.checkRate, WHOLE],
  newcomerPasses: [commonsVerification.newcomerPasses, TASKS],
  referenceShare: [commonsVerification.referenceShare, REFERENCE_MOST],
} as const;

/**
 * Checks of a miner's first 1,000 `fast` tasks that the pool pays, on average: none of the first 20, whose cost miner and
 * checker share; all up to `newcomerPasses`; then as the rates have it.
 */
export function pooledChecks({ checkRate, newcomerPasses, leastLevel }: VerificationTerms): number {
  if (leastLevel !== "fast") return 0; // the customer pays them
  let tasks = commonsVerification.newcomerPasses;
  let passes = tasks;
  const stages: [until: number, rate: number][] = [
    [newcomerPasses, WHOLE],
    [earlyChecks.passes, Math.max(earlyChecks.rate, checkRate)],
    [TASKS, checkRate],
  ];
  for (const [until, rate] of stages) {
    const more = Math.min(Math.max(0, until - passes) * (WHOLE / rate), TASKS - tasks);
    tasks += more;
    passes += (more * rate) / WHOLE;
  }
  return passes - commonsVerification.newcomerPasses;
}

/** What of the price reaches the miners by the policy's table; x by default. */
const MINERS_BY_DEFAULT = 6_700;
const ROYALTY_BY_DEFAULT = 2_000;

/** A check is paid what an execution is. Without y and d, so that no vote makes a pool too small that was large enough. */
const payOfCheck = ({ burn, foundation, pool, owner, emission }: DomainRevenue): number =>
  Math.min(MINERS_BY_DEFAULT, WHOLE - ROYALTY_BY_DEFAULT - burn - foundation - pool - owner - emission);

/**
 * The expected cost of checks, averaged over a miner's first 1,000 tasks, in hundredths of a per cent of their prices: 730 for
 * the policy's own terms.
 */
export const expectedCheckCost = (terms: VerificationTerms, revenue: DomainRevenue): number =>
  Math.round((pooledChecks(terms) * payOfCheck(revenue)) / TASKS);

/** @returns `share-out-of-bounds` where terms are laxer than the policy or more than v pays for */
export function checkVerification(terms: VerificationTerms, revenue: DomainRevenue): Result<null, TabgridError> {
  for (const [name, [least, most]] of Object.entries(bounds)) {
    const value = terms[name as keyof typeof bounds];
    if (Number.isInteger(value) && value >= least && value <= most) continue;
    const field = `verification.${name}`;
    const detail = { field, expected: `an integer, ${least} to ${most}`, got: String(value) };
    return err(failure("share-out-of-bounds", `${field} is out of its bounds`, detail));
  }
  if (!serviceLevels.includes(terms.leastLevel)) {
    const detail = { field: "verification.leastLevel", expected: serviceLevels.join(", "), got: terms.leastLevel };
    return err(failure("value-out-of-range", "there is no such service level", detail));
  }
  const cost = expectedCheckCost(terms, revenue);
  if (cost <= revenue.pool) return ok(null);
  const checks = pooledChecks(terms).toFixed(1);
  const message = `${checks} checks of a miner's first ${TASKS} tasks cost more than the verification pool gets`;
  const detail = { field: "revenue.pool", expected: `at least ${cost}`, got: String(revenue.pool) };
  return err(failure("share-out-of-bounds", message, detail));
}

/** A level, no less than a domain's least. `value-out-of-range` where less was asked for. */
export function levelIn(
  { leastLevel }: VerificationTerms,
  asked: ServiceLevel | null,
  byDefault: ServiceLevel,
): Result<ServiceLevel, TabgridError> {
  const level = asked ?? byDefault;
  if (serviceLevels.indexOf(level) >= serviceLevels.indexOf(leastLevel)) return ok(level);
  if (asked === null) return ok(leastLevel);
  const detail = { field: "service_level", expected: `${leastLevel} or more`, got: asked };
  const message = `service_level ${asked}: the model's domain gives no less than ${leastLevel}`;
  return err(failure("value-out-of-range", message, detail));
}
