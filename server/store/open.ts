import { openPostgres } from "./postgres.ts";
import { SqlStore } from "./sql-store.ts";
import { openSqlite } from "./sqlite.ts";
import type { Store, StoreConfig } from "./store.ts";

/** Opens the store and makes this process its hub; rejects with StoreError. `migrate` comes next. */
export async function openStore(config: StoreConfig): Promise<Store> {
  const engine =
    config.kind === "sqlite"
      ? openSqlite(config.folder)
      : openPostgres(config.url, config.schema ?? "public", config.hub);
  await engine.lock();
  return new SqlStore(engine, config.hub);
}
