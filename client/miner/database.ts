import { Dexie, type EntityTable } from "dexie";
import type { WorkLine } from "../../shared/protocol.ts";
import { DATABASE_NAME, defaultSettings, type MinerSettings } from "./contract.ts";

/** What one browser profile remembers. The private key is a CryptoKey that cannot be exported, not bytes. */
export interface IdentityRow {
  id: "miner";
  privateKey: CryptoKey;
  publicKey: Uint8Array<ArrayBuffer>;
}

interface ConsentRow {
  id: "consent";
  consented: boolean;
  settings: MinerSettings;
}

/** A model file in the origin private file system, where its name is its SHA-256. */
export interface FileRow {
  sha256: string;
  bytes: number;
  /** Its hash was checked; an unfinished download is not yet. */
  complete: boolean;
  usedAt: number;
}

const HISTORY_ROWS = 1_000;

class Database extends Dexie {
  identity!: EntityTable<IdentityRow, "id">;
  consent!: EntityTable<ConsentRow, "id">;
  files!: EntityTable<FileRow, "sha256">;
  history!: EntityTable<WorkLine, "assignment">;

  constructor() {
    super(DATABASE_NAME);
    this.version(1).stores({ identity: "id", consent: "id", files: "sha256, usedAt", history: "assignment, at" });
  }
}

export const database = new Database();

export interface Consent {
  consented: boolean;
  settings: MinerSettings;
}

export async function loadConsent(): Promise<Consent> {
  const row = await database.consent.get("consent");
  // Settings that an older version stored lack the newer fields.
  return { consented: row?.consented ?? false, settings: { ...defaultSettings, ...row?.settings } };
}

export async function saveConsent(consented: boolean, settings: MinerSettings): Promise<void> {
  await database.consent.put({ id: "consent", consented, settings });
}

/** Adds to the history and drops what is beyond its length, oldest first. */
export async function recordWork(lines: readonly WorkLine[]): Promise<void> {
  if (lines.length === 0) return;
  await database.history.bulkPut([...lines]);
  const surplus = (await database.history.count()) - HISTORY_ROWS;
  if (surplus > 0) await database.history.orderBy("at").limit(surplus).delete();
}

/** The newest `count` lines, newest first. */
export async function recentWork(count: number): Promise<WorkLine[]> {
  return database.history.orderBy("at").reverse().limit(count).toArray();
}
