import { secp256k1 } from "@noble/curves/secp256k1.js";
import { keccak_256 } from "@noble/hashes/sha3.js";
import type { AccountId } from "../../shared/ids.ts";
import { accounts } from "../economy/accounts.ts";
import { digestOf } from "../settlement/personal-sign.ts";
import { sha256 } from "../store/sha256.ts";
import { CREATORS, creatorOf, type Draw, type Kinds } from "./ledger-draw.ts";

/** What owners of miners ask for, and where what parties have earned leaves the ledger. */
export const minerKinds: Kinds = {
  register: [
    30,
    (d) => {
      const [hasDeposit, ask] = [d.below(2) === 0, d.below(4) === 0 ? d.amount : null];
      return async () => {
        const deposit = hasDeposit ? await d.partOf(accounts.dn(accounts.miner(d.owner))) : 0n;
        return d.books.parties.miners.register(d.asMiner(d.owner), d.owner, d.domain, { deposit, ask });
      };
    },
  ],
  deposit: [
    24,
    (d) => async () => {
      const found = await d.record("registration", "registered");
      if (!found) return null;
      const { owner, domain } = found.body;
      const amount = await d.partOf(accounts.dn(accounts.miner(owner)), d.amount / 100n + 1n);
      return d.books.parties.miners.deposit(d.asMiner(owner), owner, domain, amount);
    },
  ],
  leave: [
    14,
    (d) => async () => {
      const found = await d.record("registration", "registered");
      return found && d.books.parties.miners.leave(d.asMiner(found.body.owner), found.body.owner, found.body.domain);
    },
  ],
  "release deposit": [
    18,
    (d) => async () => {
      const parameters = await d.books.parties.governance.parameters();
      const free = d.at - Number(parameters["staking.unbondingMs"]);
      const found = await d.record("registration", "leaving", ({ leftAt }) => (leftAt ?? 0) <= free);
      if (!found) return null;
      const { owner, domain } = found.body;
      return d.books.parties.miners.release(d.asMiner(owner), owner, domain);
    },
  ],
  "swap of a miner": [
    26,
    (d) => {
      const give = d.below(5) === 0 ? "DN" : "USDC";
      return async () => {
        const party = accounts.miner(d.owner);
        const amount = await d.partOf(give === "DN" ? accounts.dn(party) : party);
        return d.books.parties.market.swap(d.asMiner(d.owner), party, { give, amount, least: leastOf(d, give) });
      };
    },
  ],
  "swap of a customer": [
    12,
    (d) => {
      const give = d.below(2) === 0 ? "DN" : "USDC";
      const wish = { give, amount: d.amount, least: leastOf(d, give) } as const;
      return () => d.books.parties.market.swap(d.asCustomer, accounts.customer(d.customer), wish);
    },
  ],
  "spend earnings": [
    18,
    (d) => {
      const isAll = d.below(2) === 0;
      return async () => {
        const all = await d.once("all", () => d.books.balance(accounts.miner(d.owner)));
        const amount = isAll && !d.odd ? all : d.portion(all);
        const request = JSON.stringify({ key: d.key, customer: d.customer, amount: String(amount) });
        return d.books.settlement.earnings.spend(d.owner, d.customer, amount, request);
      };
    },
  ],
  "payout address": [
    12,
    (d) => {
      const account = payeeOf(d);
      const [wallet, other] = [d.below(WALLETS), d.below(WALLETS)];
      const at = d.below(8) === 0 ? d.at - 1_000_000_000 : d.at;
      return async () => {
        const { payouts } = d.books.settlement;
        const address = addressOf(wallet);
        const proof = signedBy(d.odd ? other : wallet, payouts.message(account, address));
        return payouts.setAddress(account, address, proof, at);
      };
    },
  ],
  /** Of what the last roots promise, or more than that. */
  "payout claim": [
    16,
    (d) => async () => {
      const { settlement } = d.books.store;
      const asset = d.amount % 2n === 0n ? "USDC" : "DN";
      const book = await d.once("book", async () => {
        return settlement.payouts.book(asset, (await settlement.running()).epoch);
      });
      const found = d.of([...book.cumulative].filter(([address, sum]) => d.odd || book.claimed.get(address) !== sum));
      if (!found) return null;
      const cumulative = d.odd ? found[1] + 1n : found[1];
      return d.books.settlement.payouts.claim({ reference: d.key, asset, address: found[0], cumulative });
    },
  ],
};

/** Of an odd step more than the pool gives. */
const leastOf = (d: Draw, give: "USDC" | "DN"): bigint => (d.odd && give === "USDC" ? d.amount * 1_000n : 1n);

/** Mostly of an owner; the operator says it for the rest. */
function payeeOf(d: Draw): AccountId {
  const kind = d.below(8);
  if (kind === 0) return accounts.foundation;
  if (kind === 1) return accounts.domain(d.domain);
  if (kind === 2) return accounts.creatorMatured(creatorOf(d.below(CREATORS)));
  return accounts.miner(d.owner);
}

/** Few, so that accounts share one, and leave it for another. */
const WALLETS = 24;
const secretOf = (wallet: number): Uint8Array => sha256(`wallet ${wallet}`);
const addresses = new Map<number, string>();

function addressOf(wallet: number): string {
  const known = addresses.get(wallet);
  if (known) return known;
  const key = secp256k1.getPublicKey(secretOf(wallet), false);
  const address = `0x${Buffer.from(keccak_256(key.subarray(1)))
    .subarray(12)
    .toString("hex")}`;
  addresses.set(wallet, address);
  return address;
}

function signedBy(wallet: number, message: string): string {
  const signed = secp256k1.sign(digestOf(message), secretOf(wallet), { prehash: false, format: "recovered" });
  return `0x${Buffer.from([...signed.subarray(1), 27 + (signed[0] as number)]).toString("hex")}`;
}
