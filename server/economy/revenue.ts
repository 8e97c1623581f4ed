import { failure, type TabgridError } from "../../shared/errors.ts";
import type { AccountId, AssignmentId, OwnerId } from "../../shared/ids.ts";
import { type Nano, split } from "../../shared/money.ts";
import { executionsPriced } from "../../shared/pricing.ts";
import { assert, err, ok, type Result } from "../../shared/result.ts";
import { accounts } from "./accounts.ts";
import { hex, legsOf, type Sha256, type Transfer } from "./ledger.ts";
import type { VerifiedExecution, VerifiedTask } from "./verified-task.ts";

/**
 * Who gets what of a verified task: the table of ../shared/money.md, "Revenue of one verified task". Shares are hundredths
 * of a per cent of the gross price.
 */
export interface DomainRevenue {
  domain: string;
  /** Buys DN and burns it; fixed. */
  burn: number;
  /** Fixed. */
  foundation: number;
  /** y: fees and payment processors. */
  processor: number;
  /** v: verification pool. */
  pool: number;
  /** o: domain owner. */
  owner: number;
  /** z: paid out with the epoch's emission. */
  emission: number;
  /** d: burned on top of `burn`. */
  variableBurn: number;
}

export const commonsRevenue: DomainRevenue = {
  domain: "commons",
  burn: 100,
  foundation: 100,
  processor: 300,
  pool: 800,
  owner: 0,
  emission: 0,
  variableBurn: 0,
};

/** The shares of one model version, which sum to the whole. */
export interface RevenueTable extends DomainRevenue {
  /** x, fixed at mint of the version. */
  creator: number;
  /** The rest. */
  miners: number;
}

const WHOLE = 10_000;

/** Inclusive bounds; x is the creator's own choice as far as the miners' least part allows. */
const bounds: Record<Exclude<keyof RevenueTable, "domain">, [number, number]> = {
  burn: [100, 100],
  foundation: [100, 100],
  processor: [0, 1_000],
  creator: [0, WHOLE],
  // What the policy's checks cost on average over a miner's first 1,000 tasks.
  pool: [730, WHOLE],
  owner: [0, 1_000],
  emission: [0, WHOLE],
  variableBurn: [0, WHOLE],
  miners: [3_000, WHOLE],
};
const parts = Object.keys(bounds) as (keyof typeof bounds)[];

/** Joins a domain's shares with a model's royalty; `value-out-of-range` where the two leave a part outside its bounds. */
export function revenueTable(revenue: DomainRevenue, royaltyBasisPoints: number): Result<RevenueTable, TabgridError> {
  const { burn, foundation, processor, pool, owner, emission, variableBurn } = revenue;
  const taken = royaltyBasisPoints + burn + foundation + processor + pool + owner + emission + variableBurn;
  const table = { ...revenue, creator: royaltyBasisPoints, miners: WHOLE - taken };
  for (const part of parts) {
    const [least, most] = bounds[part];
    const share = table[part];
    if (Number.isInteger(share) && share >= least && share <= most) continue;
    const field = part === "creator" ? "royaltyBasisPoints" : `revenue.${part}`;
    const message =
      part === "miners" ? "the shares leave too little to the miners" : `the share of ${part} is out of its bounds`;
    const expected = least === most ? `${least}` : `an integer, ${least} to ${most}, in hundredths of a per cent`;
    return err(failure("value-out-of-range", message, { field, expected, got: String(share) }));
  }
  return ok(table);
}

/** Pay for one accepted execution of a miner; what was not accepted is reported by verification, with its reason. */
export interface PayLine {
  owner: OwnerId;
  assignment: AssignmentId;
  role: "primary" | "check";
  outcome: "paid" | "unpaid";
  amount: Nano;
  reason: string;
}

export interface Settlement {
  transfer: Transfer;
  pay: PayLine[];
  /** What the domain's verification pool gains; negative where it pays a check. */
  poolGain: Nano;
}

/**
 * The postings of a verified task, out of the customer's hold. `pool` is the balance of the verification pool before.
 * Executions come in the order of their results. Refused like `revenueTable`.
 */
export function settle(
  fact: VerifiedTask,
  revenue: DomainRevenue,
  pool: Nano,
  sha256: Sha256,
): Result<Settlement, TabgridError> {
  const table = revenueTable(revenue, fact.royaltyBasisPoints);
  if (!table.ok) return table;
  assert(fact.price > 0n, `price of ${fact.task} is ${fact.price}`);
  const tieBreak = (id: string): string => hex(sha256(`${fact.task}:${id}`));
  const shares = parts.map((id) => ({ id, weight: BigInt(table.value[id]) }));
  const amounts = split(fact.price, shares, tieBreak);
  const part = (id: (typeof parts)[number]): Nano => amounts.get(id) ?? 0n;

  const pay = payLines(fact, part("miners"), pool + part("pool"), tieBreak);
  const paid = pay.reduce((sum, line) => sum + line.amount, 0n);
  const poolGain = part("pool") + part("miners") - paid;

  const gains = new Map<AccountId, Nano>();
  const gain = (account: AccountId, amount: Nano) => gains.set(account, (gains.get(account) ?? 0n) + amount);
  const { domain } = revenue;
  const held = fact.text?.held ?? fact.price;
  assert(held >= fact.price, `${fact.task} costs ${fact.price}, of which ${held} is held`);
  gain(accounts.customerHeld(fact.customer), -held);
  gain(accounts.customer(fact.customer), held - fact.price);
  gain(accounts.burn(domain), part("burn") + part("variableBurn"));
  gain(accounts.foundation, part("foundation"));
  gain(accounts.processor, part("processor"));
  gain(accounts.creator(fact.creator), part("creator"));
  gain(accounts.domain(domain), part("owner"));
  gain(accounts.emission(domain), part("emission"));
  gain(accounts.pool(domain), poolGain);
  for (const line of pay) gain(accounts.minerHeld(line.owner), line.amount);
  const transfer: Transfer = {
    id: `settle:${fact.task}`,
    kind: "settle",
    at: fact.at,
    task: fact.task,
    legs: legsOf(gains),
  };
  return ok({ transfer, pay, poolGain });
}

const isPrimary = ({ by, role }: VerifiedExecution): boolean =>
  by !== "reference" && (role === "primary" || role === "hedge");

/**
 * The miners' part is cut into one slot per priced execution, by their work, which is equal but for texts; the first is the
 * primary's, or shared by those who made a text one after the other. What nobody earns stays in the pool, out of which a
 * re-run beyond the priced ones is paid by the same measure as long as the pool lasts. A newcomer's check has no price of its
 * own in `fast`: it is cut out of the primary's part, again by work, which for tensors halves it.
 */
function payLines(fact: VerifiedTask, miners: Nano, pool: Nano, tieBreak: (id: string) => string): PayLine[] {
  const { executions } = fact;
  const primary = executions.find((one) => isPrimary(one) && one.accepted) ?? executions.find(isPrimary);
  const isNew = fact.text ? executions.some((one) => isPrimary(one) && one.newcomer) : primary?.newcomer;
  const checked = executions.some((one) => (fact.text ? !isMaker(one) : !isPrimary(one)));
  const priced = executionsPriced(fact.level);
  const slots = priced === 1 && isNew && checked ? 2 : priced;
  const checkWork = fact.text?.checkWork ?? fact.work;
  const cut = Array.from({ length: slots }, (_, slot) => ({
    id: `execution-${slot}`,
    weight: !fact.text ? 1n : slot === 0 ? fact.work : checkWork,
  }));
  const amounts = [...split(miners, cut, tieBreak).values()];
  const first = amounts[0] as Nano;

  const lines: PayLine[] = [];
  let left = pool + miners;
  let reruns = 0;
  const line = (one: VerifiedExecution, role: PayLine["role"], amount: Nano, reason: string) => {
    if (one.by === "reference" || one.assignment === null) return;
    left -= amount;
    const outcome = amount > 0n ? "paid" : "unpaid";
    lines.push({ owner: one.by, assignment: one.assignment, role, outcome, amount, reason });
  };
  const shares = textShares(fact, first, tieBreak);
  const unpriced: VerifiedExecution[] = [];
  for (const one of executions) {
    if (one.by === "reference" || !one.accepted) continue;
    const role = isPrimary(one) ? "primary" : "check";
    const share = shares.get(one);
    if (isPrimary(one) && one !== primary && share === undefined)
      line(one, role, 0n, "hedge: the other miner's answer came first");
    else if (!one.signed) line(one, role, 0n, "not signed in time: its part went to the verification pool");
    else if (share !== undefined) line(one, role, share, reasonOfPart(one));
    else if (one === primary) line(one, role, first, reasonOf(role, slots));
    else if (++reruns < slots) line(one, role, amounts[reruns] as Nano, reasonOf(role, slots));
    else unpriced.push(one);
  }
  const rate = (work: bigint): Nano => (fact.work > 0n ? (first * work) / fact.work : 0n);
  for (const one of unpriced) {
    const amount = fact.text ? rate(checkWork) : miners / BigInt(slots);
    if (amount <= left) line(one, "check", amount, "check, paid by the verification pool");
    else line(one, "check", 0n, "check: the verification pool is short");
  }
  payRepeated(fact, lines, left, rate);
  return lines;
}

/** Whoever made a part of a text, the reference node too. */
const isMaker = ({ role }: VerifiedExecution): boolean => role === "primary" || role === "hedge";

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
