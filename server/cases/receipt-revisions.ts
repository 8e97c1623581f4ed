import { type ReceiptId, receiptOf } from "../../shared/ids.ts";
import type { ReceiptRevised } from "../core/events.ts";
import { revisedLeaf } from "../economy/receipts.ts";
import type { Store, StoredReceipt } from "../store/store.ts";

/**
 * A receipt is never changed: what is found out later is a leaf of its own, `r_….1`, `r_….2`, signed like the first one. A
 * task that failed before it was settled has revisions alone.
 */
const revisionId = (receipt: ReceiptId, revision: number): ReceiptId => `${receipt}.${revision}` as ReceiptId;

/** Leaves for what was revised in one commit; each has the next number of its receipt. */
export async function revisedLeaves(
  facts: readonly ReceiptRevised[],
  store: Pick<Store, "receipt">,
): Promise<{ receipt: ReceiptId; leaf: string }[]> {
  const leaves: { receipt: ReceiptId; leaf: string }[] = [];
  for (const fact of facts) {
    const receipt = receiptOf(fact.task);
    const here = leaves.filter((leaf) => leaf.receipt.startsWith(`${receipt}.`)).length;
    const revision = (await revisionsOf(store, receipt)).length + here + 1;
    leaves.push({ receipt: revisionId(receipt, revision), leaf: revisedLeaf(fact, revision) });
  }
  return leaves;
}

/** Oldest first. */
export async function revisionsOf(store: Pick<Store, "receipt">, receipt: ReceiptId): Promise<StoredReceipt[]> {
  const found: StoredReceipt[] = [];
  for (;;) {
    const next = await store.receipt(revisionId(receipt, found.length + 1));
    if (!next) return found;
    found.push(next);
  }
}
