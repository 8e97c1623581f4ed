import type { AccountId, CustomerId, OwnerId } from "../../shared/ids.ts";
import type { Asset } from "../../shared/money.ts";
import { assert } from "../../shared/result.ts";

/**
 * The chart of accounts. An account is `kind:name[:sub]` and holds one asset, which its kind decides; money that is set
 * aside but belongs to the party already lies in the sub-account `held`.
 */
const kinds: Record<string, { asset: Asset; overdraft: boolean }> = {
  customer: { asset: "USDC", overdraft: false },
  miner: { asset: "USDC", overdraft: false },
  creator: { asset: "USDC", overdraft: false },
  pool: { asset: "USDC", overdraft: false },
  burn: { asset: "USDC", overdraft: false },
  domain: { asset: "USDC", overdraft: false },
  emission: { asset: "USDC", overdraft: false },
  foundation: { asset: "USDC", overdraft: false },
  processor: { asset: "USDC", overdraft: false },
  issuer: { asset: "USDC", overdraft: true },
};

const name = (text: string): string => encodeURIComponent(text.toWellFormed());
const id = (text: string): AccountId => text as AccountId;

export const accounts = {
  /** What a customer may spend. */
  customer: (customer: CustomerId) => id(`customer:${customer}`),
  /** What open tasks of a customer may cost. */
  customerHeld: (customer: CustomerId) => id(`customer:${customer}:held`),
  /** Matured pay. */
  miner: (owner: OwnerId) => id(`miner:${owner}`),
  /** Pay that an overturn may still take back. */
  minerHeld: (owner: OwnerId) => id(`miner:${owner}:held`),
  /** A manifest's `creator` is free text; the account's name is its percent-encoding. */
  creator: (creator: string) => id(`creator:${name(creator)}`),
  /** Verification pool of a domain (v): pays for checks. */
  pool: (domain: string) => id(`pool:${domain}`),
  /** Buys DN and burns it (the fixed part and d). */
  burn: (domain: string) => id(`burn:${domain}`),
  /** Owner of a domain (o). */
  domain: (domain: string) => id(`domain:${domain}`),
  /** Revenue that is paid out with an epoch's emission (z). */
  emission: (domain: string) => id(`emission:${domain}`),
  foundation: id("foundation"),
  /** Fees and payment processors (y), the hub operator's. */
  processor: id("processor"),
  /** Where test USDC comes from: its balance is what it has issued, below zero. */
  issuer: id("issuer"),
};

/** Whose held pay the account is; null for every other account. */
export const heldPayOwner = (account: AccountId): OwnerId | null =>
  account.startsWith("miner:") && account.endsWith(":held") ? (account.slice(6, -5) as OwnerId) : null;

const kindOf = (account: AccountId) => {
  const end = account.indexOf(":");
  const kind = kinds[end < 0 ? account : account.slice(0, end)];
  assert(kind, `account ${account} is of no known kind`);
  return kind;
};

export const assetOf = (account: AccountId): Asset => kindOf(account).asset;
export const mayBeNegative = (account: AccountId): boolean => kindOf(account).overdraft;
