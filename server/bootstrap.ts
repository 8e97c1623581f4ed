import { randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { CustomerId } from "../shared/ids.ts";
import { NANO_PER_UNIT } from "../shared/money.ts";
import type { Millis } from "../shared/time.ts";
import { hashKey, KeyRing, makeKey } from "./api/auth.ts";
import type { Config } from "./config.ts";
import { grant } from "./economy/holds.ts";
import { type HubKey, hubKeyFrom, newHubKeyPkcs8 } from "./sockets/identity.ts";
import { type Store, StoreError } from "./store/store.ts";

/**
 * What a hub makes on its first start and finds again on every later one: its signing key (in the store), the operator
 * token and the first API key (in the data folder, readable by the owner alone), and the first customer with 100 test
 * USDC. A token or key from the environment is used instead and never written down.
 */
export interface Bootstrap {
  hubKey: HubKey;
  keys: KeyRing;
  isOperator(token: unknown): boolean;
  adminToken: Secret;
  firstKey: Secret;
}

export interface Secret {
  value: string;
  origin: "environment" | "made" | "kept";
  /** Where it is kept; null for one from the environment. */
  file: string | null;
}

const HUB_KEY = "hub-key";
const FIRST_CUSTOMER = "first" as CustomerId;
const FIRST_BALANCE = 100n * NANO_PER_UNIT;

export async function bootstrap(store: Store, config: Config, now: Millis): Promise<Bootstrap> {
  await mkdir(config.dataDir, { recursive: true });
  let pkcs8 = await store.setting(HUB_KEY);
  if (pkcs8 === null) {
    pkcs8 = newHubKeyPkcs8();
    await store.setSetting(HUB_KEY, pkcs8);
  }
  const makeToken = () => randomBytes(24).toString("base64url");
  const adminToken = await secret(config.adminToken, join(config.dataDir, "admin-token"), makeToken);
  const firstKey = await secret(config.apiKey, join(config.dataDir, "api-key"), () => makeKey().presented);
  const keys = await openAccounts(store, firstKey.value, now);
  keys.add(hashKey(adminToken.value), { kind: "operator" });
  const isOperator = (token: unknown) => typeof token === "string" && keys.verify(token)?.kind === "operator";
  return { hubKey: hubKeyFrom(pkcs8), keys, isOperator, adminToken, firstKey };
}

async function secret(given: string | null, file: string, make: () => string): Promise<Secret> {
  if (given !== null) return { value: given, origin: "environment", file: null };
  const kept = await readFile(file, "utf8").catch(() => null);
  if (kept !== null) {
    const value = kept.trim();
    if (/^[\x21-\x7e]{16,256}$/.test(value)) return { value, origin: "kept", file };
    throw new StoreError(
      "damaged",
      `${file} should hold 16 to 256 visible ASCII characters; delete it and start again to have a new one made.`,
    );
  }
  const value = make();
  await writeFile(file, `${value}\n`, { mode: 0o600 });
  return { value, origin: "made", file };
}

/** The first customer with its balance, and every key that is not revoked. */
async function openAccounts(store: Store, firstKey: string, now: Millis): Promise<KeyRing> {
  const customer = await store.customer(FIRST_CUSTOMER);
  if (customer === null) await store.addCustomer({ customer: FIRST_CUSTOMER, name: "first", createdAt: now });
  await store.commit({ transfers: [grant(FIRST_CUSTOMER, FIRST_BALANCE, "first-start", now)] });
  const secretHash = hashKey(firstKey);
  if ((await store.apiKeyByHash(secretHash)) === null) {
    const id = /^tg_([0-9a-f]{32})_/.exec(firstKey)?.[1] ?? randomBytes(16).toString("hex");
    const key = {
      id,
      secretHash,
      name: "first key",
      customer: FIRST_CUSTOMER,
      scopes: [],
      createdAt: now,
      revokedAt: null,
    };
    await store.addApiKey(key);
  }
  const keys = new KeyRing();
  for (const { secretHash, customer, id } of await store.activeApiKeys()) {
    keys.add(secretHash, { kind: "customer", customer, key: id });
  }
  return keys;
}
