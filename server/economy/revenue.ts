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
  pool: [0, WHOLE],
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
  gain(accounts.customerHeld(fact.customer), -fact.price);
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
 * The miners' part is cut into one slot per priced execution; the first is the primary's. What nobody earns stays in the
 * pool, out of which a re-run beyond the priced ones is paid the same as long as the pool lasts. A newcomer's check has
 * no price of its own in `fast`: primary and checker halve the part.
 */
function payLines(fact: VerifiedTask, miners: Nano, pool: Nano, tieBreak: (id: string) => string): PayLine[] {
  const { executions } = fact;
  const primary = executions.find((one) => isPrimary(one) && one.accepted) ?? executions.find(isPrimary);
  const checked = executions.some((one) => !isPrimary(one));
  const priced = executionsPriced(fact.level);
  const slots = priced === 1 && primary?.newcomer && checked ? 2 : priced;
  const equal = Array.from({ length: slots }, (_, slot) => ({ id: `execution-${slot}`, weight: 1n }));
  const amounts = [...split(miners, equal, tieBreak).values()];

  const lines: PayLine[] = [];
  let left = pool + miners;
  let reruns = 0;
  const line = (one: VerifiedExecution, role: PayLine["role"], amount: Nano, reason: string) => {
    if (one.by === "reference" || one.assignment === null) return;
    left -= amount;
    const outcome = amount > 0n ? "paid" : "unpaid";
    lines.push({ owner: one.by, assignment: one.assignment, role, outcome, amount, reason });
  };
  const unpriced: VerifiedExecution[] = [];
  for (const one of executions) {
    if (one.by === "reference" || !one.accepted) continue;
    const role = isPrimary(one) ? "primary" : "check";
    if (isPrimary(one) && one !== primary) line(one, role, 0n, "hedge: the other miner's answer came first");
    else if (!one.signed) line(one, role, 0n, "not signed in time: its part went to the verification pool");
    else if (one === primary) line(one, role, amounts[0] as Nano, reasonOf(role, slots));
    else if (++reruns < slots) line(one, role, amounts[reruns] as Nano, reasonOf(role, slots));
    else unpriced.push(one);
  }
  for (const one of unpriced) {
    const amount = miners / BigInt(slots);
    if (amount <= left) line(one, "check", amount, "check, paid by the verification pool");
    else line(one, "check", 0n, "check: the verification pool is short");
  }
  return lines;
}

const reasonOf = (role: PayLine["role"], slots: number): string =>
  slots === 1 ? `${role}: the whole miners' part` : `${role}: 1/${slots} of the miners' part`;
