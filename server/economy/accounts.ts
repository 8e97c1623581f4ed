import type { AccountId, CustomerId, ModelKey, OwnerId } from "../../shared/ids.ts";
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
  market: { asset: "USDC", overdraft: false },
  escrow: { asset: "USDC", overdraft: false },
  pledge: { asset: "USDC", overdraft: false },
  payout: { asset: "USDC", overdraft: false },
  dn: { asset: "DN", overdraft: false },
  "dn-issuer": { asset: "DN", overdraft: true },
  collateral: { asset: "DN", overdraft: false },
  stake: { asset: "DN", overdraft: false },
  unbonding: { asset: "DN", overdraft: false },
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
  /** Royalties as they come in. A manifest's `creator` is free text; the account's name is its percent-encoding. */
  creator: (creator: string) => id(`creator:${name(creator)}`),
  /** The creator's own part of matured royalties. */
  creatorMatured: (creator: string) => id(`creator:${name(creator)}:matured`),
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

  /** What of DN belongs to the party whose USDC lies in `account`. */
  dn: (account: AccountId) => id(`dn:${account}`),
  /** Where DN comes from: its balance is what was ever minted, below zero. */
  dnIssuer: id("dn-issuer"),
  /** Where DN ends: minted less burned is what all others hold. */
  dnBurned: id("dn:burned"),
  /** Genesis mints into it. */
  dnTreasury: id("dn:treasury"),
  /** USDC side of the pool that prices DN; its DN lies in `dn(market)`. */
  market: id("market"),
  /** DN that an owner deposited to mine in a domain. */
  collateral: (domain: string, owner: OwnerId) => id(`collateral:${domain}:${owner}`),
  /** DN that a party staked; unbonding stake no longer votes or earns and can still be slashed. */
  stake: (target: string, party: AccountId) => id(`stake:${name(target)}:${party}`),
  unbonding: (target: string, party: AccountId) => id(`unbonding:${name(target)}:${party}`),
  /** What backers paid into a funding round and no milestone has released. */
  escrow: (round: string) => id(`escrow:${name(round)}`),
  /** Pledges that raise the miners' part of a model. */
  pledge: (model: ModelKey) => id(`pledge:${model}`),
  /** Handed over to the payout rail; the published Merkle root says to whom. */
  payout: id("payout"),
};

/** Whose held pay the account is; null for every other account. */
export const heldPayOwner = (account: AccountId): OwnerId | null =>
  account.startsWith("miner:") && account.endsWith(":held") ? (account.slice(6, -5) as OwnerId) : null;

/** Whose spendable USDC lies in the account; null for every other account. */
export const spendingCustomer = (account: AccountId): CustomerId | null =>
  account.startsWith("customer:") && !account.endsWith(":held") ? (account.slice(9) as CustomerId) : null;

/** Whose verification pool the account is; null for every other account. */
export const poolDomain = (account: AccountId): string | null =>
  account.startsWith("pool:") ? account.slice(5) : null;

/**
 * The account in which a party's USDC is its own, to spend or to be paid out: neither what is set aside in it, nor what the
 * rules have still to pay from, nor its DN.
 */
export const isOwnAccount = (account: string): account is AccountId =>
  /^(customer:[^:]+|miner:[^:]+|creator:[^:]+:matured|domain:[^:]+|foundation|processor)$/.test(account);

/** Collateral that an owner deposited in a domain. */
export const isDeposit = (account: AccountId): boolean => account.startsWith("collateral:");

const kindOf = (account: AccountId) => {
  const end = account.indexOf(":");
  const kind = kinds[end < 0 ? account : account.slice(0, end)];
  assert(kind, `account ${account} is of no known kind`);
  return kind;
};

export const assetOf = (account: AccountId): Asset => kindOf(account).asset;
export const mayBeNegative = (account: AccountId): boolean => kindOf(account).overdraft;
