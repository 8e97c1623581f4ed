import type { TabgridError } from "../../shared/errors.ts";
import type { CustomerId, OwnerId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { ok, type Result } from "../../shared/result.ts";
import type { Clock } from "../../shared/time.ts";
import { accounts } from "../economy/accounts.ts";
import { checkCovered } from "../economy/amount.ts";
import { hex, legsOf, type Transfer } from "../economy/ledger.ts";
import { noCustomer } from "../economy-desk/desk.ts";
import { sha256 } from "../store/sha256.ts";
import type { Store } from "../store/store.ts";

/** Earnings as API balance: matured pay of an owner becomes what a customer may spend. */
export class EarningsDesk {
  readonly #parts: { store: Store; clock: Clock; posted(transfers: readonly Transfer[]): void };

  constructor(parts: { store: Store; clock: Clock; posted(transfers: readonly Transfer[]): void }) {
    this.#parts = parts;
  }

  async balances(owner: OwnerId): Promise<{ held: Nano; available: Nano; dn: Nano }> {
    const names = [accounts.minerHeld(owner), accounts.miner(owner), accounts.dn(accounts.miner(owner))] as const;
    const balances = await this.#parts.store.settlement.balances(names);
    const [held = 0n, available = 0n, dn = 0n] = names.map((name) => balances.get(name));
    return { held, available, dn };
  }

  /** `request`: what the owner signed; the same again moves nothing. Resolves with what the owner has left. */
  async spend(
    owner: OwnerId,
    customer: CustomerId,
    amount: Nano,
    request: string,
  ): Promise<Result<{ available: Nano }, TabgridError>> {
    const { store, clock } = this.#parts;
    if (!(await store.customer(customer))) {
      return noCustomer("customer", customer);
    }
    const at = clock.now();
    const from = accounts.miner(owner);
    const inputHash = hex(sha256(request));
    const acted = await store.parties.act<{ available: Nano }>(
      { key: `${owner} ${inputHash}`, inputHash, at },
      async (books) => {
        const balance = await books.balance(from);
        const covered = checkCovered(amount, balance, from, "amount");
        if (!covered.ok) return covered;
        const gains = new Map([
          [from, -amount],
          [accounts.customer(customer), amount],
        ]);
        const transfer: Transfer = { id: `spend:${inputHash}`, kind: "spend", at, task: null, legs: legsOf(gains) };
        const audit = [{ at, actor: from, action: "earnings-spent", subject: owner, detail: { amount: `${amount}` } }];
        return ok({ reply: { available: balance - amount }, transfers: [transfer], audit });
      },
    );
    if (!acted.ok) return acted;
    if (!acted.value.repeated) this.#parts.posted(acted.value.transfers ?? []);
    return ok(acted.value.reply);
  }
}
