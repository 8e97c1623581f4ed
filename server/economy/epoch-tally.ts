import type { AccountId, ModelKey } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { accounts } from "./accounts.ts";
import type { HeldTask } from "./held-task.ts";

/**
 * What matured in an epoch. Grows with parties, models and settings, not with tasks. What was settled under one setting of a
 * domain is kept apart from what was settled under the next, so that neither has a claim to what the other paid.
 */
export interface EpochTally {
  /** By `periodKey`. */
  periods: Map<string, PeriodTally>;
}

/** The time in which one setting of a domain holds. */
export interface Period {
  domain: string;
  /** The epoch from which it holds. */
  since: number;
}

/** nano-USDC. */
export interface PeriodTally extends Period {
  revenue: Nano;
  foundation: Nano;
  processor: Nano;
  emission: Nano;
  /** Matured after 72 h, like royalties; the others with the whole task. */
  burn: Nano;
  models: Map<ModelKey, ModelTally>;
}

/** nano-USDC; `work` and `checks` are of `revenue`. */
export interface ModelTally {
  revenue: Nano;
  royalties: Nano;
  work: Map<AccountId, Nano>;
  checks: Map<AccountId, Nano>;
}

export const periodKey = ({ domain, since }: Period): string => `${domain}@${since}`;
export const emptyTally = (): EpochTally => ({ periods: new Map() });

/** The parts that mature after 72 h, whatever becomes of the miners' pay. */
export function countParts(tally: EpochTally, task: HeldTask): void {
  if (task.revenue === 0n) return;
  const period = periodOf(tally, task);
  period.burn += task.burn;
  modelOf(period, task.model).royalties += task.creator;
}

/** The whole task: what emission follows. */
export function countTask(tally: EpochTally, task: HeldTask): void {
  if (task.revenue === 0n) return;
  const period = periodOf(tally, task);
  period.revenue += task.revenue;
  period.foundation += task.foundation;
  period.processor += task.processor;
  period.emission += task.emission;
  const model = modelOf(period, task.model);
  model.revenue += task.revenue;
  const add = (to: Map<AccountId, Nano>, parts: HeldTask["checks"]) => {
    for (const { owner, worth } of parts) {
      const party = accounts.miner(owner);
      if (worth > 0n) to.set(party, (to.get(party) ?? 0n) + worth);
    }
  };
  add(model.work, task.pay);
  add(model.checks, task.checks);
}

export function periodOf({ periods }: EpochTally, period: Period): PeriodTally {
  const key = periodKey(period);
  const known = periods.get(key);
  if (known) return known;
  const { domain, since } = period;
  const amounts = { revenue: 0n, foundation: 0n, processor: 0n, emission: 0n, burn: 0n };
  const fresh = { domain, since, ...amounts, models: new Map() };
  periods.set(key, fresh);
  return fresh;
}

export function modelOf({ models }: PeriodTally, model: ModelKey): ModelTally {
  const known = models.get(model);
  if (known) return known;
  const fresh = { revenue: 0n, royalties: 0n, work: new Map(), checks: new Map() };
  models.set(model, fresh);
  return fresh;
}
