import { keccak_256 } from "@noble/hashes/sha3.js";
import { StandardMerkleTree } from "@openzeppelin/merkle-tree";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { AccountId } from "../../shared/ids.ts";
import { accounts } from "./accounts.ts";
import { sum } from "./apportion.ts";
import { assertBalanced, hex } from "./ledger.ts";
import { checkAddress, claim, emptyBook, payOut, payoutCsv, payoutLeaf, payoutTree, verifyPayout } from "./payouts.ts";

const types = ["address", "uint256"];
const ones = `0x${"1".repeat(40)}`;
const twos = `0x${"2".repeat(40)}`;
const address = (n: number) => `0x${n.toString(16).padStart(40, "0")}`;
const payees = (n: number, seed: number) =>
  new Map(Array.from({ length: n }, (_, i) => [address(i * 7919 + seed), BigInt(seed + i) * 1_000_003n]));

describe("the tree", () => {
  it("is OpenZeppelin's: the example of its readme", () => {
    const cumulative = new Map([
      [ones, 5_000_000_000_000_000_000n],
      [twos, 2_500_000_000_000_000_000n],
    ]);
    const tree = payoutTree(cumulative, keccak_256);
    const leaves = [...cumulative].map(([one, amount]) => `0x${hex(payoutLeaf(one, amount, keccak_256))}`);
    expect(leaves).toEqual([
      "0xeb02c421cfa48976e66dfb29120745909ea3a0f843456c263cf8f1253483e283",
      "0xb92c48e9d7abe27fd8dfd6b5dfdbfb1c9a463f80c712b66f3a5180a090cccafc",
    ]);
    expect(tree.root).toBe("0xd4dee0beab2d53f2cc83e567171bd2820e49898130a22622b10ead383e90bd77");
    expect(tree.proofOf(ones)).toEqual([leaves[1]]);
  });

  it("proves every payee of books of many sizes, and nothing else", () => {
    for (const n of [1, 2, 3, 4, 5, 7, 8, 9, 31, 100, 1_000]) {
      const book = payees(n, n);
      const tree = payoutTree(book, keccak_256);
      for (const [one, amount] of book) {
        const proof = tree.proofOf(one);
        expect(verifyPayout(tree.root, one, amount, proof, keccak_256)).toBe(true);
        expect(verifyPayout(tree.root, one, amount + 1n, proof, keccak_256)).toBe(false);
        if (n > 100) break;
      }
      expect(verifyPayout(tree.root, address(1), 1n, ["0x12"], keccak_256)).toBe(false);
    }
  });

  it("agrees with @openzeppelin/merkle-tree on random books of 1 to 10,000 payees", () => {
    const entry = fc.tuple(fc.bigInt(0n, 2n ** 160n - 1n), fc.bigInt(0n, 2n ** 256n - 1n));
    const same = (book: Map<string, bigint>, probes: number) => {
      const tree = payoutTree(book, keccak_256);
      const values = [...book].map(([one, amount]) => [one, amount.toString()]);
      const theirs = StandardMerkleTree.of(values, types);
      expect(tree.root).toBe(theirs.root);
      for (const value of values.slice(0, probes)) {
        const proof = tree.proofOf(value[0] as string);
        expect(proof).toEqual(theirs.getProof(value));
        expect(StandardMerkleTree.verify(tree.root, types, value, proof)).toBe(true);
      }
    };
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 60 }), (list) => {
        same(new Map(list.map(([who, amount]) => [`0x${who.toString(16).padStart(40, "0")}`, amount])), 3);
      }),
      { numRuns: 20 },
    );
    same(payees(10_000, 1), 1);
  }, 60_000);
});

describe("payOut", () => {
  const usdc = (amount: bigint) => [{ address: ones, account: "miner:own_a" as AccountId, balance: amount }];

  it("pays whole on-chain units and leaves the rest in the ledger", () => {
    const { book, transfer } = payOut(emptyBook("USDC", 6), usdc(1_234_567n), 1, 5);
    expect(book.cumulative.get(ones)).toBe(1_234n);
    expect(transfer?.legs.map(({ amount }) => amount)).toEqual([-1_234_000n, 1_234_000n]);
    expect(payOut(book, usdc(567n), 2, 6).transfer).toBeNull();
    const dn = [{ address: ones, account: accounts.dn("miner:own_a" as AccountId), balance: 3n }];
    expect(payOut(emptyBook("DN", 18), dn, 1, 5).book.cumulative.get(ones)).toBe(3_000_000_000n);
  });

  it("over epochs: cumulative amounts never fall and their growth is what left the ledger", () => {
    const epoch = fc.array(fc.record({ who: fc.integer({ min: 0, max: 5 }), earned: fc.bigInt(0n, 10n ** 12n) }), {
      maxLength: 6,
    });
    fc.assert(
      fc.property(fc.array(epoch, { maxLength: 10 }), (epochs) => {
        let book = emptyBook("USDC", 6);
        const balances = new Map<number, bigint>();
        let left = 0n;
        epochs.forEach((earnings, n) => {
          for (const { who, earned } of earnings) balances.set(who, (balances.get(who) ?? 0n) + earned);
          const list = [...balances].map(([who, balance]) => ({
            address: address(who),
            account: `miner:own_${who}` as AccountId,
            balance,
          }));
          const next = payOut(book, list, n, n);
          for (const [one, amount] of book.cumulative)
            expect((next.book.cumulative.get(one) ?? 0n) >= amount).toBe(true);
          if (next.transfer) {
            assertBalanced(next.transfer);
            for (const { account, amount } of next.transfer.legs) {
              if (account === accounts.payout) left += amount;
              else balances.set(Number(account.slice(10)), (balances.get(Number(account.slice(10))) ?? 0n) + amount);
            }
          }
          book = next.book;
          expect(sum(book.cumulative.values()) * 1_000n).toBe(left);
          for (const balance of balances.values()) expect(balance >= 0n && balance < 1_000n).toBe(true);
        });
      }),
    );
  });

  it("writes a CSV", () => {
    const { book } = payOut(emptyBook("USDC", 6), usdc(5_000n), 1, 5);
    expect(payoutCsv(book, payoutTree(book.cumulative, keccak_256))).toBe(`address,cumulative,proof\n${ones},5,\n`);
  });
});

describe("claim", () => {
  const { book } = payOut(
    emptyBook("USDC", 6),
    [{ address: ones, account: "miner:own_a" as AccountId, balance: 9_000n }],
    1,
    5,
  );

  it("pays the difference once", () => {
    const once = claim(book, ones, 9n);
    if (!once.ok) throw new Error(once.error.message);
    expect(claim(once.value, ones, 9n)).toMatchObject({ ok: false, error: { code: "already-claimed" } });
    expect(claim(book, ones, 10n)).toMatchObject({ ok: false, error: { code: "value-out-of-range" } });
    expect(claim(book, twos, 1n).ok).toBe(false);
  });

  it("knows an address", () => {
    expect(checkAddress(`0x${"A".repeat(40)}`)).toEqual({ ok: true, value: `0x${"a".repeat(40)}` });
    for (const bad of ["", "0x12", "1".repeat(42), `0x${"g".repeat(40)}`])
      expect(checkAddress(bad)).toMatchObject({ ok: false, error: { code: "invalid-request", field: "address" } });
  });
});
