import { grant } from "../economy/holds.ts";
import { openStore } from "./open.ts";
import type { StoreConfig } from "./store.ts";
import { Traffic } from "./traffic.ts";

/**
 * Child of the crash tests: holds and settles without end, and says so after each commit, until it is killed.
 * Arguments: StoreConfig as JSON, a name for this run, tasks per batch.
 */
const [config, run, size] = process.argv.slice(2) as [string, string, string];
const store = await openStore(JSON.parse(config) as StoreConfig);
await store.migrate();
const traffic = new Traffic(run);
if ((await store.counts()).accounts === 0) await traffic.addCustomers(store);
await store.commit({ transfers: traffic.customers.map((customer) => grant(customer, 10n ** 12n, run, 1)) });
for (let acknowledged = 0; ; acknowledged += Number(size)) {
  process.stdout.write(`${acknowledged}\n`);
  const requests = traffic.requests(Number(size));
  await store.hold(requests);
  await store.commit(traffic.settlement(requests));
}
