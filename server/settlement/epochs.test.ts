import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { failure } from "../../shared/errors.ts";
import type { CustomerId, OwnerId } from "../../shared/ids.ts";
import { NANO_PER_UNIT } from "../../shared/money.ts";
import { accounts } from "../economy/accounts.ts";
import { MerkleFrontier } from "../economy/receipt-epochs.ts";
import { sha256 } from "../store/sha256.ts";
import { DAY_MS, TestBooks } from "./test-books.ts";

let books: TestBooks;
beforeEach(async () => {
  books = await (await new TestBooks().open()).begin();
  await books.settle(60);
  await books.pass();
});
afterEach(() => books.close());

const epochs = () => books.settlement.epochs;
const preview = async (epoch: number) => {
  const previewed = await epochs().preview(epoch, "operator");
  if (!previewed.ok) throw new Error(previewed.error.message);
  return previewed.value;
};
const closeWhole = async (epoch: number) => {
  const { plan } = await preview(epoch);
  expect(await epochs().approve(epoch, plan.digest, "operator")).toMatchObject({ ok: true });
  expect(await epochs().close(epoch, "operator")).toMatchObject({ ok: true, value: { state: "closed" } });
  return plan;
};
const then = (first: (epoch: number) => Promise<unknown>, act: () => Promise<{ ok: boolean }>) => async () => {
  await first(1);
  return act();
};
const codeOf = (result: { ok: boolean; error?: { code: string } }) => result.error?.code ?? "ok";

it("lets others in between the steps of a round of maturing", async () => {
  let turned = false;
  setImmediate(() => {
    turned = true;
  });
  await books.settlement.maturer.round();
  expect(turned).toBe(true);
});

describe("closing an epoch", () => {
  it("pays royalties, buys and burns, mints what was shown, and leaves the books whole", async () => {
    const plan = await closeWhole(1);
    expect(new Set(plan.transfers.map(({ kind }) => kind))).toEqual(new Set(["royalty", "buyback", "emission"]));
    expect(plan.minted).toBeGreaterThan(0n);
    for (const creator of ["creator 0", "creator 1", "creator 2"]) {
      expect(await books.balance(accounts.creator(creator))).toBe(0n);
      expect(await books.balance(accounts.creatorMatured(creator))).toBe(20n * 200_000n);
    }
    expect(await books.balance("burn:commons")).toBe(0n);
    expect(await books.balance("dn:burned")).toBe(plan.burned);
    expect(-(await books.balance("dn-issuer"))).toBe(100_000_000n * NANO_PER_UNIT + plan.minted);
    const market = await books.parties.market.market();
    expect(await books.balance("market")).toBe(market?.usdc);
    expect(await books.balance("dn:market")).toBe(market?.dn);
    expect(await books.store.integrityCheck()).toEqual([]);
    const log = await books.store.auditLog("epoch:1", { limit: 9, after: null });
    expect(log.data.map(({ action }) => action)).toEqual(["epoch-closed", "epoch-approved", "epoch-previewed"]);
  });

  it("signs a root over the receipts that lie before its fence", async () => {
    await preview(1);
    await books.settle(5);
    await closeWhole(1);
    await books.settle(7);
    const first = await epochs().one(1);
    const tree = new MerkleFrontier(sha256);
    for await (const page of books.store.settlement.receiptRoots(1)) for (const { root } of page) tree.add(root);
    expect(first?.receipts).toEqual({ root: tree.root(), size: 2, signature: "signature" });
    await books.pass();
    await closeWhole(2);
    expect((await epochs().one(2))?.receipts?.size).toBe(1);
  });

  it("goes on with the next one: what was left over is remembered, levels follow one another", async () => {
    const first = await closeWhole(1);
    await books.settle(30);
    await books.pass();
    const second = await closeWhole(2);
    expect(second.memory.revenue).toHaveLength(2);
    expect(first.memory.level).not.toBeNull();
    expect(books.domains.epoch).toBe(3);
    expect(await books.store.integrityCheck()).toEqual([]);
  });

  it("goes on where it was interrupted, also after a start, and comes to the same", async () => {
    const { plan } = await preview(1);
    await epochs().approve(1, plan.digest, "operator");
    const { settlement } = books.store;
    const { postPart } = settlement;
    settlement.postPart = async (epoch) => {
      await postPart.call(settlement, epoch);
      throw failure("internal", "the power went");
    };
    await expect(epochs().close(1, "operator")).rejects.toMatchObject({ message: "the power went" });
    expect((await epochs().one(1))?.state).toBe("approved");
    await books.store.close();
    await books.open();
    expect(await epochs().one(1)).toMatchObject({ state: "closed", digest: plan.digest });
    expect(codeOf(await epochs().close(1, "operator"))).toBe("epoch-closed");
    expect(await books.store.integrityCheck()).toEqual([]);
  });

  it("is in the audit log wherever it is interrupted", async () => {
    const { plan } = await preview(1);
    await epochs().approve(1, plan.digest, "operator");
    const { store } = books;
    const lost = () => Promise.reject(failure("internal", "the power went"));
    store.commit = lost;
    await epochs()
      .close(1, "operator")
      .catch(() => {});
    await store.close();
    await books.open();
    expect((await epochs().one(1))?.state).toBe("closed");
    const log = await books.store.auditLog("epoch:1", { limit: 9, after: null });
    expect(log.data.map(({ action }) => action)).toContain("epoch-closed");
  });
});

describe("a closing is refused", () => {
  it.each([
    ["of an epoch that is none", async () => epochs().preview(7, "operator"), "unknown-epoch"],
    ["that nobody approved", then(preview, () => epochs().close(1, "operator")), "epoch-not-approved"],
    ["approved by another digest", then(preview, () => epochs().approve(1, "0".repeat(64), "x")), "wrong-state"],
    ["that nobody looked at", async () => epochs().approve(1, "0".repeat(64), "x"), "wrong-state"],
    ["a second time", then(closeWhole, () => epochs().close(1, "operator")), "epoch-closed"],
    ["to be looked at again", then(closeWhole, () => epochs().preview(1, "operator")), "epoch-closed"],
    ["to be approved again", then(closeWhole, () => epochs().approve(1, "0".repeat(64), "x")), "epoch-closed"],
    ["while the one before is open", then(preview, () => epochs().preview(2, "operator")), "wrong-state"],
  ])("%s", async (_, act, code) => {
    expect(codeOf(await act())).toBe(code);
  });

  it("before the epoch is over", async () => {
    await closeWhole(1);
    books.now += DAY_MS;
    const { plan } = await preview(2);
    const approved = await epochs().approve(2, plan.digest, "operator");
    expect(approved).toMatchObject({ ok: false, error: { code: "time-locked", field: "epoch" } });
  });

  it("where two act on it at once: the second sees what the first did", async () => {
    const { plan } = await preview(1);
    await books.settle(9);
    await books.pass(); // what has matured since belongs to the next epoch, or behind a new fence
    const [moved, approved] = await Promise.all([
      epochs().preview(1, "one"),
      epochs().approve(1, plan.digest, "other"),
    ]);
    const left = moved.ok ? moved.value.epoch.digest : plan.digest;
    expect([codeOf(moved), codeOf(approved)].sort()).toEqual(["ok", "wrong-state"]);
    if (!approved.ok) expect(codeOf(await epochs().approve(1, left ?? "", "other"))).toBe("ok");
    expect(codeOf(await epochs().close(1, "one"))).toBe("ok");
    await closeWhole(2);
    for (const creator of ["creator 0", "creator 1", "creator 2"])
      expect(await books.balance(accounts.creator(creator))).toBe(0n); // no royalty was left out of both plans
  });

  it("where it was approved at the same time", async () => {
    const { plan } = await preview(1);
    const both = await Promise.all(["one", "other"].map((by) => epochs().approve(1, plan.digest, by)));
    expect(both.map(codeOf).sort()).toEqual(["ok", "wrong-state"]);
  });

  it("where it was approved while somebody looked at it again", async () => {
    const { plan } = await preview(1);
    const { maturer } = books.settlement;
    const { round } = maturer;
    maturer.round = async () => {
      maturer.round = round;
      await epochs().approve(1, plan.digest, "other");
    };
    expect(codeOf(await epochs().preview(1, "one"))).toBe("wrong-state");
    expect(await epochs().one(1)).toMatchObject({ state: "approved", digest: plan.digest });
    expect(codeOf(await epochs().close(1, "one"))).toBe("ok");
  });

  it("where the market has moved since", async () => {
    const { plan } = await preview(1);
    books.now += 1;
    const swap = { give: "USDC", amount: NANO_PER_UNIT, least: 1n } as const;
    const traded = await books.parties.market.swap(
      { customer: "c_ann" as CustomerId, key: null } as never,
      accounts.customer("c_ann" as CustomerId),
      swap,
    );
    expect(traded.ok).toBe(true);
    expect(await epochs().approve(1, plan.digest, "operator")).toMatchObject({
      ok: false,
      error: { code: "wrong-state", got: plan.digest },
    });
    expect(codeOf(await epochs().approve(1, (await preview(1)).plan.digest, "operator"))).toBe("ok");
  });
});

it("pays no more than an overturn left of what had matured", async () => {
  const taken = accounts.creator("creator 0");
  const held = accounts.minerHeld("own_x" as OwnerId);
  const legs = [
    { account: taken, asset: "USDC" as const, amount: -3_900_000n },
    { account: held, asset: "USDC" as const, amount: 3_900_000n },
  ];
  await books.store.commit({ transfers: [{ id: "taken", kind: "overturn", at: books.now, task: null, legs }] });
  await closeWhole(1);
  expect(await books.balance(accounts.creatorMatured("creator 0"))).toBe(100_000n);
});

it("spends an owner's matured pay as API balance, once a request, and not more than there is", async () => {
  const [ann] = ["c_ann" as CustomerId];
  const owner = (await books.store.accounts({ limit: 100, after: "miner:" })).data
    .map(({ account }) => account)
    .find((account) => !account.endsWith(":held"))
    ?.slice("miner:".length) as OwnerId;
  const { available } = await books.settlement.earnings.balances(owner);
  expect(available).toBeGreaterThan(0n);
  const before = await books.balance("customer:c_ann");
  const spend = (amount: bigint, request: string, customer = ann) =>
    books.settlement.earnings.spend(owner, customer as CustomerId, amount, request);
  expect(await spend(available - 1n, "one")).toMatchObject({ ok: true, value: { available: 1n } });
  expect(await spend(available - 1n, "one")).toMatchObject({ ok: true, value: { available: 1n } });
  expect(await books.balance("customer:c_ann")).toBe(before + available - 1n);
  expect(codeOf(await spend(2n, "two"))).toBe("insufficient-balance");
  expect(codeOf(await spend(0n, "three"))).toBe("value-out-of-range");
  expect(codeOf(await spend(1n, "four", "c_nobody" as CustomerId))).toBe("unknown-account");
  expect(await books.store.integrityCheck()).toEqual([]);
});

it("pays stake by its average over the time that the epoch lasted, not over the time that it should have", async () => {
  const staker = "c_ann" as CustomerId;
  const dn = accounts.dn(accounts.customer(staker));
  const legs = [
    { account: accounts.dnTreasury, asset: "DN" as const, amount: -1_000_000n },
    { account: dn, asset: "DN" as const, amount: 1_000_000n },
  ].sort((a, b) => (a.account < b.account ? -1 : 1));
  await books.store.commit({ transfers: [{ id: "given", kind: "grant", at: books.now, task: null, legs }] });
  const target = { domain: "commons", validator: null };
  expect(await books.parties.staking.stake({ customer: staker, key: null }, target, 1_000_000n)).toMatchObject({
    ok: true,
  });
  const begun = books.now - ((await epochs().one(1))?.openedAt ?? 0);
  const earned = async () => {
    const { plan } = await preview(1);
    const gains = plan.transfers.flatMap((one) => one.legs).filter(({ account }) => account === dn);
    return gains.reduce((sum, { amount }) => sum + amount, 0n);
  };
  books.now += begun; // staked for half of the epoch
  const half = await earned();
  expect(half).toBeGreaterThan(1_000n);
  books.now += 2 * begun; // for three quarters
  const ratio = Number((await earned()) * 1_000n) / Number(half * 1_000n);
  expect(ratio).toBeCloseTo(1.5, 2);
});
