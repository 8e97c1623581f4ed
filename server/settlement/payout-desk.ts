import { keccak_256 } from "@noble/hashes/sha3.js";
import { failure, type TabgridError } from "../../shared/errors.ts";
import type { AccountId } from "../../shared/ids.ts";
import type { Asset } from "../../shared/money.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import type { Clock, Millis } from "../../shared/time.ts";
import { type Address, checkAddress, checkPaidOut, payOut, payoutCsv, payoutTree } from "../economy/payouts.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Claim, PayoutAddress, PayoutRoot } from "../store/payout-store.ts";
import type { Store } from "../store/store.ts";
import { signerOf } from "./personal-sign.ts";
import type { PayoutRail } from "./rails.ts";

/** What leaves the ledger: addresses that parties proved, roots that epochs publish, claims that rails report. */
export interface PayoutParts {
  runtime: Pick<Runtime, "between">;
  store: Store;
  clock: Clock;
  /** Null: off. */
  rail: PayoutRail | null;
}

export interface PayoutProof {
  asset: Asset;
  root: string;
  address: Address;
  /** On-chain units. */
  cumulative: bigint;
  claimed: bigint;
  proof: string[];
}

const assets: readonly Asset[] = ["USDC", "DN"];

export class PayoutDesk {
  readonly #parts: PayoutParts;

  constructor(parts: PayoutParts) {
    this.#parts = parts;
  }

  get rail(): PayoutRail | null {
    return this.#parts.rail;
  }

  /** What an address signs (EIP-191 `personal_sign`) to have an account's payouts. */
  message(account: AccountId, address: Address): string {
    return `Tabgrid pays out ${account} to ${address.toLowerCase()}`;
  }

  address(account: AccountId): Promise<PayoutAddress | null> {
    return this.#parts.store.settlement.payouts.address(account);
  }

  /**
   * `proof`: the address's signature over `message`. Later epochs pay there; what was paid stays where it was. `at`: when it was
   * asked for; `stale-nonce` where that is before what holds was asked for, so that no old request brings an old address back.
   */
  async setAddress(
    account: AccountId,
    address: string,
    proof: string,
    at: Millis = this.#parts.clock.now(),
  ): Promise<Result<PayoutAddress, TabgridError>> {
    const paid = checkPaidOut(account);
    if (!paid.ok) return paid;
    const checked = checkAddress(address);
    if (!checked.ok) return checked;
    const signer = signerOf(this.message(account, checked.value), proof);
    if (signer !== checked.value) {
      const detail = { field: "proof", expected: `a signature by ${checked.value}`, got: signer ?? "no signature" };
      return err(failure("bad-signature", "the address did not sign this", detail));
    }
    const before = await this.address(account);
    if (before && at < before.at) {
      const detail = { field: "request.at", expected: `${before.at} or later`, got: String(at) };
      return err(failure("stale-nonce", "the address was set by a later request", detail));
    }
    const set = { account, address: checked.value, proof, at };
    await this.#parts.store.settlement.payouts.setAddress(set);
    return ok(set);
  }

  /** Part of a closing: every whole on-chain unit of whoever has an address leaves the ledger, and the roots say so. */
  async payOut(epoch: number, at: Millis): Promise<void> {
    const { runtime, store, rail } = this.#parts;
    if (!rail) return;
    const { payouts } = store.settlement;
    for (const asset of assets) {
      await runtime.between(async () => {
        const before = await payouts.book(asset, epoch - 1);
        const { book, transfer } = payOut(before, await payouts.payees(asset), epoch, at);
        if (book.cumulative.size === 0) return { value: null, transfers: [] };
        const tree = payoutTree(book.cumulative, keccak_256);
        const gained = new Map([...book.cumulative].filter(([address, sum]) => before.cumulative.get(address) !== sum));
        let total = 0n;
        for (const [address, sum] of gained) total += sum - (before.cumulative.get(address) ?? 0n);
        const root = { asset, root: tree.root, size: book.cumulative.size, total, rail: rail.name };
        const isNew = await payouts.publish(epoch, transfer, gained, root);
        return { value: null, transfers: isNew && transfer ? [transfer] : [] };
      });
      const book = await payouts.book(asset, epoch);
      if (book.cumulative.size > 0) await rail.deliver(epoch, asset, book, payoutTree(book.cumulative, keccak_256));
    }
  }

  roots(epoch: number): Promise<PayoutRoot[]> {
    return this.#parts.store.settlement.payouts.roots(epoch);
  }

  /** Empty where the account had nothing under the epoch's roots. */
  async proofs(epoch: number, account: AccountId): Promise<PayoutProof[]> {
    const { payouts } = this.#parts.store.settlement;
    const set = await payouts.address(account);
    if (!set) return [];
    const { address } = set;
    const proofs: PayoutProof[] = [];
    for (const { asset, root } of await payouts.roots(epoch)) {
      const book = await payouts.book(asset, epoch);
      const cumulative = book.cumulative.get(address);
      if (cumulative === undefined) continue;
      const proof = payoutTree(book.cumulative, keccak_256).proofOf(address);
      proofs.push({ asset, root, address, cumulative, claimed: book.claimed.get(address) ?? 0n, proof });
    }
    return proofs;
  }

  /** One line an address; null where the epoch paid nothing out in this asset. */
  async csv(epoch: number, asset: Asset): Promise<string | null> {
    if (!(await this.roots(epoch)).some((root) => root.asset === asset)) return null;
    const book = await this.#parts.store.settlement.payouts.book(asset, epoch);
    return payoutCsv(book, payoutTree(book.cumulative, keccak_256));
  }

  /** What the rail says was collected. */
  async claim(claim: Claim): Promise<Result<null, TabgridError>> {
    const { store, clock } = this.#parts;
    const { epoch } = await store.settlement.running();
    return store.settlement.payouts.claim(claim, epoch, clock.now());
  }
}
