import type { AccountId, ModelKey, OwnerId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Nano } from "../../shared/money.ts";
import { executionsPriced } from "../../shared/pricing.ts";
import { assert } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import type { CheckDone, PoolWork } from "../core/events.ts";
import type { AttestationFact } from "../core/witness.ts";
import { accounts, isDeposit, poolDomain } from "../economy/accounts.ts";
import { type CheckCredit, CheckCredits } from "../economy/check-credit.ts";
import { heldPoolWork, heldTask } from "../economy/held-task.ts";
import type { Transfer } from "../economy/ledger.ts";
import { payPoolWork } from "../economy/pool-work.ts";
import { settle } from "../economy/revenue.ts";
import { madeBy, type PayLine } from "../economy/task-pay.ts";
import { payWords } from "../economy/witness-pay.ts";
import type { HeldChange } from "../store/held-changes.ts";
import { sha256 } from "../store/sha256.ts";
import { COMMONS, type DomainMap } from "./domain-map.ts";

/** Turns verdicts into postings, and says what of them is held until it matures and what checks may cost from then on. */
interface Settled<T> {
  transfer: T;
  lines: PayLine[];
  held: HeldChange[];
}

/** What stood in the books at start. */
export interface Funds {
  /** Balances of verification pools by domain. */
  pools: ReadonlyMap<string, Nano>;
  /** Of miners, by account. */
  deposits: ReadonlyMap<AccountId, Nano>;
  credits: readonly CheckCredit[];
}

export class Settling {
  readonly #domains: DomainMap;
  readonly #pools: Map<string, Nano>;
  readonly #deposits: Map<AccountId, Nano>;
  readonly #credits: CheckCredits;

  constructor(domains: DomainMap, { pools, deposits, credits }: Funds) {
    this.#domains = domains;
    this.#pools = new Map(pools);
    this.#deposits = new Map(deposits);
    this.#credits = new CheckCredits(credits);
  }

  /** Verification pools by domain, as the last posting leaves them. */
  get pools(): ReadonlyMap<string, Nano> {
    return this.#pools;
  }

  /** What an owner has deposited in a model's domain, nano-DN. */
  depositOf(owner: OwnerId, model: ModelKey): Nano {
    return this.#deposits.get(accounts.collateral(this.#domains.domainOf(model), owner)) ?? 0n;
  }

  settle(fact: CheckDone): Settled<Transfer> {
    const { revenue } = this.#domains.settingsOf(fact.model);
    const { domain } = revenue;
    const execution = fact.price / BigInt(executionsPriced(fact.level));
    const forChecks = this.#credits.forChecks(domain, madeBy(fact), this.#poolOf(domain), execution);
    const settled = settle(fact, revenue, forChecks, sha256);
    assert(settled.ok, `a published model's shares are valid, yet: ${settled.ok ? "" : settled.error.message}`);
    const { transfer, pay: lines, poolGain } = settled.value;
    this.follow([transfer]);
    const held = heldTask(fact, settled.value, null, revenue, this.#domains.sinceOf(fact.model));
    const credited = this.#credited(domain, settled.value.madeBy, poolGain, transfer);
    return { transfer, lines, held: [{ kind: "settled", held, by: transfer.id }, ...credited] };
  }

  poolWork(fact: PoolWork): Settled<Transfer | null> {
    const { revenue } = this.#domains.settingsOf(fact.model);
    const { domain } = revenue;
    const payment = payPoolWork(fact, revenue, this.#credits.forHub(domain, fact.subject, this.#poolOf(domain)));
    assert(payment.ok, "a published model's shares are valid");
    const { transfer, pay: lines, poolGain } = payment.value;
    if (!transfer) return { transfer, lines, held: [] };
    this.follow([transfer]);
    const held = heldPoolWork(fact, payment.value, fact.model, domain);
    const settled: HeldChange[] = held ? [{ kind: "settled", held, by: transfer.id }] : [];
    return { transfer, lines, held: [...settled, ...this.#credited(domain, fact.subject, poolGain, transfer)] };
  }

  #poolOf(domain: string): Nano {
    return this.#pools.get(domain) ?? 0n;
  }

  #credited(domain: string, owner: OwnerId | null, gain: Nano, { id: by }: Transfer): HeldChange[] {
    if (owner === null || gain === 0n) return [];
    this.#credits.add({ domain, owner, gain });
    return [{ kind: "credited", domain, owner, gain, by }];
  }

  /** A validator's words on availability; `words`: all that it ever gave. */
  words(fact: { owner: OwnerId; words: number; at: Millis }, perPayment: number): Transfer | null {
    const paid = payWords(fact, perPayment, COMMONS, this.#pools.get(COMMONS) ?? 0n);
    if (paid) this.follow([paid.transfer]);
    return paid?.transfer ?? null;
  }

  /** A word that found a miner present stands for the time between two words. */
  available({ owner, models, present }: Pick<AttestationFact, "owner" | "models" | "present">): HeldChange[] {
    if (!present) return [];
    const ms = BigInt(limits.witnessEveryMs);
    return models.map((model) => ({ kind: "available", owner, model, domain: this.#domains.domainOf(model), ms }));
  }

  /** Keeps pools, deposits and credits in step with what others write. */
  follow(transfers: readonly Transfer[], changes: readonly HeldChange[] = []): void {
    for (const change of changes) if (change.kind === "credited") this.#credits.add(change);
    for (const { account, amount } of transfers.flatMap(({ legs }) => legs)) {
      const domain = poolDomain(account);
      if (domain !== null) this.#pools.set(domain, (this.#pools.get(domain) ?? 0n) + amount);
      if (isDeposit(account)) this.#deposits.set(account, (this.#deposits.get(account) ?? 0n) + amount);
    }
  }
}
