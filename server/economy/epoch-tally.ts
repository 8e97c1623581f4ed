import type { AccountId, ModelKey } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { accounts } from "./accounts.ts";
import type { HeldTask } from "./held-task.ts";

/** What matured in an epoch. Grows with parties and models, not with tasks. */
export interface EpochTally {
  domains: Map<string, DomainTally>;
  models: Map<ModelKey, ModelTally>;
}

/** nano-USDC. */
export interface DomainTally {
  revenue: Nano;
  foundation: Nano;
  processor: Nano;
  emission: Nano;
  /** Matured after 72 h, like royalties; the others with the whole task. */
  burn: Nano;
}

export interface ModelTally {
  domain: string;
  revenue: Nano;
  royalties: Nano;
  vwu: bigint;
  work: Map<AccountId, bigint>;
  checks: Map<AccountId, bigint>;
}

export const emptyTally = (): EpochTally => ({ domains: new Map(), models: new Map() });

/** The parts that mature after 72 h, whatever becomes of the miners' pay. */
export function countParts(tally: EpochTally, task: HeldTask): void {
  domainOf(tally, task).burn += task.burn;
  modelOf(tally, task).royalties += task.creator;
}

/** The whole task: what emission follows. */
export function countTask(tally: EpochTally, task: HeldTask): void {
  const domain = domainOf(tally, task);
  domain.revenue += task.revenue;
  domain.foundation += task.foundation;
  domain.processor += task.processor;
  domain.emission += task.emission;
  const model = modelOf(tally, task);
  model.revenue += task.revenue;
  model.vwu += task.vwu;
  const add = (to: Map<AccountId, bigint>, parts: HeldTask["checks"]) => {
    for (const { owner, vwu } of parts) {
      const party = accounts.miner(owner);
      if (vwu > 0n) to.set(party, (to.get(party) ?? 0n) + vwu);
    }
  };
  add(model.work, task.pay);
  add(model.checks, task.checks);
}

function domainOf({ domains }: EpochTally, { domain }: HeldTask): DomainTally {
  const known = domains.get(domain);
  if (known) return known;
  const fresh = { revenue: 0n, foundation: 0n, processor: 0n, emission: 0n, burn: 0n };
  domains.set(domain, fresh);
  return fresh;
}

function modelOf({ models }: EpochTally, { model, domain }: HeldTask): ModelTally {
  const known = models.get(model);
  if (known) return known;
  const fresh = { domain, revenue: 0n, royalties: 0n, vwu: 0n, work: new Map(), checks: new Map() };
  models.set(model, fresh);
  return fresh;
}
