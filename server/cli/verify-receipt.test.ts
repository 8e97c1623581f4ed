import { execFile } from "node:child_process";
import { generateKeyPairSync, sign } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import type { ReceiptId } from "../../shared/ids.ts";
import { epochReceiptsPreimage, MerkleFrontier } from "../economy/receipt-epochs.ts";
import { canonicalJson, merklePath, receiptBatch } from "../economy/receipts.ts";
import { rawPublicKey } from "../sockets/identity.ts";
import { sha256 } from "../store/sha256.ts";
import { verifyReceipt } from "./verify-receipt.ts";

const keys = generateKeyPairSync("ed25519");
const signed = (preimage: Uint8Array) => sign(null, preimage, keys.privateKey).toString("base64url");
const hubKey = Buffer.from(rawPublicKey(keys.publicKey)).toString("base64url");
const leafOf = (n: number) =>
  canonicalJson({
    receipt: `r_${n}`,
    task: `t_${n}`,
    model: "digits@1",
    price: "1000",
    split: { foundation: "10", "pool:commons": "990" },
    executions: [
      {
        by: "own_ann",
        role: "primary",
        accepted: true,
        standing: { trust: 0.9, passed: 120, atRisk: "5000000", deposit: "7000000000" },
      },
      { by: "reference", role: "check", accepted: true },
    ],
  });

function receipt() {
  const leaves = [0, 1, 2, 3, 4].map((n) => ({ receipt: `r_${n}` as ReceiptId, leaf: leafOf(n) }));
  const batch = receiptBatch(leaves, 1, signed, sha256);
  const texts = leaves.map(({ leaf }) => leaf);
  const tree = new MerkleFrontier(sha256);
  for (const root of ["a", batch.root, "c"]) tree.add(root, root === batch.root);
  const root = tree.root();
  const epoch = { epoch: 7, index: 1, size: 3, path: tree.path() as string[], root };
  return {
    receipt: "r_3",
    leaf: leafOf(3),
    path: merklePath(texts, 3, sha256),
    index: 3,
    size: 5,
    root: batch.root,
    signature: batch.signature,
    hub_key: hubKey,
    revisions: [revision()],
    epoch: { ...epoch, signature: signed(epochReceiptsPreimage(7, root)) },
  };
}

function revision() {
  const leaf = canonicalJson({ receipt: "r_3.1", state: "overturned", reason: "the recheck differs", at: 9 });
  const { root, signature } = receiptBatch([{ receipt: "r_3.1" as ReceiptId, leaf }], 9, signed, sha256);
  return { receipt: "r_3.1", leaf, path: [], index: 0, size: 1, root, signature };
}

describe("verify-receipt", () => {
  it("says what holds", () => {
    const verified = verifyReceipt(JSON.stringify(receipt()), hubKey);
    expect(verified).toMatchObject({ ok: true });
    expect(verified.ok && verified.value.join(" ")).toMatch(
      /primary by own_ann, trust 0.9, 120 checks passed, 5000000 nano-USDC at risk.*check by reference.*one of 5 receipts.*Later: r_3.1: overturned.*one of 3 under.*epoch 7/,
    );
    expect(verifyReceipt(JSON.stringify({ ...receipt(), epoch: null }), null)).toMatchObject({ ok: true });
  });

  const good = receipt();
  const flip = (text: string) => (text.startsWith("0") ? `1${text.slice(1)}` : `0${text.slice(1)}`);
  it.each([
    ["no JSON", "{", "no JSON"],
    ["no receipt", { leaf: 1 }, "This is no receipt: receipt"],
    ["a leaf that is no JSON", { ...good, leaf: "{" }, "not the JSON of a receipt"],
    ["a changed price", { ...good, leaf: good.leaf.replace('"price":"1000"', '"price":"1001"') }, "sums to 1000"],
    ["a changed model", { ...good, leaf: good.leaf.replace("digits@1", "digits@2") }, "leaf or path was changed"],
    ["added space", { ...good, leaf: good.leaf.replace("{", "{ ") }, "canonical form"],
    ["another receipt's leaf", { ...good, leaf: leafOf(2) }, "The leaf is of receipt r_2"],
    ["a changed path", { ...good, path: good.path.with(0, flip(good.path[0] as string)) }, "leaf or path was changed"],
    ["a wrong place", { ...good, index: 2 }, "leaf or path was changed"],
    ["a changed root", { ...good, root: flip(good.root) }, "leaf or path was changed"],
    ["a signature of others", { ...good, signature: good.epoch.signature }, "not signed by the hub key"],
    ["a key of others", { ...good, hub_key: Buffer.alloc(32, 1).toString("base64url") }, "not signed by the hub key"],
    ["a key that is none", { ...good, hub_key: "x" }, "not signed by the hub key"],
    ["a changed revision", { ...good, revisions: [{ ...revision(), index: 1 }] }, "Revision 1: The path does not lead"],
    ["another epoch", { ...good, epoch: { ...good.epoch, epoch: 8 } }, "root of epoch 8 is not signed"],
    ["an epoch's changed path", { ...good, epoch: { ...good.epoch, path: [] } }, "not under the root of epoch 7"],
  ])("says what is wrong: %s", (_, given, sentence) => {
    const verified = verifyReceipt(typeof given === "string" ? given : JSON.stringify(given), null);
    expect(verified.ok ? "" : verified.error).toContain(sentence);
  });

  it("believes the key that it was given, not the file", () => {
    const verified = verifyReceipt(JSON.stringify(good), "another");
    expect(verified.ok ? "" : verified.error).toContain(`names the hub key ${hubKey}, not another`);
  });

  it("is a command: 0 where it holds, 1 where it does not, 2 where there is no file", { timeout: 60_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), "tabgrid-receipt-"));
    const cli = join(import.meta.dirname, "verify-receipt.ts");
    const run = (...args: string[]) =>
      promisify(execFile)(process.execPath, [cli, ...args]).then(
        ({ stdout }) => [0, stdout],
        (error: { code: number; stderr: string }) => [error.code, error.stderr],
      );
    try {
      const file = join(folder, "receipt.json");
      writeFileSync(file, JSON.stringify(good));
      expect(await run(file, "--hub-key", hubKey)).toEqual([0, expect.stringContaining("The receipt holds.")]);
      writeFileSync(file, JSON.stringify({ ...good, index: 4 }));
      expect(await run(file)).toEqual([1, expect.stringContaining("does not hold")]);
      expect(await run(join(folder, "none"))).toEqual([2, expect.stringContaining("cannot be read (ENOENT)")]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
