import { setImmediate as nextLoop } from "node:timers/promises";
import type { OwnerId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import type { Clock } from "../../shared/time.ts";
import { twap } from "../economy/market.ts";
import { bondedPay } from "../economy/registration.ts";
import { parametersNow } from "../economy-desk/governance-desk.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Matured } from "../store/maturing.ts";
import type { Store } from "../store/store.ts";
import { payClaims } from "./claim-payer.ts";
import type { DomainMap } from "./domain-map.ts";

/**
 * Lets held pay mature: a round goes through all that is due by the domains as they are now, in steps between the turns of
 * the hub. It begins with what customers are still owed.
 */
export interface MaturerParts {
  runtime: Pick<Runtime, "between">;
  store: Store;
  clock: Clock;
  domains: DomainMap;
  /** Takes over what other hubs have changed. */
  catchUp(): Promise<void>;
}

const EVERY_MS = 60_000;

export class Maturer {
  readonly #parts: MaturerParts;
  #timer: NodeJS.Timeout | null = null;
  #round: Promise<void> = Promise.resolve();

  constructor(parts: MaturerParts) {
    this.#parts = parts;
  }

  start(failed: (error: unknown) => void): void {
    this.#timer = setInterval(() => this.round().catch(failed), EVERY_MS);
    this.#timer.unref();
  }

  async close(): Promise<void> {
    if (this.#timer) clearInterval(this.#timer);
    await this.#round.catch(() => {});
  }

  /** Resolves when all that is due now has matured. Rounds wait for one another. */
  round(): Promise<void> {
    const next = this.#round.catch(() => {}).then(() => this.#run());
    this.#round = next;
    return next;
  }

  async #run(): Promise<void> {
    const { runtime, store, clock, catchUp } = this.#parts;
    await catchUp();
    await payClaims(this.#parts);
    const now = clock.now();
    const bonds = await this.#bonds();
    let after: string | null = "";
    while (after !== null) {
      const from: string = after;
      const step: Matured = await runtime.between(async () => {
        const value = await store.settlement.mature({ now, after: from, bonds });
        return { value, transfers: value.transfers };
      });
      after = step.after;
      // A database inside the process answers at once: without this, a long round would let nobody else in.
      await nextLoop();
    }
  }

  /** Of owners whose deposit is short of a domain's minimum: while they are registered, and for the unbonding time after. */
  async #bonds(): Promise<Map<OwnerId, (held: Nano) => Nano>> {
    const { store, clock, domains } = this.#parts;
    const bonds = new Map<OwnerId, (held: Nano) => Nano>();
    if (!domains.names().some((name) => (domains.settings(name)?.minimumCollateral ?? 0n) > 0n)) return bonds;
    const market = (await store.parties.one("market", "market"))?.body;
    const price = market ? twap(market, clock.now()) : null;
    const unbonding = Number((await parametersNow(store.parties, domains.epoch))["staking.unbondingMs"]);
    const registered = await store.parties.all("registration", { state: "registered" });
    const leaving = (await store.parties.all("registration", { state: "leaving" })).filter(
      ({ body: { leftAt } }) => leftAt !== null && clock.now() < leftAt + unbonding,
    );
    for (const { body } of [...registered, ...leaving]) {
      const { owner, domain, deposit } = body;
      const minimum = domains.settings(domain)?.minimumCollateral ?? 0n;
      if (deposit >= minimum) continue;
      const before = bonds.get(owner);
      const bond = (held: Nano): Nano => bondedPay(minimum, deposit, held, price);
      bonds.set(owner, before ? (held) => before(held) + bond(held) : bond);
    }
    return bonds;
  }
}
