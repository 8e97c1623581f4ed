import type { OwnerId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { greatest, least } from "./apportion.ts";

/** What a domain's verification pool gained from an owner's work, or paid for looking at it. */
export interface CheckCredit {
  domain: string;
  owner: OwnerId;
  /** nano-USDC; below zero where the pool paid. */
  gain: Nano;
}

/**
 * What verification pools have from each owner's work, less what they paid for looking at that work: checks, known answers,
 * rechecks, refutations. Nothing is paid beyond it, so that nobody has the checkers of its own work paid by what the work of
 * others brought in (docs/decisions/checks-paid-by-own-work.md).
 */
export class CheckCredits {
  readonly #credits = new Map<string, CheckCredit>();

  constructor(credits: readonly CheckCredit[] = []) {
    for (const credit of credits) this.add(credit);
  }

  all(): CheckCredit[] {
    return [...this.#credits.values()];
  }

  add({ domain, owner, gain }: CheckCredit): void {
    this.#credits.set(keyOf(domain, owner), { domain, owner, gain: this.of(domain, owner) + gain });
  }

  /** nano-USDC; below zero after answers were overturned. */
  of(domain: string, owner: OwnerId): Nano {
    return this.#credits.get(keyOf(domain, owner))?.gain ?? 0n;
  }

  /**
   * For unpriced checks of a task, beside what the task itself pays into the pool. The price of one execution stays back for
   * the known answer that may take a check's place: if that were paid less, it would show.
   */
  forChecks(domain: string, owner: OwnerId | null, pool: Nano, executionPrice: Nano): Nano {
    return greatest(this.forHub(domain, owner, pool) - executionPrice, 0n);
  }

  /** For what the hub orders for itself; nothing where no owner's work is looked at. */
  forHub(domain: string, owner: OwnerId | null, pool: Nano): Nano {
    return owner === null ? 0n : greatest(least(this.of(domain, owner), pool), 0n);
  }
}

const keyOf = (domain: string, owner: OwnerId): string => `${domain} ${owner}`;
