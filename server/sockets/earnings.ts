import type { AccountId, OwnerId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import type { AccountUpdate, WorkLine } from "../../shared/protocol.ts";
import type { HubState } from "../core/state.ts";
import { trustOf } from "../core/trust.ts";
import { accounts, heldPayOwner } from "../economy/accounts.ts";
import type { Change, Observer } from "../runtime/change.ts";
import type { Store } from "../store/store.ts";

/**
 * What each present miner has earned and why, told at most once a second. Balances are read from the ledger when a miner
 * connects and carried on by its own postings.
 */

const TELL_EVERY_MS = 1_000;
const LINES_KEPT = 256;

interface Earnings {
  held: Nano;
  available: Nano;
  tasks: number;
  untold: WorkLine[];
  told: boolean;
}

export class EarningsFeed implements Observer {
  readonly #byOwner = new Map<OwnerId, Earnings>();
  readonly #state: HubState;
  readonly #store: Store;
  readonly #send: (owner: OwnerId, update: AccountUpdate) => void;
  readonly #timer: NodeJS.Timeout;

  constructor(state: HubState, store: Store, send: (owner: OwnerId, update: AccountUpdate) => void) {
    this.#state = state;
    this.#store = store;
    this.#send = send;
    this.#timer = setInterval(() => this.#tell(), TELL_EVERY_MS);
    this.#timer.unref();
  }

  /** Before the miner is welcomed; what was posted meanwhile is in the balance that is read. */
  async open(owner: OwnerId): Promise<void> {
    const known = this.#byOwner.get(owner);
    if (known) {
      known.told = false;
      return;
    }
    const [held, available] = await Promise.all([
      this.#store.account(accounts.minerHeld(owner)),
      this.#store.account(accounts.miner(owner)),
    ]);
    this.#byOwner.set(owner, {
      held: held?.balance ?? 0n,
      available: available?.balance ?? 0n,
      tasks: held?.entries ?? 0,
      untold: [],
      told: false,
    });
  }

  of(owner: string): Nano {
    const earnings = this.#byOwner.get(owner as OwnerId);
    return earnings ? earnings.held + earnings.available : 0n;
  }

  committed(change: Change): void {
    for (const { account, amount } of change.transfers.flatMap(({ legs }) => legs)) this.#move(account, amount);
    for (const [owner, lines] of change.pay) {
      const earnings = this.#byOwner.get(owner);
      if (!earnings) continue;
      for (const line of lines) {
        if (line.outcome === "paid") earnings.tasks++;
      }
      earnings.untold = [...earnings.untold, ...lines].slice(-LINES_KEPT);
      earnings.told = false;
    }
    for (const { owner } of change.attested) {
      const earnings = this.#byOwner.get(owner);
      if (earnings) earnings.told = false;
    }
  }

  #move(account: AccountId, amount: Nano): void {
    const holder = heldPayOwner(account);
    const earnings = this.#byOwner.get(holder ?? (account.replace(/^miner:/, "") as OwnerId));
    if (!earnings || !account.startsWith("miner:")) return;
    if (holder) earnings.held += amount;
    else earnings.available += amount;
    earnings.told = false;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #tell(): void {
    const { roster } = this.#state;
    const present = new Map([...roster.sessions.values()].map(({ owner, seen }) => [owner, seen]));
    for (const [owner, earnings] of this.#byOwner) {
      const standing = roster.standings.get(owner);
      if (earnings.told || !standing) continue;
      const { held, available, tasks, untold } = earnings;
      this.#send(owner, {
        trust: trustOf(standing),
        held: held.toString(),
        available: available.toString(),
        tasks,
        seen: present.get(owner),
        work: untold,
      });
      earnings.untold = [];
      earnings.told = true;
    }
    // Owners who left and have nothing untold take no memory.
    for (const [owner, { told }] of this.#byOwner) if (told && !present.has(owner)) this.#byOwner.delete(owner);
  }
}
