import type { Dialect, RawBuilder, Transaction } from "kysely";
import type { AccountId } from "../../shared/ids.ts";
import type { Asset, Nano } from "../../shared/money.ts";
import type { TableName, Tables } from "./tables.ts";

export type EngineKind = "sqlite" | "postgres";

/** What an account gains in one batch, over `entries` legs. */
export interface Gain {
  account: AccountId;
  asset: Asset;
  overdraft: boolean;
  amount: Nano;
  entries: number;
}

/**
 * The little in which the two databases differ: Kysely's dialect, and writing many rows at once, where a statement per
 * row is the fastest way in one and the slowest in the other.
 */
export interface Engine {
  readonly kind: EngineKind;
  /** For messages: `the database /data/tabgrid.db`. */
  readonly name: string;
  readonly schema: string | undefined;
  readonly dialect: Dialect;
  /** Makes this process the only writer of what is the hub's own; StoreError `locked` where another is. */
  lock(): Promise<void>;
  /** Appends rows that all have the same columns. `onConflict`: SQL after the values, portable. */
  insertRows<Table extends TableName>(
    trx: Transaction<Tables>,
    table: Table,
    rows: readonly Tables[Table][],
    onConflict?: string,
  ): Promise<void>;
  /** Opens accounts that are new and adds to all; `gains` in order of account. */
  addToBalances(trx: Transaction<Tables>, gains: readonly Gain[]): Promise<void>;
  /** `column in (values)` whose text does not depend on how many there are. */
  isOneOf(column: string, values: readonly string[]): RawBuilder<boolean>;
  /** Locks what a select reads until the transaction ends; nothing where there is only one writer. */
  readonly forUpdate: RawBuilder<unknown>;
  /** Damaged pages and indexes, one sentence each. */
  findDamage(): Promise<string[]>;
  /** What a thrown error means for the person at the terminal, where that is known. */
  explain(error: unknown): unknown;
  /** After Kysely has been destroyed. */
  unlock(): Promise<void>;
}
