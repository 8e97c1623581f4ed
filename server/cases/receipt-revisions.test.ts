import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { CustomerId, ReceiptId, TaskId } from "../../shared/ids.ts";
import { receiptBatch, verifyPath } from "../economy/receipts.ts";
import { openStore } from "../store/open.ts";
import { sha256 } from "../store/sha256.ts";
import { revisedLeaves, revisionsOf } from "./receipt-revisions.ts";

const fact = (task: string, state: "failed" | "overturned") => ({
  task: task as TaskId,
  customer: "acme" as CustomerId,
  at: 7,
  state,
  reason: "the delivered answer was refuted by the reference node",
});

it("numbers revisions, in one commit and over several, and each proves itself", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tabgrid-revisions-"));
  const store = await openStore({ kind: "sqlite", folder, hub: "one" });
  try {
    await store.migrate();
    for (const facts of [[fact("t_a", "failed"), fact("t_b", "overturned")], [fact("t_b", "overturned")]]) {
      const leaves = await revisedLeaves(facts, store);
      await store.commit({ receipts: receiptBatch(leaves, 7, () => "signature", sha256) });
    }
    const twice = await revisionsOf(store, "r_b" as ReceiptId);
    expect(twice.map(({ receipt }) => receipt)).toEqual(["r_b.1", "r_b.2"]);
    expect(JSON.parse(twice[1]?.leaf ?? "")).toEqual({
      at: 7,
      reason: "the delivered answer was refuted by the reference node",
      receipt: "r_b",
      revision: 2,
      state: "overturned",
      task: "t_b",
      version: 1,
    });
    for (const revision of twice) expect(verifyPath(revision, sha256)).toBe(true);
    expect(await revisionsOf(store, "r_c" as ReceiptId)).toEqual([]);
    expect(await store.integrityCheck()).toEqual([]);
  } finally {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  }
});
