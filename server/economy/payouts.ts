import { failure, type TabgridError } from "../../shared/errors.ts";
import type { AccountId } from "../../shared/ids.ts";
import type { Asset, Nano } from "../../shared/money.ts";
import { concat } from "../../shared/protocol.ts";
import { assert, err, ok, type Result } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import { accounts, isOwnAccount } from "./accounts.ts";
import { hex, legsOf, type Transfer } from "./ledger.ts";

/**
 * What leaves the ledger for a chain. Each epoch publishes, per asset, one Merkle root over (address, cumulative amount) in
 * the format of OpenZeppelin's StandardMerkleTree: a contract pays the difference to what the address has claimed before,
 * so that a missed epoch is never lost and a claim never pays twice. Amounts are in the asset's on-chain decimals; what is
 * finer stays in the ledger until it makes a whole unit.
 */
export type Keccak256 = (bytes: Uint8Array) => Uint8Array;

/** 0x and 40 hex digits, lower case. */
export type Address = string;

export interface PayoutBook {
  asset: Asset;
  /** On chain: 6 for USDC, 18 for DN. */
  decimals: number;
  /** All that was ever paid out, in on-chain units. */
  cumulative: ReadonlyMap<Address, bigint>;
  claimed: ReadonlyMap<Address, bigint>;
}

const LEDGER_DECIMALS = 9;

export const emptyBook = (asset: Asset, decimals: number): PayoutBook => ({
  asset,
  decimals,
  cumulative: new Map(),
  claimed: new Map(),
});

export function checkAddress(address: string): Result<Address, TabgridError> {
  if (/^0x[0-9a-f]{40}$/.test(address.toLowerCase())) return ok(address.toLowerCase());
  return err(
    failure("invalid-request", "this is no address", {
      field: "address",
      expected: "0x and 40 hexadecimal digits",
      got: address,
    }),
  );
}

/** Payouts empty an account, so only a party's own has any. */
export function checkPaidOut(account: string): Result<AccountId, TabgridError> {
  if (isOwnAccount(account)) return ok(account);
  const expected = "customer:ID, miner:OWNER, creator:NAME:matured, domain:DOMAIN, foundation or processor";
  const detail = { field: "account", expected, got: account };
  return err(failure("invalid-request", "this account is no party's own", detail));
}

export interface Payee {
  address: Address;
  /** Holds the book's asset. */
  account: AccountId;
  balance: Nano;
}

/** Moves every whole on-chain unit of the payees' balances out of the ledger and into the cumulative amounts. */
export function payOut(
  book: PayoutBook,
  payees: readonly Payee[],
  epoch: number,
  at: Millis,
): { book: PayoutBook; transfer: Transfer | null } {
  const cumulative = new Map(book.cumulative);
  const gains = new Map<AccountId, Nano>();
  const finer = 10n ** BigInt(Math.max(0, LEDGER_DECIMALS - book.decimals));
  const coarser = 10n ** BigInt(Math.max(0, book.decimals - LEDGER_DECIMALS));
  let total = 0n;
  for (const { address, account, balance } of payees) {
    assert(balance >= 0n, `${account} holds ${balance}`);
    const units = balance / finer;
    if (units === 0n) continue;
    assert(!gains.has(account), `${account} is paid out twice`);
    cumulative.set(address, (cumulative.get(address) ?? 0n) + units * coarser);
    gains.set(account, -units * finer);
    total += units * finer;
  }
  gains.set(book.asset === "USDC" ? accounts.payout : accounts.dn(accounts.payout), total);
  const legs = legsOf(gains);
  const id = `epoch:${epoch}:payout:${book.asset}`;
  const transfer: Transfer | null = legs.length > 0 ? { id, kind: "payout", at, task: null, legs } : null;
  return { book: { ...book, cumulative }, transfer };
}

/** What the contract does: pays the difference, once. Here it keeps the console's view of it. */
export function claim(book: PayoutBook, address: Address, cumulative: bigint): Result<PayoutBook, TabgridError> {
  const due = book.cumulative.get(address) ?? 0n;
  const before = book.claimed.get(address) ?? 0n;
  const detail = { field: "cumulative", got: String(cumulative) };
  if (cumulative <= before)
    return err(failure("already-claimed", "this was claimed before", { ...detail, expected: `more than ${before}` }));
  if (cumulative > due)
    return err(failure("value-out-of-range", "no root pays so much", { ...detail, expected: `at most ${due}` }));
  return ok({ ...book, claimed: new Map(book.claimed).set(address, cumulative) });
}

/** keccak256(keccak256(abi.encode(address, uint256))). */
export function payoutLeaf(address: Address, cumulative: bigint, keccak256: Keccak256): Uint8Array {
  const encoded = address.slice(2).padStart(64, "0") + cumulative.toString(16).padStart(64, "0");
  assert(encoded.length === 128, `${address} or ${cumulative} does not fit its word`);
  return keccak256(keccak256(fromHex(encoded)));
}

export interface PayoutTree {
  /** 0x and 64 hex digits. */
  root: string;
  /** From the leaf up. */
  proofOf(address: Address): string[];
}

/** Leaves sorted by hash, last one first in a heap whose node i hashes its children 2i + 1 and 2i + 2, sorted. */
export function payoutTree(cumulative: ReadonlyMap<Address, bigint>, keccak256: Keccak256): PayoutTree {
  assert(cumulative.size > 0, "a payout tree needs a payee");
  const leaves = [...cumulative].map(([address, amount]) => {
    const hash = payoutLeaf(address, amount, keccak256);
    return { address, hash, text: hex(hash) };
  });
  leaves.sort((a, b) => (a.text < b.text ? -1 : 1));
  const heap = new Array<Uint8Array>(2 * leaves.length - 1);
  const places = new Map<Address, number>();
  leaves.forEach(({ address, hash }, i) => {
    heap[heap.length - 1 - i] = hash;
    places.set(address, heap.length - 1 - i);
  });
  for (let i = heap.length - 1 - leaves.length; i >= 0; i--)
    heap[i] = nodeHash(heap[2 * i + 1] as Uint8Array, heap[2 * i + 2] as Uint8Array, keccak256);
  return {
    root: `0x${hex(heap[0] as Uint8Array)}`,
    proofOf(address) {
      let at = places.get(address);
      assert(at !== undefined, `${address} is not in the tree`);
      const proof: string[] = [];
      for (; at > 0; at = (at - 1) >> 1) proof.push(`0x${hex(heap[at % 2 === 1 ? at + 1 : at - 1] as Uint8Array)}`);
      return proof;
    },
  };
}

/** What OpenZeppelin's MerkleProof.verify computes. */
export function verifyPayout(
  root: string,
  address: Address,
  cumulative: bigint,
  proof: readonly string[],
  keccak256: Keccak256,
): boolean {
  let hash = payoutLeaf(address, cumulative, keccak256);
  for (const sibling of proof) {
    if (!/^0x[0-9a-f]{64}$/.test(sibling)) return false;
    hash = nodeHash(hash, fromHex(sibling.slice(2)), keccak256);
  }
  return `0x${hex(hash)}` === root;
}

/** One line an address, in order of address; amounts in on-chain units. */
export function payoutCsv(book: PayoutBook, tree: PayoutTree): string {
  const rows = [...book.cumulative].sort(([a], [b]) => (a < b ? -1 : 1));
  const lines = rows.map(([address, amount]) => `${address},${amount},${tree.proofOf(address).join(" ")}`);
  return ["address,cumulative,proof", ...lines, ""].join("\n");
}

function nodeHash(a: Uint8Array, b: Uint8Array, keccak256: Keccak256): Uint8Array {
  return keccak256(hex(a) < hex(b) ? concat(a, b) : concat(b, a));
}

const fromHex = (text: string): Uint8Array =>
  Uint8Array.from({ length: text.length / 2 }, (_, i) => Number.parseInt(text.slice(2 * i, 2 * i + 2), 16));
