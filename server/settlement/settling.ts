import type { AccountId, ModelKey, OwnerId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Nano } from "../../shared/money.ts";
import { assert } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import type { CheckDone, PoolWork } from "../core/events.ts";
import type { AttestationFact } from "../core/witness.ts";
import { accounts, isDeposit, poolDomain } from "../economy/accounts.ts";
import { type HeldTask, heldPoolWork, heldTask } from "../economy/held-task.ts";
import type { Transfer } from "../economy/ledger.ts";
import { payPoolWork } from "../economy/pool-work.ts";
import { type PayLine, settle } from "../economy/revenue.ts";
import { payWords } from "../economy/witness-pay.ts";
import type { HeldChange } from "../store/held-changes.ts";
import { sha256 } from "../store/sha256.ts";
import { COMMONS, type DomainMap } from "./domain-map.ts";

/** Turns verdicts into postings, and says what of them is held until it matures. */
interface Settled<T> {
  transfer: T;
  lines: PayLine[];
  held: HeldTask | null;
}

export class Settling {
  readonly #domains: DomainMap;
  readonly #pools: Map<string, Nano>;
  readonly #deposits: Map<AccountId, Nano>;

  /** At start: the verification pools' balances by domain, and miners' deposits by account. */
  constructor(
    domains: DomainMap,
    pools: ReadonlyMap<string, Nano>,
    deposits: ReadonlyMap<AccountId, Nano> = new Map(),
  ) {
    this.#domains = domains;
    this.#pools = new Map(pools);
    this.#deposits = new Map(deposits);
  }

  /** Verification pools by domain, as the last posting leaves them. */
  get pools(): ReadonlyMap<string, Nano> {
    return this.#pools;
  }

  /** What an owner has deposited in a model's domain, nano-DN. */
  depositOf(owner: OwnerId, model: ModelKey): Nano {
    return this.#deposits.get(accounts.collateral(this.#domains.domainOf(model), owner)) ?? 0n;
  }

  settle(fact: CheckDone): Settled<Transfer> & { held: HeldTask } {
    const { revenue } = this.#domains.settingsOf(fact.model);
    const settled = settle(fact, revenue, this.#pools.get(revenue.domain) ?? 0n, sha256);
    assert(settled.ok, `a published model's shares are valid, yet: ${settled.ok ? "" : settled.error.message}`);
    this.follow([settled.value.transfer]);
    const held = heldTask(fact, settled.value, null, revenue, this.#domains.sinceOf(fact.model));
    return { transfer: settled.value.transfer, lines: settled.value.pay, held };
  }

  poolWork(fact: PoolWork): Settled<Transfer | null> {
    const { revenue } = this.#domains.settingsOf(fact.model);
    const payment = payPoolWork(fact, revenue, this.#pools.get(revenue.domain) ?? 0n);
    assert(payment.ok, "a published model's shares are valid");
    const { transfer, pay: lines } = payment.value;
    if (transfer) this.follow([transfer]);
    return { transfer, lines, held: heldPoolWork(fact, payment.value, fact.model, revenue.domain) };
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

  /** Keeps pools and deposits in step with what others post. */
  follow(transfers: readonly Transfer[]): void {
    for (const { account, amount } of transfers.flatMap(({ legs }) => legs)) {
      const domain = poolDomain(account);
      if (domain !== null) this.#pools.set(domain, (this.#pools.get(domain) ?? 0n) + amount);
      if (isDeposit(account)) this.#deposits.set(account, (this.#deposits.get(account) ?? 0n) + amount);
    }
  }
}
