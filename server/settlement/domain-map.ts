import type { ModelKey } from "../../shared/ids.ts";
import { assert } from "../../shared/result.ts";
import { type CheckPolicy, commonsChecks } from "../core/check-policy.ts";
import { commonsSettings, type DomainSettings, type DomainTimeline, entryAt } from "../economy/domains.ts";

const WHOLE = 10_000;

/** Where a model is published that names no other domain. */
export const COMMONS = "commons";

/**
 * Which domain a model version is published in, and what holds there in the running epoch. Every quote and settlement asks
 * it, so it answers from memory; the store holds the truth.
 */
export class DomainMap {
  readonly #timelines = new Map<string, DomainTimeline>([[COMMONS, [{ from: 0, settings: commonsSettings }]]]);
  readonly #published = new Map<ModelKey, string>();
  /** Models whose miners' pay open pledges raise. */
  readonly wanted = new Set<ModelKey>();
  /** The running one. */
  epoch = 0;

  /** A version never moves to another domain. */
  publish(model: ModelKey, domain: string): void {
    this.#published.set(model, domain);
  }

  change(domain: string, timeline: DomainTimeline): void {
    this.#timelines.set(domain, timeline);
  }

  domainOf(model: ModelKey): string {
    return this.#published.get(model) ?? COMMONS;
  }

  has(domain: string): boolean {
    return this.settings(domain) !== null;
  }

  /** Null where there is no such domain yet. */
  settings(domain: string): DomainSettings | null {
    return this.#now(domain)?.settings ?? null;
  }

  /** Of the model's domain. */
  settingsOf(model: ModelKey): DomainSettings {
    const domain = this.domainOf(model);
    const settings = this.settings(domain);
    assert(settings, `${model} is published in ${domain}, which has no settings in epoch ${this.epoch}`);
    return settings;
  }

  /** The epoch from which these settings of the model's domain hold. */
  sinceOf(model: ModelKey): number {
    return this.#now(this.domainOf(model))?.from ?? 0;
  }

  #now(domain: string): DomainTimeline[number] | null {
    return entryAt(this.#timelines.get(domain) ?? [], this.epoch);
  }

  /** All that have begun, `commons` first. */
  names(): string[] {
    return [...this.#timelines.keys()].filter((domain) => this.has(domain));
  }
}

/** The policy as a domain has it: what it does not decide is that of `commons`. */
export function checksUnder({ verification, revenue }: DomainSettings): CheckPolicy {
  const { burn, foundation, processor, pool, owner, emission, variableBurn } = revenue;
  const least = verification.checkRate / WHOLE;
  const referenceShare = verification.referenceShare / WHOLE;
  return {
    ...commonsChecks,
    newcomerPasses: verification.newcomerPasses,
    earlyRate: Math.max(commonsChecks.earlyRate, least),
    trustedRate: least,
    cheapCheckRate: Math.max(commonsChecks.cheapCheckRate, least),
    referenceShare,
    referenceShareLocal: Math.max(commonsChecks.referenceShareLocal, referenceShare),
    deductedBasisPoints: burn + foundation + processor + pool + owner + emission + variableBurn,
  };
}
