import type { AccountId, TaskId } from "../../shared/ids.ts";
import type { Asset, Nano } from "../../shared/money.ts";
import { assert } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import { assetOf } from "./accounts.ts";

/**
 * Double entry (../shared/money.md, "Ledger"): money only moves in transfers, whose legs sum to zero per asset. Every hub
 * keeps one chain of transfers; a link hashes the one before it, so that no past entry can change unseen.
 */
export type TransferKind =
  | "grant"
  | "hold"
  | "settle"
  | "void"
  | "expire"
  /** Reverses a settlement. */
  | "overturn"
  /** The verification pool pays work that the hub ordered. */
  | "pool-work"
  /** A decided case. */
  | "slash"
  | "interest"
  /** The 100,000,000 DN of the start. */
  | "genesis"
  /** A party changes USDC for DN or back. */
  | "swap"
  /** Matured burn revenue buys DN and burns it. */
  | "buyback"
  /** Held pay becomes the miner's own. */
  | "mature"
  /** Matured royalties go to creator, backers and yield venue. */
  | "royalty"
  /** An epoch's new DN, or its pool of revenue (z). */
  | "emission"
  /** Fee and deposit of a miner, and the deposit's way back. */
  | "registration"
  | "deposit"
  | "release"
  /** Stake in, stake on its way out, stake back. */
  | "stake"
  | "unstake"
  | "unbond"
  /** A backer pays in; a milestone pays out; a missed round pays back. */
  | "back"
  | "milestone"
  | "refund"
  /** Demand board: a customer's pledge, and what of it a task gave to its miners. */
  | "pledge"
  | "bonus"
  /** Earnings become API balance. */
  | "spend"
  | "payout";

export interface Leg {
  account: AccountId;
  asset: Asset;
  /** Signed: what the account gains. */
  amount: Nano;
}

export interface Transfer {
  /** Idempotency key, made of what the transfer is for: `settle:t_…` exists at most once. */
  id: string;
  kind: TransferKind;
  at: Millis;
  task: TaskId | null;
  /** In order of account. */
  legs: Leg[];
}

/** SHA-256 of the parts one after another, text as UTF-8. Passed in: pure code has no hashing of its own. */
export type Sha256 = (...parts: (string | Uint8Array)[]) => Uint8Array;

/** Legs of what each account gains; accounts that gain nothing are left out. */
export function legsOf(gains: ReadonlyMap<AccountId, Nano>): Leg[] {
  return [...gains]
    .filter(([, amount]) => amount !== 0n)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([account, amount]) => ({ account, asset: assetOf(account), amount }));
}

export function assertBalanced(transfer: Transfer): void {
  const sums = new Map<Asset, Nano>();
  let previous = "";
  assert(transfer.legs.length > 0, `transfer ${transfer.id} has no legs`);
  for (const { account, asset, amount } of transfer.legs) {
    assert(amount !== 0n, `transfer ${transfer.id} moves nothing on ${account}`);
    assert(account > previous, `transfer ${transfer.id}: ${account} is out of order or twice`);
    assert(asset === assetOf(account), `transfer ${transfer.id}: ${account} does not hold ${asset}`);
    sums.set(asset, (sums.get(asset) ?? 0n) + amount);
    previous = account;
  }
  for (const [asset, sum] of sums) assert(sum === 0n, `transfer ${transfer.id} is off balance by ${sum} ${asset}`);
}

/**
 * What a transfer does, without when: the same id with the same hash is a repetition and does nothing, with another hash
 * it is an error.
 */
export const inputHash = (transfer: Pick<Transfer, "kind" | "task" | "legs">, sha256: Sha256): string =>
  hex(sha256(JSON.stringify([transfer.kind, transfer.task, transfer.legs.map(legText)])));

const legText = (leg: Leg): string[] => [leg.account, leg.asset, leg.amount.toString()];

/** The hash before the first transfer of a hub. */
export const chainStart = (hub: string, sha256: Sha256): string => hex(sha256(`tabgrid/ledger/1\n${hub}`));

/** The next hash of the chain: of the previous one, then what is written and when. */
export const chainLink = (previous: string, id: string, at: Millis, input: string, sha256: Sha256): string =>
  hex(sha256(JSON.stringify([previous, id, at, input])));

const hexOfByte = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

export function hex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += hexOfByte[byte];
  return text;
}
