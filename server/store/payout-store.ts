import { type Kysely, sql } from "kysely";
import { failure, type TabgridError } from "../../shared/errors.ts";
import type { AccountId } from "../../shared/ids.ts";
import type { Asset, Nano } from "../../shared/money.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import type { Transfer } from "../economy/ledger.ts";
import { type Address, claim, emptyBook, type PayoutBook } from "../economy/payouts.ts";
import type { SettlementParts } from "./settlement-store.ts";
import type { Tables } from "./tables.ts";

export interface PayoutAddress {
  account: AccountId;
  address: Address;
  /** The address's signature over what it was asked to say. */
  proof: string;
  at: Millis;
}

export interface PayoutRoot {
  asset: Asset;
  root: string;
  /** Addresses under it. */
  size: number;
  /** On-chain units that the epoch added. */
  total: bigint;
  rail: string;
}

export interface Claim {
  /** The rail's own name of it, a transaction hash: the same claim again is the same claim. */
  reference: string;
  asset: Asset;
  address: Address;
  cumulative: bigint;
}

/** On-chain decimals. */
export const decimalsOf: Record<Asset, number> = { USDC: 6, DN: 18 };

/** Where payouts go, what every epoch's roots promise, and what of it was collected. */
export class PayoutStore {
  readonly #parts: SettlementParts;

  constructor(parts: SettlementParts) {
    this.#parts = parts;
  }

  setAddress({ account, address, proof, at }: PayoutAddress): Promise<void> {
    const row = { account, address, proof, at: BigInt(at) };
    const replace =
      "on conflict (account) do update set address = excluded.address, proof = excluded.proof, at = excluded.at";
    return this.#parts.write((trx) => this.#parts.engine.insertRows(trx, "payout_addresses", [row], replace));
  }

  address(account: AccountId): Promise<PayoutAddress | null> {
    return this.#parts.read(async () => {
      const row = await this.#parts.db
        .selectFrom("payout_addresses")
        .selectAll()
        .where("account", "=", account)
        .executeTakeFirst();
      return row ? { ...row, account, at: Number(row.at) } : null;
    });
  }

  /** Who has an address, with what it holds: `dn:` accounts for DN. */
  payees(asset: Asset): Promise<{ address: Address; account: AccountId; balance: Nano }[]> {
    const held = asset === "USDC" ? sql`payout_addresses.account` : sql`'dn:' || payout_addresses.account`;
    return this.#parts.read(async () => {
      const { rows } = await sql<{ address: Address; account: AccountId; balance: Nano }>`
        select payout_addresses.address, accounts.account, accounts.balance from payout_addresses
        join accounts on accounts.account = ${held} where accounts.balance > 0 order by accounts.account`.execute(
        this.#parts.db,
      );
      return rows;
    });
  }

  /** As it stood after an epoch; claims as they stand now. */
  book(asset: Asset, epoch: number): Promise<PayoutBook> {
    return this.#parts.read(() => readBook(this.#parts.db, asset, epoch));
  }

  roots(epoch: number): Promise<PayoutRoot[]> {
    return this.#parts.read(async () => {
      const query = this.#parts.db.selectFrom("payout_roots").selectAll().where("epoch", "=", BigInt(epoch));
      return (await query.orderBy("asset").execute()).map(({ asset, root, size, total, rail }) => {
        return { asset: asset as Asset, root, size: Number(size), total: BigInt(total), rail };
      });
    });
  }

  /** What an epoch pays out of the ledger, and its root: all of it or nothing. False where that is done already. */
  publish(
    epoch: number,
    transfer: Transfer | null,
    gained: ReadonlyMap<Address, bigint>,
    { asset, root, size, total, rail }: PayoutRoot,
  ): Promise<boolean> {
    return this.#parts.write(async (trx, ledger) => {
      const key = { epoch: BigInt(epoch), asset };
      const known = await trx
        .selectFrom("payout_roots")
        .select("root")
        .where("epoch", "=", key.epoch)
        .where("asset", "=", asset)
        .executeTakeFirst();
      if (known) return false;
      if (transfer) await ledger.post([transfer]);
      const leaves = [...gained].map(([address, amount]) => ({ ...key, address, cumulative: amount.toString() }));
      await this.#parts.engine.insertRows(trx, "payout_leaves", leaves);
      const row = { ...key, root, size: BigInt(size), total: total.toString(), rail };
      await this.#parts.engine.insertRows(trx, "payout_roots", [row]);
      return true;
    });
  }

  /** Refused like `claim`; a claim that is known already changes nothing. */
  claim(
    { reference, asset, address, cumulative }: Claim,
    epoch: number,
    at: Millis,
  ): Promise<Result<null, TabgridError>> {
    return this.#parts.write(async (trx) => {
      const known = await trx
        .selectFrom("payout_claims")
        .selectAll()
        .where("reference", "=", reference)
        .executeTakeFirst();
      if (known?.address === address && known.asset === asset && known.cumulative === String(cumulative))
        return ok(null);
      if (known) {
        const detail = { field: "reference", expected: "the name of one claim", got: reference };
        return err(failure("already-claimed", "another claim was reported under this name", detail));
      }
      const checked = claim(await readBook(trx, asset, epoch), address, cumulative);
      if (!checked.ok) return checked;
      const row = { reference, asset, address, cumulative: cumulative.toString(), at: BigInt(at) };
      await this.#parts.engine.insertRows(trx, "payout_claims", [row]);
      return ok(null);
    });
  }
}

async function readBook(db: Kysely<Tables>, asset: Asset, epoch: number): Promise<PayoutBook> {
  const { rows } = await sql<{ address: Address; cumulative: string }>`
    select address, cumulative from payout_leaves as leaf where asset = ${asset} and epoch =
      (select max(epoch) from payout_leaves as last
        where last.asset = leaf.asset and last.address = leaf.address and last.epoch <= ${BigInt(epoch)})
    order by address`.execute(db);
  const { rows: claims } = await sql<{ address: Address; cumulative: string }>`
    select address, cumulative from payout_claims where asset = ${asset}`.execute(db);
  const claimed = new Map<Address, bigint>();
  for (const { address, cumulative } of claims) {
    const amount = BigInt(cumulative);
    if (amount > (claimed.get(address) ?? 0n)) claimed.set(address, amount);
  }
  const cumulative = new Map(rows.map((row) => [row.address, BigInt(row.cumulative)]));
  return { ...emptyBook(asset, decimalsOf[asset]), cumulative, claimed };
}
