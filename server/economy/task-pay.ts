import type { AssignmentId, OwnerId } from "../../shared/ids.ts";
import { type Nano, split } from "../../shared/money.ts";
import { executionsPriced } from "../../shared/pricing.ts";
import { sum } from "./apportion.ts";
import type { VerifiedExecution, VerifiedTask } from "./verified-task.ts";

/** Pay for one accepted execution of a miner; what was not accepted is reported by verification, with its reason. */
export interface PayLine {
  owner: OwnerId;
  assignment: AssignmentId;
  role: "primary" | "check";
  outcome: "paid" | "unpaid";
  amount: Nano;
  reason: string;
}

type TieBreak = (id: string) => string;

const isPrimary = ({ by, role }: VerifiedExecution): boolean =>
  by !== "reference" && (role === "primary" || role === "hedge");

/** Whoever made a part of a text, the reference node too. */
const isMaker = ({ role }: VerifiedExecution): boolean => role === "primary" || role === "hedge";

const primaryOf = ({ executions }: VerifiedTask): VerifiedExecution | undefined =>
  executions.find((one) => isPrimary(one) && one.accepted) ?? executions.find(isPrimary);

/** Whose work the checks of a task look at; null where only the reference node's. */
export function madeBy(fact: VerifiedTask): OwnerId | null {
  const by = primaryOf(fact)?.by;
  return by === undefined || by === "reference" ? null : by;
}

/**
 * The miners' part is cut into one slot per priced execution, by their work, which is equal but for texts; the first is the
 * primary's, or shared by those who made a text one after the other. What nobody earns stays in the pool, out of which a
 * re-run beyond the priced ones is paid by the same measure. A newcomer's check has no price of its own in `fast`: it is cut
 * out of the primary's part, again by work, which for tensors halves it. What `pool` lacks for a re-run, primary and
 * re-runs share.
 *
 * @param miners the miners' part of the price, nano-USDC
 * @param pool what the verification pool may spend on this task's checks, nano-USDC
 */
export function payLines(fact: VerifiedTask, miners: Nano, pool: Nano, tieBreak: TieBreak): PayLine[] {
  const slots = slotsOf(fact);
  const checkWork = fact.text?.checkWork ?? fact.work;
  const cut = Array.from({ length: slots }, (_, slot) => ({
    id: `execution-${slot}`,
    weight: !fact.text ? 1n : slot === 0 ? fact.work : checkWork,
  }));
  const amounts = [...split(miners, cut, tieBreak).values()];
  const first = amounts[0] as Nano;
  const rate = (work: bigint): Nano => (fact.work > 0n ? (first * work) / fact.work : 0n);

  const made = fact.text ? textShares(fact, first, tieBreak) : new Map([[primaryOf(fact), first]]);
  const taking = fact.executions.filter(({ by, accepted }) => by !== "reference" && accepted);
  const signed = taking.filter((one) => one.signed);
  const makers = signed.filter((one) => made.has(one));
  const checks = signed.filter((one) => !made.has(one) && !isPrimary(one));
  const priced = new Map(checks.slice(0, slots - 1).map((one, at) => [one, amounts[at + 1] as Nano]));
  const unpriced = checks.slice(slots - 1);
  const wanted = {
    makers: sum(makers.map((one) => made.get(one) as Nano)),
    check: fact.text ? rate(checkWork) : miners / BigInt(slots),
  };
  const left = pool + miners - wanted.makers - sum(priced.values());
  const isShort = wanted.check * BigInt(unpriced.length) > left;
  const paid = isShort ? shareOf(fact, makers, unpriced.length, wanted.makers + left) : wanted;

  const lines: PayLine[] = [];
  const line = (one: VerifiedExecution, role: PayLine["role"], amount: Nano, reason: string) => {
    if (one.by === "reference" || one.assignment === null) return;
    const outcome = amount > 0n ? "paid" : "unpaid";
    lines.push({ owner: one.by, assignment: one.assignment, role, outcome, amount, reason });
  };
  for (const one of taking) {
    const role = isPrimary(one) ? "primary" : "check";
    const share = made.get(one);
    if (isPrimary(one) && share === undefined) line(one, role, 0n, "hedge: the other miner's answer came first");
    else if (!signed.includes(one)) line(one, role, 0n, "not signed in time: its part went to the verification pool");
    else if (share !== undefined) {
      const reason = fact.text ? reasonOfPart(one) : reasonOf(role, slots);
      const amount = isShort && share > 0n ? (share * paid.makers) / wanted.makers : share;
      line(one, role, amount, isShort ? `${reason}, less what it shares with its check` : reason);
    } else if (priced.has(one)) line(one, role, priced.get(one) as Nano, reasonOf(role, slots));
  }
  const reason = isShort ? "check: a share of the primary's part and of the verification pool" : BY_POOL;
  for (const one of unpriced) line(one, "check", paid.check, reason);
  payRepeated(fact, lines, isShort ? 0n : left - paid.check * BigInt(unpriced.length), rate);
  return lines;
}

export const BY_POOL = "check, paid by the verification pool";

/** `together` by the work of makers and of so many checkers; rounded down, the rest stays in the pool. */
function shareOf(
  fact: VerifiedTask,
  makers: readonly VerifiedExecution[],
  checkers: number,
  together: Nano,
): { makers: Nano; check: Nano } {
  const checkWork = fact.text ? fact.text.checkWork : 1n;
  const makersWork = fact.text ? sum(makers.map(({ work = 0n }) => work)) : BigInt(makers.length);
  const all = makersWork + checkWork * BigInt(checkers);
  if (all === 0n) return { makers: 0n, check: 0n };
  return { makers: (together * makersWork) / all, check: (together * checkWork) / all };
}

/** Of the miners' part. */
function slotsOf(fact: VerifiedTask): number {
  const { executions, level, text } = fact;
  const isNew = text ? executions.some((one) => isPrimary(one) && one.newcomer) : primaryOf(fact)?.newcomer;
  const isChecked = executions.some((one) => (text ? !isMaker(one) : !isPrimary(one)));
  const priced = executionsPriced(level);
  return priced === 1 && isNew && isChecked ? 2 : priced;
}

/** The makers' slot of a text, by the work of each one's own accepted tokens; the reference node's part is nobody's. */
function textShares(fact: VerifiedTask, amount: Nano, tieBreak: (id: string) => string): Map<VerifiedExecution, Nano> {
  const makers = fact.text ? fact.executions.filter(isMaker) : [];
  if (makers.length === 0) return new Map();
  const cut = makers.map((one, at) => ({ id: `maker-${at}`, weight: one.work ?? 0n }));
  const amounts = [...split(amount, cut, tieBreak).values()];
  return new Map(makers.map((one, at) => [one, amounts[at] as Nano]));
}

/** Who goes on with a text reads it first: whoever left pays that out of what it earns here, then the pool as far as it lasts. */
function payRepeated(fact: VerifiedTask, lines: PayLine[], pool: Nano, rate: (work: bigint) => Nano): void {
  let left = pool;
  const makers = fact.executions.filter(isMaker);
  const lineOf = (one: VerifiedExecution | undefined) =>
    one?.assignment ? lines.find(({ assignment }) => assignment === one.assignment) : undefined;
  for (const [at, one] of makers.entries()) {
    const line = lineOf(one);
    if (!line || line.amount === 0n || !one.repeated) continue;
    const wanted = rate(one.repeated);
    const leaver = one.preempted ? undefined : lineOf(makers[at - 1]);
    const owed = !leaver ? 0n : leaver.amount < wanted ? leaver.amount : wanted;
    if (leaver && owed > 0n) {
      leaver.amount -= owed;
      leaver.reason += "; less what reading it again cost";
      if (leaver.amount === 0n) leaver.outcome = "unpaid";
    }
    const fromPool = wanted - owed <= left ? wanted - owed : 0n;
    left -= fromPool;
    line.amount += owed + fromPool;
  }
}

const reasonOfPart = ({ span }: VerifiedExecution): string =>
  span ? `primary: tokens ${span.from + 1} to ${span.to}` : "primary: the whole text";

const reasonOf = (role: PayLine["role"], slots: number): string =>
  slots === 1 ? `${role}: the whole miners' part` : `${role}: 1/${slots} of the miners' part`;
