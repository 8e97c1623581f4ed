import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { failure } from "../../shared/errors.ts";
import type { AccountId, CustomerId, ModelKey } from "../../shared/ids.ts";
import { assert, err, ok } from "../../shared/result.ts";
import { accounts } from "../economy/accounts.ts";
import { type Pledge, pledge } from "../economy/demand-board.ts";
import { commonsSettings } from "../economy/domains.ts";
import { grant } from "../economy/holds.ts";
import { seedMarket, trade } from "../economy/market.ts";
import { openStore } from "./open.ts";
import type { PartyRecord } from "./party-records.ts";
import type { Work } from "./party-store.ts";
import type { Place } from "./store.suite.ts";
import type { Store } from "./store.ts";

/** Commands of parties: read, decided and written in one transaction. The same on each database. */
export function describeParties(makePlace: () => Promise<Place>, hubs: readonly string[]): void {
  let place: Place;
  let stores: Store[];
  const ann = "c_ann" as CustomerId;
  const own = accounts.customer(ann);
  const model = "digits@1" as ModelKey;

  const open = async () => {
    stores = await Promise.all(hubs.map((hub) => openStore(place.config(hub))));
    for (const store of stores) await store.migrate();
  };
  const close = () => Promise.all(stores.map((store) => store.close().catch(() => {})));
  const first = () => stores[0] as Store;
  const balance = async (account: AccountId) => (await first().account(account))?.balance ?? 0n;

  beforeEach(async () => {
    place = await makePlace();
    await open();
    await first().addCustomer({ customer: ann, name: "", createdAt: 1 });
    await first().commit({ transfers: [grant(ann, 1_000n, "first", 1)] });
  });
  afterEach(async () => {
    await close();
    await place.remove();
  });

  const recordOf = (body: Pledge, at: number): PartyRecord<"pledge"> => {
    const found = { party: own, subject: model, state: body.withdrawn ? "withdrawn" : "open" };
    return { kind: "pledge", id: body.pledge, ...found, from: null, at, by: own, body };
  };
  const pledging =
    (id: string, amount: bigint): Work<{ pledge: string; left: bigint }> =>
    async (books) => {
      const made = pledge({ pledge: id, customer: ann, model, raisePercent: 10 }, amount, await books.balance(own), 5);
      if (!made.ok) return made;
      const { transfer } = made.value;
      const audit = [{ at: 5, actor: own, action: "pledge", subject: id, detail: { amount: String(amount) } }];
      const parties = [recordOf(made.value.pledge, 5)];
      return ok({ reply: { pledge: id, left: amount }, transfers: [transfer], parties, audit });
    };
  const command = (key: string | null, inputHash = "aa") => ({ key, inputHash, at: 5 });

  describe("commands of parties", () => {
    it("write transfers, records and audit line together, and all survive", async () => {
      const done = await first().parties.act(command(null), pledging("p_1", 300n));
      expect(done).toMatchObject({ ok: true, value: { repeated: false, reply: { left: 300n } } });
      await close();
      await open();
      expect((await first().parties.one("pledge", "p_1"))?.body).toMatchObject({ left: 300n, raisePercent: 10 });
      expect(await balance(own)).toBe(700n);
      expect((await first().auditLog("p_1", { limit: 5, after: null })).data).toMatchObject([{ action: "pledge" }]);
      expect(await first().integrityCheck()).toEqual([]);
    });

    it("write nothing where they are refused, or where one part cannot be written", async () => {
      const refused = await first().parties.act(command("k"), pledging("p_1", 1_001n));
      expect(refused).toMatchObject({ ok: false, error: { code: "insufficient-balance", field: "amount" } });
      const half: Work<null> = async (books) => {
        const made = await pledging("p_2", 10n)(books);
        assert(made.ok, "it is covered");
        const legs = [
          { account: "burn:x" as AccountId, asset: "USDC" as const, amount: -1n },
          { account: own, asset: "USDC" as const, amount: 1n },
        ];
        const tooMuch = { id: "x", kind: "pledge" as const, at: 5, task: null, legs };
        return ok({ ...made.value, reply: null, transfers: [...(made.value.transfers ?? []), tooMuch] });
      };
      await expect(first().parties.act(command("k2"), half)).rejects.toMatchObject({ code: "conflict" });
      const other = await first().parties.act(command("k3"), async () => err(failure("wrong-state", "no")));
      expect(other.ok).toBe(false);
      expect(await first().parties.all("pledge")).toEqual([]);
      expect(await balance(own)).toBe(1_000n);
      // What was refused has not taken its key.
      expect((await first().parties.act(command("k"), pledging("p_1", 10n))).ok).toBe(true);
    });

    it("answer a repeated key as at first, and refuse it for another request", async () => {
      const reply = await first().parties.act(command("k"), pledging("p_1", 300n));
      const again = await first().parties.act(command("k"), pledging("p_2", 300n));
      assert(reply.ok && again.ok, "both are answered");
      expect(again.value).toEqual({ reply: reply.value.reply, repeated: true });
      const other = await first().parties.act(command("k", "bb"), pledging("p_3", 1n));
      expect(other).toMatchObject({ ok: false, error: { code: "already-claimed", field: "idempotency-key" } });
      expect(await balance(own)).toBe(700n);
    });

    it("wait for one another, also on several hubs: nothing is spent twice", async () => {
      const wanted = Array.from({ length: 12 }, (_, n) => n);
      const results = await Promise.all(
        wanted.map((n) => (stores[n % stores.length] as Store).parties.act(command(`k${n}`), pledging(`p_${n}`, 300n))),
      );
      expect(results.filter(({ ok }) => ok)).toHaveLength(3);
      expect(results.every((one) => one.ok || one.error.code === "insufficient-balance")).toBe(true);
      expect(await balance(own)).toBe(100n);
      expect(await balance(accounts.pledge(model))).toBe(900n);
      expect(await first().parties.sum("pledge:")).toBe(900n);
      expect(await first().integrityCheck()).toEqual([]);
    });

    it("are found by kind, party, subject and state, in order and in pages", async () => {
      for (const n of [1, 2, 3]) {
        const body: Pledge = { pledge: `p_${n}`, customer: ann, model, left: 1n, raisePercent: 1, withdrawn: n === 2 };
        await first().commit({ parties: [recordOf(body, n)] });
      }
      const ids = (rows: { id: string }[]) => rows.map(({ id }) => id);
      expect(ids(await first().parties.all("pledge", { party: own, state: "open" }))).toEqual(["p_1", "p_3"]);
      expect(ids(await first().parties.all("pledge", { subject: "other@1" }))).toEqual([]);
      const page = await first().parties.list("pledge", {}, { limit: 2, after: null });
      expect([ids(page.data), page.hasMore]).toEqual([["p_3", "p_2"], true]);
      const rest = await first().parties.list("pledge", {}, { limit: 2, after: "p_2" });
      expect([ids(rest.data), rest.hasMore]).toEqual([["p_1"], false]);
    });

    it("of domains without a verification policy, as they were once written, are under that of all", async () => {
      const { verification, ...older } = commonsSettings;
      const timeline = [{ from: 0, at: 1, by: "x", settings: older as typeof commonsSettings }];
      const body = { domain: "old", title: "Old", owner: null, timeline };
      const found = { party: null, subject: null, state: "open", from: 0, at: 1, by: "x" };
      await first().commit({ parties: [{ kind: "domain", id: "old", ...found, body }] });
      const whole = [{ ...timeline[0], settings: { ...older, verification } }];
      expect((await first().parties.one("domain", "old"))?.body.timeline).toEqual(whole);
      expect((await first().parties.all("domain")).map((one) => one.body.timeline)).toEqual([whole]);
    });

    it("keep what they are made of exactly: amounts, maps, prices", async () => {
      const market = trade(seedMarket(10n ** 18n, 10n ** 17n, 1), { usdcIn: 10n ** 15n }, 9_000_000).market;
      const found = { party: null, subject: null, state: "open", from: null, at: 1, by: "foundation" };
      await first().commit({ parties: [{ kind: "market", id: "market", ...found, body: market }] });
      expect((await first().parties.one("market", "market"))?.body).toEqual(market);
      const change = { kind: "network" as const, parameter: "emission.kappaPpm" as const, value: 1n };
      const votes = new Map([[own, { weight: 2n ** 70n, approve: true }]]);
      const times = { openedAt: 1, closesAt: 2, unlocksAt: null };
      const body = { id: "v", title: "t", by: own, change, from: 2, ...times, votes, state: "voting" as const };
      await first().commit({ parties: [{ kind: "proposal", id: "v", ...found, body }] });
      expect((await first().parties.one("proposal", "v"))?.body).toEqual(body);
    });
  });
}
