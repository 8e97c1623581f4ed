import { secp256k1 } from "@noble/curves/secp256k1.js";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AccountId } from "../../shared/ids.ts";
import { digestOf } from "./personal-sign.ts";
import { TestBooks } from "./test-books.ts";

/** Whose payouts go where, and what a rail may report. */
let books: TestBooks;
beforeEach(async () => {
  books = new TestBooks();
  books.rail = "csv";
  await (await books.open()).begin();
  await books.settle(60);
  await books.pass();
});
afterEach(() => books.close());

const wallet = secp256k1.utils.randomSecretKey();
const address = `0x${Buffer.from(keccak_256(secp256k1.getPublicKey(wallet, false).subarray(1)))
  .subarray(12)
  .toString("hex")}`;
function set(account: string) {
  const { payouts } = books.settlement;
  const digest = digestOf(payouts.message(account as AccountId, address));
  const signed = secp256k1.sign(digest, wallet, { prehash: false, format: "recovered" });
  const proof = `0x${Buffer.from([...signed.subarray(1), 27 + (signed[0] as number)]).toString("hex")}`;
  return payouts.setAddress(account as AccountId, address, proof);
}
async function closeEpoch() {
  const { epochs } = books.settlement;
  const previewed = await epochs.preview(1, "operator");
  if (!previewed.ok) throw new Error(previewed.error.message);
  expect(await epochs.approve(1, previewed.value.plan.digest, "operator")).toMatchObject({ ok: true });
  expect(await epochs.close(1, "operator")).toMatchObject({ ok: true, value: { state: "closed" } });
}
async function minerWithPay(): Promise<AccountId> {
  const { data } = await books.store.accounts({ limit: 100, after: "miner:" as AccountId });
  const found = data.find(({ account, balance }) => /^miner:[^:]+$/.test(account) && balance > 1_000n);
  if (!found) throw new Error("nobody was paid");
  return found.account;
}

describe("an address", () => {
  it.each([
    "customer:c_ann",
    "miner:own_ann",
    "creator:creator%200:matured",
    "domain:commons",
    "foundation",
    "processor",
  ])("is set for %s", async (account) => {
    expect(await set(account)).toMatchObject({ ok: true, value: { account, address } });
  });

  it.each([
    ["what open tasks may cost", "customer:c_ann:held"],
    ["pay that has not matured", "miner:own_ann:held"],
    ["royalties that an epoch has yet to pay out", "creator:creator%200"],
    ["DN under its own account", "dn:customer:c_ann"],
    ["DN of nobody", "treasury"],
    ["the pool that prices DN", "market"],
    ["a verification pool", "pool:commons"],
    ["what buys DN", "burn:commons"],
    ["z", "emission:commons"],
    ["an escrow", "escrow:b_1"],
    ["pledges", "pledge:model-0@1"],
    ["collateral", "collateral:commons:own_ann"],
    ["stake", "stake:commons:customer:c_ann"],
    ["what has left the ledger", "payout"],
    ["an issuer", "issuer"],
    ["no account", "somebody"],
    ["a name that is none", "customer:"],
  ])("is refused for %s", async (_, account) => {
    const refused = await set(account);
    expect(refused).toMatchObject({ ok: false, error: { code: "invalid-request", field: "account", got: account } });
  });

  it("that was set for the account of DN does not keep an epoch from closing", async () => {
    const miner = await minerWithPay();
    await set(`dn:${miner}`);
    await set("market");
    await set(miner);
    await closeEpoch();
    const market = await books.parties.market.market();
    expect(await books.balance("dn:market")).toBe(market?.dn);
    expect(await books.balance("market")).toBe(market?.usdc);
    expect(await books.balance(miner)).toBeLessThan(1_000n);
    expect(await books.store.integrityCheck()).toEqual([]);
  });
});

describe("what a rail reports", () => {
  it("under a name that was used for another claim is refused", async () => {
    const miner = await minerWithPay();
    await set(miner);
    await closeEpoch();
    const proofs = await books.settlement.payouts.proofs(1, miner);
    const { cumulative = 0n } = proofs.find(({ asset }) => asset === "USDC") ?? {};
    expect(cumulative).toBeGreaterThan(1n);
    const claim = { reference: "0xabc", asset: "USDC" as const, address, cumulative: 1n };
    expect(await books.settlement.payouts.claim(claim)).toMatchObject({ ok: true });
    expect(await books.settlement.payouts.claim(claim)).toMatchObject({ ok: true });
    const other = { ...claim, cumulative };
    expect(await books.settlement.payouts.claim(other)).toMatchObject({
      ok: false,
      error: { code: "already-claimed", field: "reference", got: "0xabc" },
    });
    expect(await books.settlement.payouts.claim({ ...other, reference: "0xdef" })).toMatchObject({ ok: true });
  });
});
