import type { AccountId } from "../../shared/ids.ts";
import type { Asset, Nano } from "../../shared/money.ts";
import { assert } from "../../shared/result.ts";
import { assetOf, mayBeNegative } from "./accounts.ts";
import { assertBalanced, type Transfer } from "./ledger.ts";

/** The ledger's rules over a plain map: what simulations keep their books in, and what the store must come to as well. */
export class PlainBooks {
  readonly #balances = new Map<AccountId, Nano>();
  readonly #posted = new Set<string>();

  balance(account: AccountId): Nano {
    return this.#balances.get(account) ?? 0n;
  }

  has(id: string): boolean {
    return this.#posted.has(id);
  }

  /** A repeated id does nothing; a balance below zero is a bug of who made the transfer. */
  post(transfer: Transfer): void {
    assertBalanced(transfer);
    if (this.#posted.has(transfer.id)) return;
    for (const { account, amount } of transfer.legs) {
      const after = this.balance(account) + amount;
      assert(after >= 0n || mayBeNegative(account), `${transfer.id} leaves ${account} at ${after}`);
    }
    this.#posted.add(transfer.id);
    for (const { account, amount } of transfer.legs) this.#balances.set(account, this.balance(account) + amount);
  }

  /** Of all accounts together: zero, whatever was posted. */
  total(asset: Asset): Nano {
    let total = 0n;
    for (const [account, balance] of this.#balances) if (assetOf(account) === asset) total += balance;
    return total;
  }
}
