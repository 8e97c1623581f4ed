import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import type { AccountId, ModelKey, OwnerId, TaskId } from "../../shared/ids.ts";
import { emptyTally } from "./epoch-tally.ts";
import type { HeldTask } from "./held-task.ts";
import { assertBalanced } from "./ledger.ts";
import { CLEAN_MS, HOLD_MS, Maturation } from "./maturation.ts";

const ann = "own_ann" as OwnerId;
const bob = "own_bob" as OwnerId;
const model = "m@1" as ModelKey;
const ties = (id: string) => id;
const nothing = () => 0n;

const task = (n: number, at: number, owners: OwnerId[] = [ann]): HeldTask => ({
  task: `t_${n}` as TaskId,
  at,
  domain: "commons",
  since: 0,
  model,
  revenue: 1_000n,
  foundation: 10n,
  processor: 30n,
  creator: 200n,
  emission: 0n,
  burn: 10n,
  pay: owners.map((owner) => ({ owner, amount: 670n / BigInt(owners.length), worth: 1_000n / BigInt(owners.length) })),
  checks: [{ owner: bob, worth: 1_000n }],
});

let maturation: Maturation;
beforeEach(() => {
  maturation = new Maturation();
});

describe("what matures when", () => {
  it("other parties' parts after 72 h, the miner's after 14 clean days, the task then too", () => {
    maturation.settled(task(1, 0));
    const tally = emptyTally();
    expect(maturation.mature(HOLD_MS - 1, nothing, tally)).toEqual([]);
    expect(tally.periods.size).toBe(0);
    expect(maturation.mature(HOLD_MS, nothing, tally)).toEqual([]);
    expect(tally.periods.get("commons@0")).toMatchObject({ burn: 10n, revenue: 0n });
    expect(tally.periods.get("commons@0")?.models.get(model)?.royalties).toBe(200n);
    const [transfer] = maturation.mature(CLEAN_MS, nothing, tally);
    if (!transfer) throw new Error("nothing matured");
    assertBalanced(transfer);
    expect(transfer.legs).toMatchObject([
      { account: "miner:own_ann", amount: 670n },
      { account: "miner:own_ann:held", amount: -670n },
    ]);
    expect(tally.periods.get("commons@0")).toMatchObject({ revenue: 1_000n, foundation: 10n, processor: 30n });
    expect(tally.periods.get("commons@0")?.models.get(model)).toMatchObject({ revenue: 1_000n });
    expect(
      tally.periods
        .get("commons@0")
        ?.models.get(model)
        ?.checks.get("miner:own_bob" as AccountId),
    ).toBe(1_000n);
    expect(maturation.mature(10 * CLEAN_MS, nothing, tally)).toEqual([]);
    expect(tally.periods.get("commons@0")?.revenue).toBe(1_000n);
  });

  it("or after 50 further accepted tasks, but never before 72 h", () => {
    for (let n = 0; n <= 50; n++) maturation.settled(task(n, n));
    expect(maturation.mature(HOLD_MS - 1, nothing, emptyTally())).toEqual([]);
    maturation.mature(HOLD_MS + 50, nothing, emptyTally());
    expect(maturation.held(ann)).toBe(50n * 670n);
  });

  it("where two lines of one task are one accepted task", () => {
    for (let n = 0; n <= 49; n++) maturation.settled(task(n, n, [ann, ann]));
    expect(maturation.mature(HOLD_MS + 50, nothing, emptyTally())).toEqual([]);
  });

  it("a refuted result starts the clean days again", () => {
    maturation.settled(task(1, 0));
    maturation.refuted(ann, CLEAN_MS - 1);
    expect(maturation.mature(CLEAN_MS, nothing, emptyTally())).toEqual([]);
    expect(maturation.mature(2 * CLEAN_MS - 1, nothing, emptyTally())).toHaveLength(1);
  });

  it("a task counts only once all who worked on it have their pay", () => {
    maturation.settled(task(1, 0, [ann, bob]));
    maturation.freeze(bob);
    const tally = emptyTally();
    expect(maturation.mature(CLEAN_MS, nothing, tally)).toHaveLength(1);
    expect(tally.periods.get("commons@0")?.revenue).toBe(0n);
    maturation.thaw(bob);
    expect(maturation.mature(CLEAN_MS + 1, nothing, tally)).toHaveLength(1);
    expect(tally.periods.get("commons@0")?.revenue).toBe(1_000n);
  });

  it("bonded pay stays", () => {
    for (let n = 0; n < 3; n++) maturation.settled(task(n, 0));
    expect(maturation.mature(CLEAN_MS, () => 671n, emptyTally())[0]?.legs[0]?.amount).toBe(670n);
    expect(maturation.held(ann)).toBe(1_340n);
  });

  it("an overturned task drops out; a forfeit takes from every line in proportion", () => {
    for (let n = 0; n < 3; n++) maturation.settled(task(n, 0));
    maturation.overturned("t_1" as TaskId);
    expect(maturation.held(ann)).toBe(1_340n);
    maturation.forfeited(ann, 268n, ties);
    const tally = emptyTally();
    expect(maturation.mature(CLEAN_MS, nothing, tally)[0]?.legs[0]?.amount).toBe(1_072n);
    expect(tally.periods.get("commons@0")?.revenue).toBe(2_000n);
  });
});

it("a forfeit takes what it says also from an owner with two lines for one task", () => {
  const books = new Maturation();
  books.settled(task(1, 0, [ann, ann]));
  books.settled(task(2, 0));
  books.forfeited(ann, 268n, ties);
  expect(books.held(ann)).toBe(1_340n - 268n);
});

it("whatever happens, all that was settled and not overturned matures exactly once", () => {
  const event = fc.record({
    kind: fc.constantFrom(
      "settle" as const,
      "overturn" as const,
      "freeze" as const,
      "thaw" as const,
      "refute" as const,
    ),
    who: fc.constantFrom(ann, bob),
    waitMs: fc.integer({ min: 0, max: CLEAN_MS }),
    of: fc.nat(30),
  });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      const books = new Maturation();
      const tally = emptyTally();
      const open = new Set<number>();
      let now = 0;
      let revenue = 0n;
      let paid = 0n;
      const mature = () => {
        const before = tally.periods.get("commons@0")?.revenue ?? 0n;
        for (const { legs } of books.mature(now, nothing, tally)) paid += legs[0]?.amount ?? 0n;
        revenue += (tally.periods.get("commons@0")?.revenue ?? 0n) - before;
      };
      events.forEach(({ kind, who, waitMs, of }, n) => {
        now += waitMs;
        if (kind === "settle") {
          books.settled(task(n, now, [who]));
          open.add(n);
        } else if (kind === "overturn") {
          const held = books.held(ann) + books.held(bob);
          books.overturned(`t_${of}` as TaskId);
          if (books.held(ann) + books.held(bob) < held) open.delete(of);
        } else if (kind === "freeze") books.freeze(who);
        else if (kind === "thaw") books.thaw(who);
        else books.refuted(who, now);
        mature();
      });
      for (const who of [ann, bob]) books.thaw(who);
      now += 2 * CLEAN_MS;
      mature();
      expect(revenue).toBe(BigInt(open.size) * 1_000n);
      expect(paid).toBe(BigInt(open.size) * 670n);
      expect(books.held(ann) + books.held(bob)).toBe(0n);
    }),
  );
});
