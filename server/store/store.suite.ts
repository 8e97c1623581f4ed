import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { CustomerId, MinerId, ModelKey, OwnerId, ReceiptId, SessionId, TaskId } from "../../shared/ids.ts";
import { receiptOf } from "../../shared/ids.ts";
import type { Standing } from "../core/events.ts";
import { accounts } from "../economy/accounts.ts";
import { expireHold, grant, voidHold } from "../economy/holds.ts";
import { legsOf } from "../economy/ledger.ts";
import { verifyPath } from "../economy/receipts.ts";
import { openStore } from "./open.ts";
import { sha256 } from "./sha256.ts";
import type { Store, StoreConfig } from "./store.ts";
import { Traffic } from "./traffic.ts";

/** One empty place to keep a store in. */
export interface Place {
  config(hub: string): StoreConfig;
  /** Runs SQL past the store, which must be closed. */
  execute(statement: string): Promise<void>;
  /** SQL that lifts the protection of an append-only table. */
  unprotect(table: string): string;
  remove(): Promise<void>;
}

/** The contract of a store, the same on every database. */
export function describeStore(makePlace: () => Promise<Place>): void {
  let place: Place;
  let store: Store;
  let traffic: Traffic;

  const open = async (hub = "one") => {
    const opened = await openStore(place.config(hub));
    await opened.migrate();
    return opened;
  };
  const reopen = async () => {
    await store.close();
    store = await open();
  };
  const rich = async (amount = 1_000_000n) => {
    await traffic.addCustomers(store);
    await store.commit({ transfers: traffic.customers.map((customer) => grant(customer, amount, "first", 1)) });
  };
  /** Balances and sizes: what must not change where nothing happened. */
  const snapshot = async () => ({
    accounts: (await store.accounts({ limit: 1_000, after: null })).data,
    counts: await store.counts(),
    holds: await store.openHolds(),
  });
  const sound = async () => {
    expect(await store.integrityCheck()).toEqual([]);
    expect(await store.imbalance()).toEqual({ USDC: 0n, DN: 0n });
  };

  beforeEach(async () => {
    place = await makePlace();
    store = await open();
    traffic = new Traffic("suite");
  });
  afterEach(async () => {
    await store.close().catch(() => {});
    await place.remove();
  });

  describe("holds", () => {
    it("go in order as far as the balance reaches, and know their customers", async () => {
      await rich(5_000n);
      const of = (customer: string, amount: bigint, task: string) => {
        return { task: `t_${task}` as TaskId, customer: customer as CustomerId, amount, at: 2 };
      };
      const requests = [
        of("c_ann", 3_000n, "1"),
        of("c_ann", 3_000n, "2"),
        of("c_ann", 2_000n, "3"),
        of("c_x", 1n, "4"),
      ];
      expect(await store.hold(requests)).toEqual(["held", "insufficient", "held", "unknown-customer"]);
      expect(await store.account(accounts.customer("c_ann" as CustomerId))).toMatchObject({
        balance: 0n,
        asset: "USDC",
      });
      expect(await store.account(accounts.customerHeld("c_ann" as CustomerId))).toMatchObject({ balance: 5_000n });
      expect((await store.openHolds()).map(({ task }) => task)).toEqual(["t_1", "t_3"]);
      await sound();
    });

    it("count once when repeated, and refuse the same task with another amount", async () => {
      await rich();
      const requests = traffic.requests(3);
      const twice = [...requests, ...requests];
      expect(await store.hold(twice)).toEqual(Array(6).fill("held"));
      const before = await snapshot();
      expect(await store.hold(requests)).toEqual(Array(3).fill("held"));
      const other = requests.map((request) => ({ ...request, amount: 1n }));
      await expect(store.hold(other)).rejects.toMatchObject({ code: "conflict" });
      expect(await snapshot()).toEqual(before);
      await sound();
    });

    it("survive the process and can be voided or expired then", async () => {
      await rich();
      const requests = traffic.requests(4);
      await store.hold(requests);
      await reopen();
      const [first, ...rest] = await store.openHolds();
      expect(rest).toHaveLength(3);
      await store.commit({ transfers: [expireHold(first as never, 9), ...rest.map((hold) => voidHold(hold, 9))] });
      expect(await store.openHolds()).toEqual([]);
      expect(await store.account(accounts.customer("c_ann" as CustomerId))).toMatchObject({ balance: 1_000_000n });
      await sound();
    });

    it("end in exactly one way", async () => {
      await rich();
      const [hold] = traffic.requests(1);
      await store.hold([hold as never]);
      await store.commit(traffic.settlement([hold as never]));
      const before = await snapshot();
      await expect(store.commit({ transfers: [voidHold(hold as never, 9)] })).rejects.toMatchObject({
        code: "conflict",
      });
      const [never] = traffic.requests(1);
      await expect(store.commit({ transfers: [voidHold(never as never, 9)] })).rejects.toThrow(/its hold is missing/);
      const [open] = traffic.requests(1);
      await store.hold([open as never]);
      const half = voidHold({ ...(open as { task: TaskId; customer: CustomerId }), amount: 1_000n }, 9);
      await expect(store.commit({ transfers: [half] })).rejects.toThrow(/releases 1000 of a hold of 2000/);
      await store.commit({ transfers: [voidHold(open as never, 9)] });
      expect((await snapshot()).holds).toEqual(before.holds);
      await sound();
    });
  });

  describe("a commit", () => {
    it("writes tasks, postings and receipts that prove themselves", async () => {
      await rich();
      const requests = traffic.requests(11);
      await store.hold(requests);
      const batch = traffic.settlement(requests);
      await store.commit(batch);
      await reopen();
      for (const { task } of requests) {
        expect(await store.task(task)).toEqual(batch.tasks?.find((one) => one.task === task));
        const receipt = await store.receipt(receiptOf(task));
        expect(receipt).toMatchObject({ root: batch.receipts?.root, signature: "signature", size: 11 });
        expect(verifyPath(receipt as never, sha256)).toBe(true);
        const { data } = await store.entries({ task }, { limit: 10, after: null });
        expect(data.map(({ kind }) => kind)).toEqual(["settle", "hold"]);
        expect(data[0]?.legs).toEqual(batch.transfers?.find((one) => one.task === task)?.legs);
      }
      const prices = batch.tasks?.map(({ price }) => price);
      expect(await store.recentPrices(4)).toEqual(prices?.slice(-4));
      expect(await store.task("t_none" as TaskId)).toBeNull();
      expect(await store.receipt("r_none" as ReceiptId)).toBeNull();
      expect(await store.counts()).toMatchObject({ tasks: 11, receipts: 11, openHolds: 0, transfers: 3 + 22 });
      await sound();
    });

    it("twice is once", async () => {
      await rich();
      const requests = traffic.requests(5);
      await store.hold(requests);
      const batch = traffic.settlement(requests);
      await store.commit(batch);
      const before = await snapshot();
      await store.commit(batch);
      await store.commit({ ...batch, transfers: batch.transfers?.map((transfer) => ({ ...transfer, at: 99 })) });
      expect(await snapshot()).toEqual(before);
      await sound();
    });

    it("is refused whole where one transfer is known with other content", async () => {
      await rich();
      const requests = traffic.requests(5);
      await store.hold(requests);
      const before = await snapshot();
      const batch = traffic.settlement(requests);
      const again = grant("c_ann" as CustomerId, 7n, "first", 1);
      await expect(store.commit({ ...batch, transfers: [...(batch.transfers ?? []), again] })).rejects.toMatchObject({
        code: "conflict",
        message: "grant:c_ann:first is posted already, with other content.",
      });
      expect(await snapshot()).toEqual(before);
      expect(await store.task(requests[0]?.task as TaskId)).toBeNull();
      await store.commit(batch);
      await sound();
    });

    it("cannot bring a balance below zero: the database itself refuses", async () => {
      await rich();
      const before = await snapshot();
      const overspend = legsOf(
        new Map([
          [accounts.pool("commons"), -1n],
          [accounts.foundation, 1n],
        ]),
      );
      const transfer = { id: "grant:none", kind: "grant" as const, at: 1, task: null, legs: overspend };
      await expect(store.commit({ transfers: [transfer] })).rejects.toMatchObject({ code: "conflict" });
      expect(await snapshot()).toEqual(before);
    });

    it("cannot bring a balance above 64 bits: the database itself refuses", async () => {
      const most = 2n ** 63n - 1n;
      const ann = "c_ann" as CustomerId;
      await store.commit({ transfers: [grant(ann, most, "first", 1)] });
      const before = await snapshot();
      await expect(store.commit({ transfers: [grant(ann, 2n, "second", 1)] })).rejects.toMatchObject({
        code: "conflict",
      });
      expect(await snapshot()).toEqual(before);
      expect(await store.account(accounts.customer(ann))).toMatchObject({ balance: most });
      await sound();
    });

    it("refuses a transfer off balance", async () => {
      const { legs, ...transfer } = grant("c_ann" as CustomerId, 7n, "x", 1);
      await expect(store.commit({ transfers: [{ ...transfer, legs: legs.slice(1) }] })).rejects.toThrow(/off balance/);
    });

    it("replaces a task whole", async () => {
      await rich();
      const [task] = traffic.settlement(traffic.requests(1)).tasks ?? [];
      const failed = {
        ...task,
        state: "failed" as const,
        basis: null,
        endedAt: null,
        error: { code: "cancelled", message: "ü" },
      };
      await store.commit({ tasks: [task as never, failed as never] });
      await store.commit({ tasks: [failed as never] });
      expect(await store.task(task?.task as TaskId)).toEqual(failed);
    });
  });

  describe("reading", () => {
    it("pages entries of an account, newest first, and accounts by name", async () => {
      await rich();
      const requests = traffic.requests(12);
      await store.hold(requests);
      await store.commit(traffic.settlement(requests));
      const account = accounts.pool("commons");
      const seen: string[] = [];
      let after: string | null = null;
      for (let more = true; more; ) {
        const page: Awaited<ReturnType<Store["entries"]>> = await store.entries({ account }, { limit: 5, after });
        seen.push(...page.data.map(({ task }) => task as string));
        after = page.data.at(-1)?.cursor as string;
        more = page.hasMore;
      }
      expect(seen).toEqual(requests.map(({ task }) => task).toReversed());
      const all = await store.entries({}, { limit: 1_000, after: null });
      expect(all.data).toHaveLength(27);
      const names = (await store.accounts({ limit: 1_000, after: null })).data.map(({ account }) => account);
      const first = await store.accounts({ limit: 3, after: null });
      expect(first.hasMore).toBe(true);
      const next = await store.accounts({ limit: 1_000, after: first.data.at(-1)?.account as string });
      expect([...first.data, ...next.data].map(({ account }) => account)).toEqual(names);
      expect(new Set(names).size).toBe(names.length);
    });

    it("names a cursor that is none", async () => {
      await expect(store.entries({}, { limit: 1, after: "x" })).rejects.toMatchObject({
        error: { code: "invalid-request", field: "after" },
      });
    });
  });

  describe("records", () => {
    it("keep standings, miners, models and what miners signed", async () => {
      const standing = (owner: string, alpha: number): Standing => ({
        owner: owner as OwnerId,
        alpha,
        beta: 1.5,
        updatedAt: 7,
        strikes: 0.1,
        suspended: false,
        openCase: null,
        passed: { "digits@1|webgpu|c": 3 },
        proven: { "digits@1|webgpu|c": 4 },
        history: [{ kind: "passes", at: 7, count: 3, strikes: 0 }],
      });
      const miner = {
        miner: "m_a" as MinerId,
        publicKey: "key",
        owner: "own_a" as OwnerId,
        firstSeenAt: 5,
        lastSeenAt: 6,
      };
      const model = {
        key: "digits@1" as ModelKey,
        manifest: { id: "digits" },
        golden: { runtime: "ort" },
        publishedAt: 3,
      };
      const signature = {
        session: "s_a" as SessionId,
        miner: "m_a" as MinerId,
        seq: 64,
        link: "aa",
        signature: "s",
        at: 9,
      };
      const audit = { at: 1, actor: "operator", action: "pause", detail: { model: "digits@1" } };
      const batch = {
        standings: [standing("own_a", 1), standing("own_b", 2), standing("own_a", 3)],
        miners: [miner],
        models: [model as never],
        chainSignatures: [signature],
        audit: [audit, audit],
      };
      await store.commit(batch);
      await store.commit({
        ...batch,
        miners: [{ ...miner, owner: "own_b" as OwnerId, firstSeenAt: 8, lastSeenAt: 9 }],
      });
      await reopen();
      await store.commit({ audit: [audit] });
      expect(await store.standings()).toEqual([standing("own_a", 3), standing("own_b", 2)]);
      expect(await store.standing("own_a" as OwnerId)).toEqual(standing("own_a", 3));
      expect(await store.standing("own_x" as OwnerId)).toBeNull();
      expect(await store.miner("m_a" as MinerId)).toEqual({ ...miner, owner: "own_b", lastSeenAt: 9 });
      expect(await store.models()).toEqual([model]);
      await expect(store.commit({ models: [{ ...model, manifest: { id: "other" } } as never] })).rejects.toMatchObject({
        code: "conflict",
      });
      await sound();
    });

    it("keep customers, keys and settings", async () => {
      const customer = { customer: "c_a" as CustomerId, name: "Ann", createdAt: 1 };
      const key = {
        id: "k1",
        secretHash: "h1",
        name: "first",
        customer: customer.customer,
        scopes: ["infer"],
        createdAt: 2,
        revokedAt: null,
      };
      await store.addCustomer(customer);
      await store.addApiKey(key);
      await store.setSetting("hub-key", "one");
      await store.setSetting("hub-key", "two");
      await reopen();
      expect(await store.customer(customer.customer)).toEqual(customer);
      expect(await store.account(accounts.customer(customer.customer))).toMatchObject({ balance: 0n, entries: 0 });
      expect(await store.apiKeyByHash("h1")).toEqual(key);
      expect(await store.apiKeyByHash("h2")).toBeNull();
      expect(await store.revokeApiKey("k1", 9)).toBe(true);
      expect(await store.revokeApiKey("k1", 10)).toBe(false);
      expect(await store.apiKeys(customer.customer)).toEqual([{ ...key, revokedAt: 9 }]);
      expect(await store.setting("hub-key")).toBe("two");
      expect(await store.setting("none")).toBeNull();
      await expect(store.addCustomer(customer)).rejects.toMatchObject({ code: "conflict" });
    });
  });

  it("comes to the same as plain arithmetic over any sequence of holds, ends and repetitions", async () => {
    const step = fc.record({
      kind: fc.constantFrom("hold" as const, "settle" as const, "void" as const, "expire" as const, "repeat" as const),
      count: fc.integer({ min: 1, max: 5 }),
      amount: fc.bigInt(1n, 40n).map((micro) => micro * 1_000n),
    });
    await rich(200_000n);
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
        const made = new Traffic(`any ${run++}`);
        let open = (await store.openHolds()).map((hold) => ({ ...hold, at: 1 }));
        let last: Parameters<Store["commit"]>[0] = {};
        for (const { kind, count, amount } of steps) {
          const ending = open.slice(0, count);
          if (kind === "repeat") await store.commit(last);
          else if (kind === "hold") {
            const requests = made.requests(count, amount);
            const outcomes = await store.hold(requests);
            open = [...open, ...requests.filter((_, i) => outcomes[i] === "held")];
          } else if (ending.length > 0) {
            const end = kind === "void" ? voidHold : expireHold;
            last = kind === "settle" ? made.settlement(ending) : { transfers: ending.map((hold) => end(hold, 9)) };
            await store.commit(last);
            open = open.slice(count);
          }
        }
        expect((await store.openHolds()).map(({ task }) => task).sort()).toEqual(open.map(({ task }) => task).sort());
        const { data } = await store.accounts({ limit: 1_000, after: null });
        for (const { account, balance } of data) expect(balance >= 0n || account === accounts.issuer).toBe(true);
        await sound();
      }),
      { numRuns: 12 },
    );
  });
}
