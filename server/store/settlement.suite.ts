import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AccountId, ModelKey, OwnerId, TaskId } from "../../shared/ids.ts";
import { type Rng, seededRng } from "../../shared/random.ts";
import { ok } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import { accounts } from "../economy/accounts.ts";
import { defaultEmissionRule } from "../economy/emission.ts";
import { type EpochInput, firstMemory, planEpoch } from "../economy/epoch-plan.ts";
import { type EpochTally, emptyTally } from "../economy/epoch-tally.ts";
import type { HeldTask } from "../economy/held-task.ts";
import { hex, legsOf, type Transfer } from "../economy/ledger.ts";
import { seedMarket, WINDOW_MS } from "../economy/market.ts";
import { CLEAN_MS, Maturation } from "../economy/maturation.ts";
import { ownRoyalty } from "../economy/royalty.ts";
import type { HeldChange } from "./held-changes.ts";
import { openStore } from "./open.ts";
import { sha256 } from "./sha256.ts";
import type { Place } from "./store.suite.ts";
import type { Store } from "./store.ts";

/** What matures out of the database is what the pure functions say, on any database. */
const UNIT = 1_000_000_000n;
const WEEK = 7 * 86_400_000;
const owners = ["own_ann", "own_bob", "own_cid"] as OwnerId[];
const models = ["one@1", "two@1"] as ModelKey[];

export function describeSettlement(makePlace: () => Promise<Place>): void {
  describe("settlement", () => {
    let place: Place;
    let store: Store;
    beforeEach(async () => {
      place = await makePlace();
      store = await openStore(place.config("one"));
      await store.migrate();
    });
    afterEach(async () => {
      await store.close();
      await place.remove();
    });

    const matureAll = async (
      now: Millis,
      bonds = new Map<OwnerId, (held: bigint) => bigint>(),
    ): Promise<Transfer[]> => {
      const transfers: Transfer[] = [];
      for (let after: string | null = ""; after !== null; ) {
        const step: { transfers: Transfer[]; after: string | null } = await store.settlement.mature({
          now,
          after,
          bonds,
        });
        transfers.push(...step.transfers);
        after = step.after;
      }
      return transfers;
    };

    it.each([1, 2, 3, 4, 5, 6])("matures as economy/maturation.ts does, life %i", { timeout: 60_000 }, async (seed) => {
      const rng = seededRng(seed);
      const pure = new Maturation();
      const tally = emptyTally();
      const life = new Life(rng);
      let now = 1;
      for (let step = 0; step < 40; step++) {
        now += Math.floor(rng.next() * rng.next() * CLEAN_MS * 0.7);
        const { changes, transfers } = life.changes(now);
        const [owner] = owners.slice(step % 3) as [OwnerId];
        if (step % 7 === 0)
          changes.unshift({ kind: "forfeited", owner, amount: pure.held(owner) / 5n, by: `c_${step}` });
        for (const change of changes) applyPure(pure, change);
        await store.commit({ transfers, held: changes });
        if (step % 3 > 0) continue;
        const bond = BigInt(Math.floor(rng.next() * 3_000));
        const bonded = owners[step % 5];
        const due = pure.mature(now, (owner) => (owner === bonded ? bond : 0n), tally);
        const matured = await matureAll(now, new Map(bonded ? [[bonded, () => bond]] : []));
        expect(gainsOf(matured)).toEqual(gainsOf(due));
        const { tally: stored } = await store.settlement.tally(1);
        expect(planOf(stored)).toEqual(planOf(tally));
        expect(shown(stored)).toEqual(shown(tally));
      }
      expect(tally.periods.size).toBe(2);
      // What this life overturns and forfeits stays in the accounts: where it goes is for others to say.
      const faults = await store.integrityCheck();
      expect(faults.filter((fault) => !fault.includes("its lines sum to"))).toEqual([]);
    });

    it("matures more than a step and a slice take, and lets nobody wait behind another", {
      timeout: 60_000,
    }, async () => {
      const held = Array.from({ length: 10_500 }, (_, i) => task(i + 1, owners[i < 9_000 ? 0 : 1] as OwnerId, i + 1));
      await store.commit({
        transfers: [fund(held)],
        held: held.map((one) => ({ kind: "settled", held: one, by: one.task })),
      });
      const now = 10_500 + CLEAN_MS;
      const matured = await matureAll(now);
      const lines = [4_000n, 4_000n, 1_000n, 1_000n, 500n];
      expect(matured.map(({ legs }) => legs[0]?.amount)).toEqual(lines.map((count) => count * 500n));
      expect((await store.account(accounts.miner(owners[0] as OwnerId)))?.balance).toBe(9_000n * 500n);
      expect((await store.account(accounts.miner(owners[1] as OwnerId)))?.balance).toBe(1_500n * 500n);
      const pure = new Maturation();
      for (const one of held) pure.settled(one);
      const tally = emptyTally();
      pure.mature(now, () => 0n, tally);
      expect(shown((await store.settlement.tally(1)).tally)).toEqual(shown(tally));
      expect(await matureAll(now + CLEAN_MS)).toEqual([]);
    });

    it("counts in the next epoch what matures behind the fence, and in this one when the fence moves", async () => {
      const revenue = async (epoch: number) =>
        (await store.settlement.tally(epoch)).tally.periods.get("commons@0")?.revenue ?? 0n;
      const fence = (at: Millis) =>
        store.parties.act({ key: null, inputHash: "", at }, async () => ok({ reply: null, epoch: fenced(1, at) }));
      const settled = (n: number, at: Millis) => {
        const held = task(n, owners[0] as OwnerId, at);
        return store.commit({ transfers: [fund([held])], held: [{ kind: "settled", held, by: held.task }] });
      };
      await settled(1, 1);
      await matureAll(1 + CLEAN_MS);
      await fence(1 + CLEAN_MS);
      await settled(2, 2);
      await matureAll(2 + CLEAN_MS);
      expect([await revenue(1), await revenue(2)]).toEqual([1_000n, 1_000n]);
      expect(await store.settlement.fences(1)).toMatchObject([{ hub: "one", seq: 2n }]);
      await fence(2 + CLEAN_MS);
      expect([await revenue(1), await revenue(2)]).toEqual([2_000n, 0n]);
      expect(await store.settlement.fences(1)).toMatchObject([{ hub: "one", seq: 4n }]);
      expect(await store.settlement.running()).toMatchObject({ epoch: 2, state: "open", openedAt: 2 + CLEAN_MS });
    });

    it("keeps pay of a customer's task and of the pool's own work, in whatever order a commit brings their parts", async () => {
      const [ann] = owners as [OwnerId];
      const first = task(1, ann, 1);
      // The same facts, told in the opposite order.
      const second = Object.fromEntries(Object.entries(task(2, ann, 2)).reverse()) as unknown as HeldTask;
      const held = [first, second];
      await store.commit({
        transfers: [fund(held)],
        held: held.map((one) => ({ kind: "settled", held: one, by: one.task })),
      });
      expect(await matureAll(2 + CLEAN_MS)).toHaveLength(1);
      const tally = emptyTally();
      const pure = new Maturation();
      for (const one of held) pure.settled(one);
      pure.mature(2 + CLEAN_MS, () => 0n, tally);
      expect(shown((await store.settlement.tally(1)).tally)).toEqual(shown(tally));
    });

    it("takes over what an older hub had counted by work, weighed by price", async () => {
      const [ann, bob] = owners as [OwnerId, OwnerId];
      const held = { ...task(1, ann, 1, bob), since: 1 };
      await store.commit({ transfers: [fund([held])], held: [{ kind: "settled", held, by: held.task }] });
      const counted = (kind: string, party: string, billions: number) =>
        `insert into tallies values (1, 'commons', 'one@1', '${kind}', '${party}', ${billions}, 0)`;
      await store.close();
      for (const statement of [
        "alter table held_tasks drop column since",
        "alter table held_tasks add column vwu bigint not null default 500",
        `update held_tasks set claims = '{"pay":[["own_ann","250"]],"checks":[["own_bob","500"]]}'`,
        "drop table tallies",
        `create table tallies (epoch bigint not null, domain text not null, model text not null, kind text not null,
          party text not null, billions bigint not null, units bigint not null,
          primary key (epoch, domain, model, kind, party))`,
        "insert into tallies values (1, 'commons', '', 'revenue', '', 2, 0)",
        counted("revenue", "", 2),
        counted("vwu", "", 8),
        counted("work", accounts.miner(ann), 4),
        "drop table check_credits",
        "delete from kysely_migration where name >= '0009-periods'",
      ])
        await place.execute(statement);
      store = await openStore(place.config("one"));
      await store.migrate();
      const before = (await store.settlement.tally(1)).tally.periods.get("commons@1");
      expect(before?.revenue).toBe(2n * UNIT);
      expect([...(before?.models.get("one@1" as ModelKey)?.work ?? [])]).toEqual([[accounts.miner(ann), UNIT]]);
      await matureAll(2 + CLEAN_MS);
      const after = (await store.settlement.tally(1)).tally.periods.get("commons@1")?.models.get("one@1" as ModelKey);
      const half = held.revenue / 2n;
      expect([...(after?.work ?? [])]).toEqual([[accounts.miner(ann), UNIT + half]]);
      expect([...(after?.checks ?? [])]).toEqual([[accounts.miner(bob), held.revenue]]);
    });

    it("adds up what owners' work brought into the pools, once for each posting", async () => {
      const [ann, bob] = owners as [OwnerId, OwnerId];
      const held = [task(1, ann, 1), task(2, bob, 1)];
      const transfer = fund(held);
      const credited = (domain: string, owner: OwnerId, gain: bigint, by = transfer.id) =>
        ({ kind: "credited", domain, owner, gain, by }) as const;
      const first = [credited("commons", bob, 80n), credited("commons", ann, 80n), credited("commons", bob, -30n)];
      await store.commit({ transfers: [transfer], held: first });
      await store.commit({ transfers: [transfer], held: first });
      const second = fund([task(3, ann, 2)]);
      const more = [credited("physics", ann, 7n, second.id), credited("commons", ann, -80n, second.id)];
      await store.commit({ transfers: [second], held: more });
      expect(await store.settlement.credits()).toEqual([
        { domain: "commons", owner: bob, gain: 50n },
        { domain: "physics", owner: ann, gain: 7n },
      ]);
    });

    it("keeps what is frozen, and lets it go when the case ends", async () => {
      const [ann] = owners as [OwnerId];
      const held = task(1, ann, 1);
      await store.commit({
        transfers: [fund([held])],
        held: [
          { kind: "settled", held, by: held.task },
          { kind: "frozen", owner: ann },
        ],
      });
      expect(await matureAll(1 + 2 * CLEAN_MS)).toEqual([]);
      await store.commit({ held: [{ kind: "thawed", owner: ann }] });
      expect(await matureAll(2 + 2 * CLEAN_MS)).toHaveLength(1);
    });
  });
}

const fenced = (epoch: number, at: Millis) => ({ kind: "fenced" as const, epoch, at, stakes: [] });

function applyPure(pure: Maturation, change: HeldChange): void {
  if (change.kind === "settled") pure.settled(change.held);
  else if (change.kind === "overturned") pure.overturned(change.task);
  else if (change.kind === "refuted") pure.refuted(change.owner, change.at);
  else if (change.kind === "frozen") pure.freeze(change.owner);
  else if (change.kind === "thawed") pure.thaw(change.owner);
  else if (change.kind === "expelled") pure.expelled(change.owner);
  else if (change.kind === "forfeited")
    pure.forfeited(change.owner, change.amount, (id) => hex(sha256(`${change.by}:${id}`)));
}

/** Seeded changes, and what puts the money where they say it is. */
class Life {
  readonly #rng: Rng;
  readonly #open: HeldTask[] = [];
  #tasks = 0;

  constructor(rng: Rng) {
    this.#rng = rng;
  }

  changes(now: Millis): { changes: HeldChange[]; transfers: Transfer[] } {
    const draw = (most: number) => Math.floor(this.#rng.next() * most);
    const owner = owners[draw(3)] as OwnerId;
    const held = Array.from({ length: draw(30) }, () => {
      const one = task(
        ++this.#tasks,
        owners[draw(3)] as OwnerId,
        now,
        draw(3) > 0 ? (owners[draw(3)] as OwnerId) : null,
      );
      return { ...one, model: models[draw(2)] as ModelKey, since: 3 * draw(2) };
    });
    const changes: HeldChange[] = held.map((one) => ({ kind: "settled", held: one, by: one.task }));
    this.#open.push(...held);
    const what = draw(8);
    const [gone] = what === 0 ? this.#open.splice(draw(this.#open.length), 1) : [];
    if (gone) changes.push({ kind: "overturned", task: gone.task }, { kind: "refuted", owner, at: now });
    if (what === 1) changes.push({ kind: "frozen", owner });
    if (what === 2 || what === 3) changes.push({ kind: "thawed", owner });
    if (what === 4 && draw(3) === 0) changes.push({ kind: "expelled", owner });
    return { changes, transfers: held.length > 0 ? [fund(held)] : [] };
  }
}

function task(n: number, owner: OwnerId, at: Millis, checker: OwnerId | null = null): HeldTask {
  const price = 1_000n + (checker ? 7n : 0n);
  const checks = checker ? [{ owner: checker, worth: price / 2n }] : [];
  return {
    task: `t_${n}` as TaskId,
    at,
    domain: "commons",
    since: 0,
    model: models[0] as ModelKey,
    revenue: price,
    foundation: 10n,
    processor: 30n,
    creator: 200n,
    emission: 20n,
    burn: 10n,
    pay: [{ owner, amount: 500n, worth: price / 3n }, ...(checker ? [{ owner: checker, amount: 3n, worth: 0n }] : [])],
    checks,
  };
}

function fund(held: readonly HeldTask[]): Transfer {
  const gains = new Map<AccountId, bigint>();
  for (const { pay } of held)
    for (const { owner, amount } of pay) {
      gains.set(accounts.minerHeld(owner), (gains.get(accounts.minerHeld(owner)) ?? 0n) + amount);
      gains.set(accounts.issuer, (gains.get(accounts.issuer) ?? 0n) - amount);
    }
  return { id: `fund:${held[0]?.task}`, kind: "grant", at: 1, task: null, legs: legsOf(gains) };
}

const gainsOf = (transfers: readonly Transfer[]): Map<AccountId, bigint> => {
  const gains = new Map<AccountId, bigint>();
  for (const { account, amount } of transfers.flatMap(({ legs }) => legs))
    gains.set(account, (gains.get(account) ?? 0n) + amount);
  return new Map([...gains].sort(([a], [b]) => (a < b ? -1 : 1)));
};

const shown = (tally: EpochTally): unknown => {
  const sorted = <V>(of: ReadonlyMap<string, V>) => [...of].sort(([a], [b]) => (a < b ? -1 : 1));
  return sorted(tally.periods).map(([key, { models: inPeriod, ...amounts }]) => {
    const plain = sorted(inPeriod).map(([model, { work, checks, ...rest }]) => {
      return [model, { ...rest, work: sorted(work), checks: sorted(checks) }] as const;
    });
    return [key, amounts, plain];
  });
};

const planOf = (tally: EpochTally): unknown => {
  const shares = { owner: 0, miners: 7_000, stakers: 1_500, validators: 1_500, availability: 0 };
  const period = { shares, listed: false, offset: false, stakes: new Map(), targetStake: 0n, availability: new Map() };
  const input: EpochInput = {
    epoch: 1,
    at: 2 * WINDOW_MS,
    epochMs: WEEK,
    tally,
    periods: new Map([...tally.periods.keys()].map((key) => [key, period])),
    royalties: new Map(models.map((model) => [model, ownRoyalty("vic", 2_000)])),
    market: seedMarket(50_000n * UNIT, 1_000_000n * UNIT, 0),
    slippagePpm: 10_000n,
    rule: defaultEmissionRule,
    supply: 100_000_000n * UNIT,
    previous: firstMemory,
  };
  const { digest, minted, memory } = planEpoch(input, sha256);
  return { digest, minted, memory };
};
