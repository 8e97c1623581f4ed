import { afterEach, beforeEach, expect, it } from "vitest";
import { selfSchema } from "../../shared/economy-api.ts";
import type { AccountId, CustomerId, OwnerId } from "../../shared/ids.ts";
import { Exhibits } from "../cases/exhibits.ts";
import { commitRevision, gather, revise } from "../cases/revisions.ts";
import type { HubEffect, Overturn } from "../core/events.ts";
import { legsOf } from "../economy/ledger.ts";
import { TestBooks } from "./test-books.ts";

/** A refund that nobody can cover waits, and is paid as soon as somebody can. */
const PRICE = 1_000_000n;
let books: TestBooks;
let customer: CustomerId;
beforeEach(async () => {
  books = await (await new TestBooks().open()).begin();
  await books.settle(2, PRICE);
});
afterEach(() => books.close());

let moved = 0;
const move = async (from: string, to: string, amount: bigint) => {
  const gains = new Map([
    [from as AccountId, -amount],
    [to as AccountId, amount],
  ]);
  const transfer = { id: `moved:${++moved}`, kind: "grant", at: books.now, task: null, legs: legsOf(gains) } as const;
  await books.store.commit({ transfers: [transfer] });
};
/** Everything that a refund could be taken from is gone, but for what both tasks' creators have. */
const spendAll = async () => {
  const { data } = await books.store.accounts({ limit: 1_000, after: null });
  for (const { account, balance } of data)
    if (balance > 0n && /^(pool:|domain:|foundation|processor|burn:)/.test(account))
      await move(account, "market", balance);
};

/** As the hub does it where the first answer turns out wrong. */
async function overturnFirst(): Promise<string> {
  const { data } = await books.store.entries({}, { limit: 100, after: null });
  const settled = data.filter(({ kind }) => kind === "settle").at(-1);
  const task = settled?.task as never;
  const record = await books.store.task(task);
  customer = record?.customer as CustomerId;
  const owner = settled?.legs.find(({ account }) => account.startsWith("miner:"))?.account.split(":")[1] as OwnerId;
  const words = { commitment: "", reference: "", reason: "wrong", assignment: "" as never };
  const fact: Overturn = { task, at: books.now, customer, price: PRICE, owner, ...words };
  const effects: HubEffect[] = [{ kind: "overturned", fact }];
  const past = await gather(effects, books.store);
  if (!past) throw new Error("an overturn looks back");
  const pools = new Map([["commons", await books.balance("pool:commons")]]);
  const parts = { domains: books.domains, pools, exhibits: new Exhibits(() => null) };
  await commitRevision(books.store, {}, books.now, new Set(), (read) => revise(past, { ...parts, books: read }));
  return task;
}
const claims = async () => (await books.store.parties.all("claim")).map(({ state, body }) => [state, body.left]);
const owed = async () => selfSchema.shape.owed.parse(String((await books.parties.customers.self(customer)).owed));

it("leaves no claim where the settlement's own accounts cover it", async () => {
  await overturnFirst();
  expect(await claims()).toEqual([]);
  expect(await owed()).toBe("0");
});

it("is queued for what is missing, and paid by pool, treasury and foundation, in this order, as they have it again", async () => {
  await spendAll();
  const task = await overturnFirst();
  const missing = (PRICE * 13n) / 100n; // 1 + 1 + 3 + 8 %
  expect(await claims()).toEqual([["open", missing]]);
  expect(await owed()).toBe(String(missing));
  const before = await books.balance(`customer:${customer}`);

  await books.settlement.maturer.round();
  expect(await claims()).toEqual([["open", missing]]);

  await move("market", "foundation", 50_000n);
  await move("market", "pool:commons", 20_000n);
  await books.settlement.maturer.round();
  expect(await claims()).toEqual([["open", missing - 70_000n]]);
  expect(await books.balance("pool:commons")).toBe(0n);
  expect(await books.balance("foundation")).toBe(0n);

  await move("market", "pool:commons", 40_000n);
  await move("market", "domain:commons", 40_000n);
  await move("market", "foundation", 40_000n);
  await books.settlement.maturer.round();
  expect(await claims()).toEqual([["paid", 0n]]);
  expect(await owed()).toBe("0");
  expect(await books.balance("pool:commons")).toBe(0n);
  expect(await books.balance("domain:commons")).toBe(80_000n - (missing - 70_000n));
  expect(await books.balance("foundation")).toBe(40_000n);
  expect(await books.balance(`customer:${customer}`)).toBe(before + missing);
  await books.settlement.maturer.round();
  expect(await books.balance(`customer:${customer}`)).toBe(before + missing);
  const audit = await books.store.auditLog(task, { limit: 9, after: null });
  expect(audit.data.map(({ action }) => action)).toEqual(["claim-paid", "claim-paid", "answer-overturned"]);
  expect(await books.store.integrityCheck()).toEqual([]);
});
