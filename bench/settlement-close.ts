import process from "node:process";
import { CLEAN_MS } from "../server/economy/maturation.ts";
import { TestBooks } from "../server/settlement/test-books.ts";

/** Child of the settlement bench: matures and closes the first epoch of a folder, and says how long each took. */
const [folder, now] = process.argv.slice(2) as [string, string];
const books = new TestBooks(folder);
books.now = Number(now) + CLEAN_MS;
books.keepsPosted = false;
const seconds = async (work: () => Promise<unknown>): Promise<number> => {
  const started = performance.now();
  await work();
  return Number(((performance.now() - started) / 1_000).toFixed(2));
};
// Opening lets mature what is due.
const maturedS = await seconds(() => books.open());
const { epochs } = books.settlement;
let digest = "";
const previewS = await seconds(async () => {
  const previewed = await epochs.preview(1, "bench");
  if (!previewed.ok) throw new Error(previewed.error.message);
  digest = previewed.value.plan.digest;
});
const closeS = await seconds(async () => {
  for (const step of [await epochs.approve(1, digest, "bench"), await epochs.close(1, "bench")]) {
    if (!step.ok) throw new Error(step.error.message);
  }
});
const { receipts, plan } = (await epochs.one(1)) ?? {};
await books.store.close();
const peakMb = Math.round(process.resourceUsage().maxRSS / 1_024);
const told = { maturedS, previewS, closeS, closingS: Number((previewS + closeS).toFixed(2)), peakMb };
console.log(JSON.stringify({ ...told, commits: receipts?.size, revenue: String(plan?.revenue) }));
