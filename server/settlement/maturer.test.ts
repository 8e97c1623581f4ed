import { afterEach, beforeEach, expect, it } from "vitest";
import type { AccountId, OwnerId } from "../../shared/ids.ts";
import { accounts } from "../economy/accounts.ts";
import { commonsSettings } from "../economy/domains.ts";
import { CLEAN_MS } from "../economy/maturation.ts";
import { DAY_MS, foundation, TestBooks } from "./test-books.ts";

/** Pay that a domain's minimum needs stays where it is, also on the way out. */
let books: TestBooks;
let owner: OwnerId;
const caller = { customer: null, key: null };
beforeEach(async () => {
  books = await (await new TestBooks().open()).begin();
  const settings = { ...commonsSettings, minimumCollateral: 1_000_000_000_000n };
  const changed = await books.parties.domains.change(foundation, "commons", settings, 2);
  if (!changed.ok) throw new Error(changed.error.message);
  books.domains.epoch = 2;
  await books.settle(60);
  const { data } = await books.store.accounts({ limit: 1, after: "miner:" as AccountId });
  owner = data[0]?.account.split(":")[1] as OwnerId;
});
afterEach(() => books.close());

const held = () => books.balance(accounts.minerHeld(owner));
const must = async <T>(asked: Promise<{ ok: true; value: T } | { ok: false; error: { message: string } }>) => {
  const done = await asked;
  if (!done.ok) throw new Error(done.error.message);
  return done.value;
};

it("matures where nothing is needed of it", async () => {
  expect(await held()).toBeGreaterThan(0n);
  await books.pass();
  expect(await held()).toBe(0n);
});

it("stays bonded as long as its owner is registered, and for the unbonding time after it left", async () => {
  const all = await held();
  await must(books.parties.miners.register(caller, owner, "commons", { deposit: 0n, ask: null }));
  await books.pass();
  expect(await held()).toBe(all);
  await must(books.parties.miners.leave(caller, owner, "commons"));
  await books.pass(CLEAN_MS / 2 - 1);
  expect(await held()).toBe(all);
  await books.pass(1);
  expect(await held()).toBe(0n);
  expect(await books.balance(accounts.miner(owner))).toBe(all);
  await must(books.parties.miners.release(caller, owner, "commons"));
  expect(await books.store.integrityCheck()).toEqual([]);
});

it("stays bonded by the other domain where its owner leaves one of two", async () => {
  const all = await held();
  await must(books.parties.miners.register(caller, owner, "commons", { deposit: 0n, ask: null }));
  await must(
    books.parties.domains.create(foundation, {
      domain: "vision",
      title: "Vision",
      owner: null,
      settings: { minimumCollateral: 1_000_000_000_000n },
    }),
  );
  await must(books.parties.miners.register(caller, owner, "vision", { deposit: 0n, ask: null }));
  await must(books.parties.miners.leave(caller, owner, "commons"));
  await books.pass(CLEAN_MS + DAY_MS);
  expect(await held()).toBe(all);
});
