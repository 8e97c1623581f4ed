import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { AccountId, ModelKey, OwnerId, TaskId } from "../../shared/ids.ts";
import { sha256 } from "../../shared/test-sha256.ts";
import { accounts } from "./accounts.ts";
import { defaultEmissionRule } from "./emission.ts";
import { approve, close, type EpochState, preview } from "./epoch.ts";
import { type EpochInput, firstMemory, planEpoch } from "./epoch-plan.ts";
import { countParts, countTask, emptyTally } from "./epoch-tally.ts";
import type { HeldTask } from "./held-task.ts";
import { legsOf, type Transfer } from "./ledger.ts";
import { seedMarket, WINDOW_MS } from "./market.ts";
import { PlainBooks } from "./plain-books.ts";
import { ownRoyalty } from "./royalty.ts";

const UNIT = 1_000_000_000n;
const WEEK = 7 * 86_400_000;
const SUPPLY = 100_000_000n * UNIT;

interface Work {
  domain: "open" | "listed";
  model: number;
  owner: number;
  price: bigint;
}

const heldOf = ({ domain, model, owner, price }: Work, n: number): HeldTask => ({
  task: `t_${n}` as TaskId,
  at: n,
  domain,
  since: 0,
  model: `${domain}-${model}@1` as ModelKey,
  revenue: price,
  foundation: price / 100n,
  processor: (price * 3n) / 100n,
  creator: price / 5n,
  emission: price / 50n,
  burn: price / 100n,
  pay: [{ owner: `own_${owner}` as OwnerId, amount: price / 2n, worth: price }],
  checks: n % 2 === 0 ? [{ owner: "own_check" as OwnerId, worth: price }] : [],
});

/** Books in which the tasks' revenue lies where a settlement puts it. */
function booksOf(tasks: readonly HeldTask[]): PlainBooks {
  const books = new PlainBooks();
  const put = (id: string, gains: [AccountId, bigint][]) =>
    books.post({ id, kind: "grant", at: 0, task: null, legs: legsOf(new Map(gains)) });
  put("genesis", [
    [accounts.dnIssuer, -SUPPLY],
    [accounts.dnTreasury, SUPPLY - 1_000_000n * UNIT],
    [accounts.dn(accounts.market), 1_000_000n * UNIT],
  ]);
  put("seed", [
    [accounts.issuer, -50_000n * UNIT],
    [accounts.market, 50_000n * UNIT],
  ]);
  for (const task of tasks) {
    put(task.task, [
      [accounts.issuer, -(task.creator + task.emission + task.burn)],
      [accounts.creator("ann"), task.creator],
      [accounts.emission(task.domain), task.emission],
      [accounts.burn(task.domain), task.burn],
    ]);
  }
  return books;
}

function inputOf(tasks: readonly HeldTask[], change: Partial<EpochInput> = {}): EpochInput {
  const tally = emptyTally();
  for (const task of tasks) {
    countParts(tally, task);
    countTask(tally, task);
  }
  const shares = { owner: 500, miners: 6_000, stakers: 2_000, validators: 2_000, availability: 1_000 };
  const domain = {
    shares,
    offset: false,
    stakes: new Map([["customer:c_staker" as AccountId, 5_000n * UNIT * BigInt(WEEK)]]),
    targetStake: 10_000n * UNIT,
    availability: new Map(),
  };
  return {
    epoch: 4,
    at: WINDOW_MS,
    epochMs: WEEK,
    tally,
    periods: new Map([
      ["open@0", { ...domain, listed: false }],
      ["listed@0", { ...domain, listed: true, offset: true }],
    ]),
    royalties: new Map(tasks.map(({ model }) => [model, ownRoyalty("ann", 2_000)])),
    market: seedMarket(50_000n * UNIT, 1_000_000n * UNIT, 0),
    slippagePpm: 10_000n,
    rule: defaultEmissionRule,
    supply: SUPPLY,
    previous: firstMemory,
    ...change,
  };
}

const works = fc.array(
  fc.record({
    domain: fc.constantFrom("open" as const, "listed" as const),
    model: fc.nat(2),
    owner: fc.nat(4),
    price: fc.bigInt(1n, 10n ** 9n).map((micro) => micro * 1_000n),
  }),
  { maxLength: 40 },
);

describe("planEpoch", () => {
  it("posts on the books, mints what its legs say, and no more than the domains may", () => {
    fc.assert(
      fc.property(works, (list) => {
        const tasks = list.map(heldOf);
        const books = booksOf(tasks);
        const plan = planEpoch(inputOf(tasks), sha256);
        for (const transfer of plan.transfers) books.post(transfer);
        expect([books.total("USDC"), books.total("DN")]).toEqual([0n, 0n]);
        expect(-books.balance(accounts.dnIssuer)).toBe(SUPPLY + plan.minted);
        expect(books.balance(accounts.dnBurned)).toBe(plan.burned);
        let allowed = 0n;
        for (const { minted } of plan.domains.values()) allowed += minted;
        expect(plan.minted <= allowed).toBe(true);
        if (tasks.length === 0) expect([plan.minted, plan.transfers.length]).toEqual([0n, 0]);
        for (const [domain, left] of plan.memory.burn) expect(books.balance(accounts.burn(domain))).toBe(left);
        for (const domain of ["open", "listed"]) expect(books.balance(accounts.emission(domain))).toBe(0n);
        expect(planEpoch(inputOf(tasks), sha256)).toEqual(plan);
      }),
      { numRuns: 60 },
    );
  });

  const some = [
    { domain: "open" as const, model: 1, owner: 1, price: 100n * UNIT },
    { domain: "listed" as const, model: 1, owner: 2, price: 300n * UNIT },
  ].map(heldOf);

  it("shares nothing between tasks that were settled under different settings", () => {
    const work = { domain: "open" as const, model: 1, price: 100n * UNIT };
    const before = { ...heldOf({ ...work, owner: 1 }, 1), processor: 10n * UNIT, emission: 50n * UNIT };
    const after = { ...heldOf({ ...work, owner: 2 }, 2), processor: 0n, emission: 0n, since: 3 };
    const gainsIn = (tasks: HeldTask[], owner: number): bigint[] => {
      const input = inputOf(tasks);
      const open = input.periods.get("open@0");
      const periods = new Map([...input.periods, ["open@3", open as NonNullable<typeof open>]]);
      const plan = planEpoch({ ...input, periods }, sha256);
      const emission = plan.transfers.filter(({ kind }) => kind === "emission").flatMap(({ legs }) => legs);
      return [accounts.miner(`own_${owner}` as OwnerId), accounts.dn(accounts.miner(`own_${owner}` as OwnerId))].map(
        (account) => emission.find((leg) => leg.account === account)?.amount ?? 0n,
      );
    };
    const [usdc, dn] = gainsIn([before, after], 1) as [bigint, bigint];
    expect(usdc > 10n * UNIT && dn > 0n).toBe(true);
    const [nothing, little] = gainsIn([before, after], 2) as [bigint, bigint];
    expect(nothing).toBe(0n);
    // 1 % foundation against 11 % with y: the price of DN moves a little by what both burn.
    expect(Number(dn) / Number(little)).toBeCloseTo(11, 5);
    expect(gainsIn([before], 1)[0]).toBe(usdc);
  });

  it("mints nothing before the pool has 28 days of prices, and still pays royalties and burns", () => {
    const plan = planEpoch(inputOf(some, { at: WINDOW_MS - 1 }), sha256);
    expect([plan.minted, plan.memory.level]).toEqual([0n, null]);
    expect(plan.burned > 0n).toBe(true);
    expect(plan.transfers.filter(({ kind }) => kind === "royalty")).toHaveLength(2);
  });

  it("remembers the level, and carries over what slippage left", () => {
    const plan = planEpoch(inputOf(some, { slippagePpm: 1n }), sha256);
    expect(plan.memory.level).toBe(3_835_616_438_356n);
    const burnt = plan.transfers.find(({ kind }) => kind === "buyback");
    expect(burnt?.legs.find(({ account }) => account === accounts.market)?.amount).toBe(50_000_000n);
    const next = planEpoch(
      inputOf([], { epoch: 5, at: WINDOW_MS + WEEK, market: plan.market, previous: plan.memory }),
      sha256,
    );
    expect(next.minted).toBe(0n);
    expect(next.burned > 0n).toBe(true);
    expect(next.memory.level).toBe(plan.memory.level);
  });
});

describe("closing", () => {
  const tasks = Array.from({ length: 30 }, (_, n) =>
    heldOf({ domain: n % 3 ? "open" : "listed", model: n % 2, owner: n % 4, price: BigInt(n + 1) * UNIT }, n),
  );
  const plan = planEpoch(inputOf(tasks), sha256);
  const open: EpochState = { phase: "open", epoch: 4 };
  const must = <T>(result: { ok: true; value: T } | { ok: false; error: { message: string } }): T => {
    if (!result.ok) throw new Error(result.error.message);
    return result.value;
  };
  const approved = must(approve(must(preview(open, plan)), plan.digest, "c_op", 9));

  it("goes on where it was interrupted, at every transfer, and comes to the same books", () => {
    const whole = booksOf(tasks);
    for (const transfer of plan.transfers) whole.post(transfer);
    for (let crash = 0; crash <= plan.transfers.length; crash++) {
      const books = booksOf(tasks);
      for (const transfer of plan.transfers.slice(0, crash)) books.post(transfer);
      const again = must(close(approved, planEpoch(inputOf(tasks), sha256), (id) => books.has(id)));
      expect(again.transfers).toHaveLength(plan.transfers.length - crash);
      for (const transfer of again.transfers) books.post(transfer);
      const touched = new Set(plan.transfers.flatMap(({ legs }: Transfer) => legs.map(({ account }) => account)));
      for (const account of touched) expect(books.balance(account)).toBe(whole.balance(account));
    }
  });

  it("refuses a replayed closing, one that nobody approved, and another plan than the one shown", () => {
    const nothing = () => false;
    expect(close(open, plan, nothing)).toMatchObject({ ok: false, error: { code: "epoch-not-approved" } });
    expect(close(must(preview(open, plan)), plan, nothing).ok).toBe(false);
    expect(approve(must(preview(open, plan)), "00", "c_op", 9)).toMatchObject({
      ok: false,
      error: { code: "wrong-state", field: "digest" },
    });
    expect(approve(open, plan.digest, "c_op", 9).ok).toBe(false);
    const { closed } = must(close(approved, plan, nothing));
    for (const replayed of [
      close(closed, plan, nothing),
      preview(closed, plan),
      approve(closed, plan.digest, "c_op", 10),
    ])
      expect(replayed).toMatchObject({ ok: false, error: { code: "epoch-closed", expected: "5" } });
    expect(preview(approved, plan)).toMatchObject({ ok: false, error: { code: "wrong-state" } });
    expect(() => close(approved, { ...plan, digest: "00" }, nothing)).toThrow(/not the plan/);
  });
});
