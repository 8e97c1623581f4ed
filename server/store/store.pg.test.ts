import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ModelKey } from "../../shared/ids.ts";
import { assert } from "../../shared/result.ts";
import { accounts } from "../economy/accounts.ts";
import { commonsSettings, type DomainSettings } from "../economy/domains.ts";
import { grant, voidHold } from "../economy/holds.ts";
import { foundation, TestBooks } from "../settlement/test-books.ts";
import { describeCases } from "./cases.suite.ts";
import { describeDurability } from "./durability.suite.ts";
import { openStore } from "./open.ts";
import { describeParties } from "./parties.suite.ts";
import { describeRequests } from "./requests.suite.ts";
import { describeSettlement } from "./settlement.suite.ts";
import { describeStore, type Place } from "./store.suite.ts";
import type { StoreConfig } from "./store.ts";
import { Traffic } from "./traffic.ts";

/** DATABASE_URL, else a PostgreSQL of this machine that lets us in. */
const candidates = process.env.DATABASE_URL
  ? [process.env.DATABASE_URL]
  : ["root", "postgres"].flatMap((user) => [
      `postgres://${user}@localhost/test?host=/var/run/postgresql`,
      `postgres://${user}@127.0.0.1:5432/test`,
    ]);

async function reachable(): Promise<{ url: string } | { reason: string }> {
  const reasons: string[] = [];
  for (const url of candidates) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
    try {
      await client.connect();
      await client.end();
      return { url };
    } catch (error) {
      reasons.push((error as Error).message);
    }
  }
  return { reason: reasons.join("; ") };
}

const found = await reachable();
const url = "url" in found ? found.url : "";
if ("reason" in found) console.warn(`skipped: no PostgreSQL to test the store on (${found.reason}); set DATABASE_URL`);

let places = 0;
async function makePlace(): Promise<Place> {
  const schema = `tabgrid_test_${process.pid}_${places++}`;
  const execute = async (statement: string) => {
    const client = new pg.Client({ connectionString: url, options: `-c search_path=${schema}` });
    await client.connect();
    try {
      await client.query(statement);
    } finally {
      await client.end();
    }
  };
  return {
    config: (hub) => ({ kind: "postgres", url, schema, hub }),
    execute,
    unprotect: (table) => `drop trigger ${table}_append_only on ${table}`,
    remove: () => execute(`drop schema if exists ${schema} cascade`),
  };
}

describe.skipIf("reason" in found)("the store on PostgreSQL", () => {
  // A block each: what one opens before its tests is no concern of the others.
  describe("books", () => describeStore(makePlace));
  describe("durability", () => describeDurability(makePlace));
  describe("cases", () => describeCases(makePlace));
  describe("requests", () => describeRequests(makePlace));
  describe("pay", () => describeSettlement(makePlace));
  describe("parties", () => describeParties(makePlace, ["one", "two"]));

  describe("with several hubs on one database", () => {
    const hubs = ["one", "two", "three"];
    let place: Place;
    beforeAll(async () => {
      place = await makePlace();
    });
    afterAll(() => place.remove());

    it("all may start at once on an empty one", async () => {
      const stores = await Promise.all(hubs.map((hub) => openStore(place.config(hub))));
      await Promise.all(stores.map((store) => store.migrate()));
      expect(await stores[0]?.counts()).toMatchObject({ transfers: 0 });
      await Promise.all(stores.map((store) => store.close()));
    });

    it("write to the same accounts without waiting in a circle, each on its own chain", {
      timeout: 60_000,
    }, async () => {
      const stores = await Promise.all(hubs.map((hub) => openStore(place.config(hub))));
      const [first] = stores;
      if (!first) throw new Error("no store");
      const shared = new Traffic("shared");
      await shared.addCustomers(first);
      await first.commit({ transfers: shared.customers.map((customer) => grant(customer, 10n ** 9n, "", 1)) });
      await Promise.all(
        stores.map(async (store, hub) => {
          const traffic = new Traffic(`hub ${hub}`);
          for (let i = 0; i < 15; i++) {
            const requests = traffic.requests(20);
            await store.hold(requests);
            const [left, ...rest] = requests;
            const batch = traffic.settlement(rest);
            await store.commit({ ...batch, transfers: [...(batch.transfers ?? []), voidHold(left as never, 9)] });
          }
        }),
      );
      expect(await first.integrityCheck()).toEqual([]);
      expect(await first.counts()).toMatchObject({ receipts: 3 * 15 * 19, openHolds: 0, transfers: 3 + 3 * 15 * 40 });
      expect(await first.account(accounts.foundation)).toMatchObject({ balance: BigInt(3 * 15 * 19) * 20n });
      const page = await first.entries({ account: accounts.foundation }, { limit: 10_000, after: null });
      expect(new Set(page.data.map(({ seq, cursor }) => `${seq} ${cursor}`)).size).toBe(3 * 15 * 19);
      await Promise.all(stores.map((store) => store.close()));
    });

    it("each follows what another changed of a domain, and into the next epoch, within a round of maturing", {
      timeout: 60_000,
    }, async () => {
      const place = await makePlace();
      const [one, other] = [
        await new TestBooks().open(place.config("one")),
        await new TestBooks().open(place.config("two")),
      ];
      const eye = "eye@1" as ModelKey;
      const opened = await one.parties.domains.create(foundation, {
        domain: "eyes",
        title: "",
        owner: null,
        settings: {},
      });
      assert(opened.ok, "nobody has opened it before");
      const version = { model: eye, domain: "eyes", creator: "x", royaltyBasisPoints: 2_000, round: null };
      await one.parties.domains.draft(foundation, version);
      await one.parties.domains.mint(foundation, version);
      const strict = { ...commonsSettings.verification, newcomerPasses: 40 };
      const settings = { ...(opened.value.timeline[0]?.settings as DomainSettings), verification: strict };
      const next = one.domains.epoch + 1;
      expect((await one.parties.domains.change(foundation, "eyes", settings, next)).ok).toBe(true);
      const passes = () => other.domains.settingsOf(eye).verification.newcomerPasses;

      expect(other.domains.has("eyes")).toBe(false);
      await other.settlement.maturer.round();
      expect([other.domains.domainOf(eye), other.domains.epoch, passes()]).toEqual(["eyes", next - 1, 20]);
      await one.settlement.epochs.preview(next - 1, "operator");
      expect(passes()).toBe(20);
      await other.settlement.maturer.round();
      expect([other.domains.epoch, passes()]).toEqual([next, 40]);
      await one.close();
      await other.close();
      await place.remove();
    });
  });

  it("says in one sentence that it cannot be reached, without the password", async () => {
    const config: StoreConfig = { kind: "postgres", url: "postgres://me:secret@127.0.0.1:9/none", hub: "one" };
    const error = await openStore(config).catch((error: Error) => error);
    expect(error).toMatchObject({ code: "unreachable", message: expect.stringContaining("none at 127.0.0.1:9") });
    expect((error as Error).message).not.toContain("secret");
  });
});
