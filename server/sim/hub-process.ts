import type { OwnerId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import type { Rng } from "../../shared/random.ts";
import { assert } from "../../shared/result.ts";
import type { CheckPolicy } from "../core/check-policy.ts";
import type { CoreModel, HubEffect, HubEvent } from "../core/events.ts";
import { step } from "../core/hub.ts";
import type { ProbeSet } from "../core/probes.ts";
import { HubState } from "../core/state.ts";
import type { Ground } from "../core/trust.ts";
import { accounts, heldPayOwner } from "../economy/accounts.ts";
import { voidHold } from "../economy/holds.ts";
import { Books } from "./books.ts";
import { postings } from "./postings.ts";
import type { Watcher } from "./watcher.ts";

export type CrashPoint = "before" | "after";

export interface HubProcessOptions {
  models: CoreModel[];
  referenceBacklog: number;
  checks?: CheckPolicy;
  /** Number of a commit → whether the process dies before or after it. */
  crashes?: ReadonlyMap<number, CrashPoint>;
}

/** What a turn asks of the world, or that the process died in it. */
export type Turn = { died: false; effects: readonly HubEffect[]; wakeAt: number | null } | { died: true };

/** The loop of server/runtime/runtime.ts with the books in the store's place: step, commit, send; and it can die at a commit. */
export class HubProcess {
  readonly books: Books;
  state: HubState;
  commits = 0;
  crashes = 0;
  readonly #options: HubProcessOptions;
  readonly #rng: Rng;
  readonly #watchers: readonly Watcher[];
  #inbox: HubEvent[] = [];
  #quarantined: Ground[] = [];
  /** As server/runtime/probes.ts keeps them. */
  readonly #probes = new Map<string, ProbeSet>();

  constructor(options: HubProcessOptions, rng: Rng, watchers: readonly Watcher[], now: number) {
    this.#options = options;
    this.#rng = rng;
    this.#watchers = watchers;
    this.books = new Books((transfer) => this.#tell((watcher) => watcher.posted(transfer)));
    this.state = this.#start(now);
  }

  get hasWork(): boolean {
    return this.#inbox.length > 0;
  }

  report(event: HubEvent): void {
    this.#inbox.push(event);
  }

  renewProbes(set: ProbeSet, at: number): void {
    this.#probes.set(set.model, set);
    this.report({ kind: "probes.renewed", at, set });
  }

  turn(now: number): Turn {
    const { effects, wakeAt } = step(this.state, this.#inbox.splice(0), this.#rng);
    const { pool, transfers, standings, credits } = postings(effects, this.books, now);
    const isDurable = transfers.length + standings.length > 0;
    if (isDurable) this.commits++;
    const crash = isDurable ? this.#options.crashes?.get(this.commits) : undefined;
    if (crash === "before") return this.#die(now);
    this.books.commit(transfers, standings, credits);
    assert(this.books.balance(accounts.pool("commons")) === pool, "the pool is not what its postings say");
    for (const effect of effects) this.#committed(effect);
    const gains = new Map<OwnerId, Nano>();
    for (const { account, amount } of transfers.flatMap(({ legs }) => legs)) {
      const owner = heldPayOwner(account);
      if (owner) gains.set(owner, (gains.get(owner) ?? 0n) + amount);
    }
    for (const [owner, amount] of gains) this.report({ kind: "owner.paid", at: now, owner, amount });
    return crash === "after" ? this.#die(now) : { died: false, effects, wakeAt };
  }

  #tell(say: (watcher: Watcher) => void): void {
    for (const watcher of this.#watchers) say(watcher);
  }

  /** All that was not committed is gone, and it starts from the books. */
  #die(now: number): Turn {
    this.crashes++;
    this.#inbox = [];
    this.#tell((watcher) => watcher.crashed());
    const open = this.books.openHolds().map((held) => voidHold(held, now));
    this.books.commit(open, []);
    this.state = this.#start(now);
    return { died: true };
  }

  #start(at: number): HubState {
    const { models, checks, referenceBacklog } = this.#options;
    for (const model of models) this.report({ kind: "model.published", at, model });
    for (const set of this.#probes.values()) this.report({ kind: "probes.renewed", at, set });
    for (const ground of this.#quarantined) this.report({ kind: "class.ruled", at, ground, quarantined: true });
    return new HubState({ idPrefix: `${this.crashes}x`, referenceServes: true, referenceBacklog, checks });
  }

  /** What the books and their readers know once the batch is in. */
  #committed(effect: HubEffect): void {
    switch (effect.kind) {
      case "check-done": {
        const { task, basis, executions } = effect.fact;
        const accepted = executions.flatMap(({ accepted, assignment }) => (accepted && assignment ? [assignment] : []));
        return this.#tell((watcher) => watcher.settled(task, basis, accepted));
      }
      case "overturned":
        return this.#tell((watcher) => watcher.overturned(effect.fact.task, effect.fact.owner, effect.fact.assignment));
      case "case-opened":
        return this.#tell((watcher) => watcher.suspended(effect.opened.owner, effect.opened.case));
      case "case-withdrawn":
        return this.#tell((watcher) => watcher.restored(effect.owner, "withdrawn"));
      case "case-closed": {
        const { owner, ruling } = effect.decision;
        if (ruling !== "severe") this.#tell((watcher) => watcher.restored(owner, ruling));
        return;
      }
      case "class-quarantined":
        this.#quarantined.push(effect.ground);
        return this.#tell((watcher) => watcher.quarantined(effect.owners));
      case "work":
        if (effect.outcome === "refuted") {
          this.#tell((watcher) => watcher.refuted(effect.owner, effect.assignment));
        }
    }
  }
}
