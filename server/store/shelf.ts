import type { Kysely, Transaction } from "kysely";
import type { Engine } from "./engine.ts";
import type { Tables } from "./tables.ts";

/** What a part of the store is given of the whole: reading, and writing in the one queue of transactions. */
export interface Shelf {
  insertRows: Engine["insertRows"];
  read<T>(work: (db: Kysely<Tables>) => Promise<T>): Promise<T>;
  write<T>(work: (trx: Transaction<Tables>) => Promise<T>): Promise<T>;
}
