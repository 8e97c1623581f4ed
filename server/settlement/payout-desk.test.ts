import { afterEach, beforeEach, expect, it } from "vitest";
import { accounts } from "../economy/accounts.ts";
import { TestBooks } from "./test-books.ts";

let books: TestBooks;
const address = `0x${"a".repeat(40)}`;
beforeEach(async () => {
  books = new TestBooks();
  books.rail = "csv";
  await (await books.open()).begin();
  await books.settle(60);
  await books.pass();
  const account = accounts.creatorMatured("creator 0");
  await books.store.settlement.payouts.setAddress({ account, address, proof: "", at: 1 });
  const { epochs } = books.settlement;
  const shown = await epochs.preview(1, "operator");
  if (!shown.ok) throw new Error(shown.error.message);
  await epochs.approve(1, shown.value.plan.digest, "operator");
  await epochs.close(1, "operator");
});
afterEach(() => books.close());

it("counts a rail's claim once, and refuses its reference for another one", async () => {
  const { payouts } = books.settlement;
  const cumulative = (await books.store.settlement.payouts.book("USDC", 1)).cumulative.get(address) as bigint;
  const claim = { reference: "0x1", asset: "USDC", address, cumulative: cumulative - 1n } as const;
  expect(await payouts.claim(claim)).toMatchObject({ ok: true });
  expect(await payouts.claim(claim)).toMatchObject({ ok: true });
  const refused = { ok: false, error: { code: "already-claimed", field: "reference", got: "0x1" } };
  expect(await payouts.claim({ ...claim, cumulative })).toMatchObject(refused);
  expect(await payouts.claim({ ...claim, reference: "0x2", cumulative })).toMatchObject({ ok: true });
});
