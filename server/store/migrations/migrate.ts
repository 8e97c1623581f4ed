import type { Kysely } from "kysely";
import { type Migration, Migrator } from "kysely/migration";
import type { Engine, EngineKind } from "../engine.ts";
import { StoreError } from "../store.ts";
import type { Tables } from "../tables.ts";
import { initial } from "./0001-initial.ts";
import { cases } from "./0002-cases.ts";
import { filesBatches } from "./0003-files-batches.ts";
import { settlement } from "./0004-settlement.ts";
import { parties } from "./0005-parties.ts";
import { webhooks } from "./0006-webhooks.ts";
import { attestations } from "./0007-attestations.ts";
import { agents } from "./0008-agents.ts";
import { periods } from "./0009-periods.ts";
import { checkCredits } from "./0010-check-credits.ts";

/** Forward only: a migration that was published is never changed, and none is taken back. */
const migrations: Record<string, (kind: EngineKind) => Migration> = {
  "0001-initial": initial,
  "0002-cases": () => cases,
  "0003-files-batches": () => filesBatches,
  "0004-settlement": () => settlement,
  "0005-parties": () => parties,
  "0006-webhooks": () => webhooks,
  "0007-attestations": () => attestations,
  "0008-agents": () => agents,
  "0009-periods": () => periods,
  "0010-check-credits": () => checkCredits,
};

/** Safe when several hubs start at once: Kysely takes a lock, whoever comes second finds the work done. */
export async function migrateToLatest(db: Kysely<Tables>, engine: Engine): Promise<void> {
  const provider = {
    getMigrations: async () =>
      Object.fromEntries(Object.entries(migrations).map(([name, make]) => [name, make(engine.kind)])),
  };
  const migrator = new Migrator({ db, provider, migrationTableSchema: engine.schema });
  const { error } = await migrator.migrateToLatest();
  if (!error) return;
  const unknown = /previously executed migration (\S+) is missing/.exec(String(error));
  if (unknown) {
    throw new StoreError(
      "newer-schema",
      `${engine.name} was written by a newer version of Tabgrid (its schema has ${unknown[1]}): start that version.`,
      error,
    );
  }
  throw error;
}
