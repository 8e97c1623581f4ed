import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Asset } from "../../shared/money.ts";
import { type PayoutBook, type PayoutTree, payoutCsv } from "../economy/payouts.ts";

/** How what leaves the ledger reaches its payees. */
export const railNames = ["off", "csv"] as const;
export type RailName = (typeof railNames)[number];

export interface PayoutRail {
  readonly name: RailName;
  /** Of an epoch, once its root is in the books; again with the same content after a crash. */
  deliver(epoch: number, asset: Asset, book: PayoutBook, tree: PayoutTree): Promise<void>;
}

/** Null: nothing leaves the ledger. */
export function openRail(name: RailName, dataDir: string): PayoutRail | null {
  return name === "csv" ? csvRail(join(dataDir, "payouts")) : null;
}

/** One file an epoch and asset, for whoever publishes the root or pays by hand. */
const csvRail = (folder: string): PayoutRail => ({
  name: "csv",
  async deliver(epoch, asset, book, tree) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const file = join(folder, `epoch-${epoch}-${asset}.csv`);
    await writeFile(`${file}.part`, payoutCsv(book, tree), { mode: 0o600 });
    await rename(`${file}.part`, file);
  },
});
