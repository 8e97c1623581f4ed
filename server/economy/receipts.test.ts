import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { CustomerId, ModelKey, OwnerId, ReceiptId, TaskId } from "../../shared/ids.ts";
import { sha256 } from "../../shared/test-sha256.ts";
import { hex } from "./ledger.ts";
import {
  canonicalJson,
  merklePath,
  merkleRoot,
  receiptBatch,
  receiptLeaf,
  receiptsPreimage,
  verifyPath,
} from "./receipts.ts";
import { commonsRevenue, settle } from "./revenue.ts";
import type { VerifiedTask } from "./verified-task.ts";

const leavesOf = (size: number): string[] => Array.from({ length: size }, (_, i) => `leaf ${i}`);

describe("the tree", () => {
  it("proves every leaf of every size, and nothing else", () => {
    for (let size = 1; size <= 40; size++) {
      const leaves = leavesOf(size);
      const root = merkleRoot(leaves, sha256);
      for (let index = 0; index < size; index++) {
        const proof = { leaf: leaves[index] as string, path: merklePath(leaves, index, sha256), index, size, root };
        expect(verifyPath(proof, sha256)).toBe(true);
        expect(verifyPath({ ...proof, leaf: "another" }, sha256)).toBe(false);
        expect(verifyPath({ ...proof, root: root.replace(/^./, (c) => (c === "0" ? "1" : "0")) }, sha256)).toBe(false);
        if (size > 1) expect(verifyPath({ ...proof, path: proof.path.slice(1) }, sha256)).toBe(false);
        expect(verifyPath({ ...proof, path: [...proof.path, root] }, sha256)).toBe(false);
        expect(verifyPath({ ...proof, index: index ^ 1 }, sha256)).toBe(false);
        expect(verifyPath({ ...proof, index: size }, sha256)).toBe(false);
      }
    }
  });

  it("keeps leaves and nodes apart, and a single leaf is hashed too", () => {
    expect(merkleRoot(["a"], sha256)).toBe(hex(sha256(Uint8Array.of(0), "a")));
    expect(merkleRoot(["a", "b"], sha256)).toBe(
      hex(sha256(Uint8Array.of(1), sha256(Uint8Array.of(0), "a"), sha256(Uint8Array.of(0), "b"))),
    );
    expect(merkleRoot(["a", "b"], sha256)).not.toBe(merkleRoot(["b", "a"], sha256));
  });

  it("is RFC 9162's: the roots of its authors' test vectors", () => {
    // github.com/google/certificate-transparency, merkletree tests: eight inputs, in hex.
    const inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    const texts = inputs.map((input) => Buffer.from(input, "hex").toString());
    expect(merkleRoot(texts.slice(0, 3), sha256)).toBe(
      "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    );
    expect(merkleRoot(texts, sha256)).toBe("5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
  });
});

const fact: VerifiedTask = {
  task: "t_one" as TaskId,
  at: 7,
  customer: "c_one" as CustomerId,
  model: "digits@1" as ModelKey,
  creator: "authors",
  royaltyBasisPoints: 2_000,
  level: "fast",
  price: 1_000n,
  work: 123n,
  basis: "reference",
  inputHash: "aa",
  commitment: "bb",
  executions: [
    {
      by: "reference",
      miner: null,
      assignment: null,
      role: "primary",
      commitment: "bb",
      accepted: true,
      signed: false,
      newcomer: false,
    },
  ],
};

describe("a receipt", () => {
  const settlement = settle(fact, commonsRevenue, 0n, sha256);
  if (!settlement.ok) throw new Error(settlement.error.message);
  const leaf = receiptLeaf(fact, settlement.value.transfer, { filesHash: "cc" });

  it("is one text for one fact, names no customer, and its split sums to the price", () => {
    expect(leaf).toBe(
      '{"at":7,"basis":"reference","commitment":"bb","executions":[{"accepted":true,"assignment":null,"by":"reference",' +
        '"commitment":"bb","miner":null,"role":"primary","signed":false}],"files":"cc","inputHash":"aa","level":"fast",' +
        '"model":"digits@1","price":"1000","receipt":"r_one","split":{"burn:commons":"10","creator:authors":"200",' +
        '"foundation":"10","pool:commons":"750","processor":"30"},"task":"t_one","version":1,"work":"123"}',
    );
    const amounts = Object.values(JSON.parse(leaf).split as Record<string, string>);
    expect(amounts.reduce((sum, amount) => sum + BigInt(amount), 0n)).toBe(fact.price);
  });

  it("records how the executor stood: trust, passed checks, what it had at risk and what it had deposited", () => {
    const standing = { trust: 0.875, passed: 21, atRisk: 9_000n };
    const execution = { ...(fact.executions[0] as VerifiedTask["executions"][number]), standing };
    const by = "own_ann" as OwnerId;
    const depositOf = (owner: OwnerId) => (owner === by ? 5n : 0n);
    const of = (one: typeof execution) =>
      JSON.parse(receiptLeaf({ ...fact, executions: [one] }, settlement.value.transfer, { depositOf })).executions[0];
    expect(of({ ...execution, by }).standing).toEqual({ trust: 0.875, passed: 21, atRisk: "9000", deposit: "5" });
    expect(of(execution)).not.toHaveProperty("standing");
  });

  it("has its root signed with a domain of its own", () => {
    const seen: Uint8Array[] = [];
    const batch = receiptBatch(
      [{ receipt: "r_one" as ReceiptId, leaf }],
      9,
      (preimage) => {
        seen.push(preimage);
        return "signature";
      },
      sha256,
    );
    expect(batch).toMatchObject({ at: 9, signature: "signature", root: merkleRoot([leaf], sha256) });
    expect(Buffer.from(seen[0] as Uint8Array).toString("latin1")).toBe(
      `tabgrid/receipts/1\n${Buffer.from(batch.root, "hex").toString("latin1")}`,
    );
    expect(receiptsPreimage(batch.root)).toEqual(seen[0]);
  });
});

describe("canonicalJson", () => {
  it("does not depend on the order of keys", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.stringMatching(/^[a-z]{1,6}$/), fc.jsonValue()), (object) => {
        const reversed = Object.fromEntries(Object.entries(object).reverse());
        expect(canonicalJson(reversed)).toBe(canonicalJson(object));
        expect(JSON.parse(canonicalJson(object))).toEqual(JSON.parse(JSON.stringify(object)));
      }),
    );
  });
});
