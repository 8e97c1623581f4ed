import { failure, type TabgridError } from "../../shared/errors.ts";
import type { AccountId, OwnerId } from "../../shared/ids.ts";
import { type Nano, split } from "../../shared/money.ts";
import { assert, err, ok, type Result } from "../../shared/result.ts";
import { accounts } from "./accounts.ts";
import { hex, legsOf, type Sha256, type Transfer } from "./ledger.ts";
import { madeBy, type PayLine, payLines } from "./task-pay.ts";
import type { VerifiedTask } from "./verified-task.ts";

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

export interface Settlement {
  transfer: Transfer;
  pay: PayLine[];
  /** What the domain's verification pool gains; negative where it pays a check. */
  poolGain: Nano;
  /** Whose work that is on account of: checks are paid out of what an owner's own work brought in (check-credit.ts). */
  madeBy: OwnerId | null;
}

/**
 * The postings of a verified task, out of the customer's hold. `pool` is what the verification pool may spend on checks of this
 * task beside what the task pays into it. Executions come in the order of their results. Refused like `revenueTable`.
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
  return ok({ transfer, pay, poolGain, madeBy: madeBy(fact) });
}
