import type { AccountId, CaseId, CustomerId, ModelKey, OwnerId, TaskId } from "../../shared/ids.ts";
import { NANO_PER_UNIT } from "../../shared/money.ts";
import { nextInt, type Rng, seededRng } from "../../shared/random.ts";
import type { HubEffect } from "../core/events.ts";
import { accounts } from "../economy/accounts.ts";
import { expireHold, voidHold } from "../economy/holds.ts";
import { CLEAN_MS } from "../economy/maturation.ts";
import { Exhibits } from "../exhibits.ts";
import { commitRevision, gather, revise } from "../revisions.ts";
import { foundation, models, type TestBooks } from "../settlement/test-books.ts";
import { Settling } from "../settling.ts";
import type { CaseRecord } from "../store/case-records.ts";
import type { HoldRequest } from "../store/store.ts";
import { Traffic } from "../store/traffic.ts";

/**
 * Seeded operations over the whole economy, through the code that a hub runs: prices held, settled, voided and expired;
 * answers overturned; cases opened and ruled on; pay matured; deposits, stake, swaps, pledges and spendings; epochs previewed,
 * approved and closed. What a command refuses is an operation too.
 */
const customers = ["c_ann", "c_bob", "c_cid"] as CustomerId[];
const OPEN_MOST = 2_000;
const DAY_MS = CLEAN_MS / 14;

export class LedgerLife {
  readonly #books: TestBooks;
  readonly #rng: Rng;
  readonly #traffic: Traffic;
  readonly #batch: number;
  readonly #settled: HoldRequest[] = [];
  readonly #open: { case: CaseId; owner: OwnerId; at: number }[] = [];
  operations = 0;
  #steps = 0;

  /** `batch`: most tasks of a commit. */
  constructor(books: TestBooks, seed: number, batch: number) {
    this.#books = books;
    this.#rng = seededRng(seed);
    this.#traffic = new Traffic(`life ${seed}`);
    this.#batch = batch;
  }

  /** One step: a commit or a few. What it does is drawn before anything is written, so that a repetition is the same. */
  next(): () => Promise<void> {
    const draw = (bound: number) => nextInt(this.#rng, bound);
    this.#steps += 1;
    this.#books.now += 1 + draw(60_000);
    const step = this.#steps;
    const customer = customers[draw(customers.length)] as CustomerId;
    const owner = `own_${draw(40)}` as OwnerId;
    const amount = BigInt(1 + draw(1_000_000));
    const key = `step ${step}`;
    const { parties, settlement, store } = this.#books;
    const kind = draw(100);
    if (kind < 50) return this.#tasks(1 + draw(this.#batch), draw(20));
    if (kind < 60) return this.#pass(draw(20) === 0 ? draw(4) * DAY_MS : 0);
    if (kind < 65) return this.#overturn(draw(1_000));
    if (kind < 69) return this.#openCase(step, owner);
    if (kind < 72) return this.#rule(draw(1_000), (["dismissed", "minor", "severe"] as const)[draw(3)] ?? "minor");
    this.operations += 1;
    const asCustomer = { customer, key };
    const asOwner = { customer: null, miner: owner, key };
    const party = accounts.customer(customer);
    const act: (() => Promise<unknown>)[] = [
      () => parties.miners.register(asOwner, owner, "commons", { deposit: 0n, ask: null }),
      () => parties.miners.deposit(asOwner, owner, "commons", amount),
      () => parties.miners.leave(asOwner, owner, "commons"),
      () => parties.miners.release(asOwner, owner, "commons"),
      () => parties.market.swap(asOwner, accounts.miner(owner), { give: "USDC", amount, least: 1n }),
      () => parties.market.swap(asCustomer, party, { give: "USDC", amount, least: 1n }),
      () => parties.market.swap(asCustomer, party, { give: "DN", amount, least: 1n }),
      () => parties.staking.stake(asCustomer, { domain: "commons", validator: amount % 2n ? null : owner }, amount),
      () => parties.staking.unstake(asCustomer, { domain: "commons", validator: null }, amount / 2n + 1n),
      () => parties.staking.release(asCustomer, { domain: "commons", validator: null }),
      () => parties.customers.grant({ ...foundation, key }, customer, amount * 100n, amount),
      () => settlement.earnings.spend(owner, customer, amount, key),
      () => parties.backing.pledge(asCustomer, { model: models[0] as ModelKey, amount, raisePercent: 10 }),
      () => store.settlement.payouts.setAddress(addressOf(accounts.miner(owner), this.#books.now)),
    ];
    return async () => void (await (act[kind % act.length] as () => Promise<unknown>)());
  }

  /** Prices are held; of each batch some are settled, some voided and some expire. */
  #tasks(count: number, spared: number): () => Promise<void> {
    const { now, store } = this.#books;
    const requests = this.#traffic.requests(count, 10_000n).map((one, i) => ({ ...one, at: now + i }));
    this.operations += 2 * count;
    const voided = requests.slice(0, spared < 10 ? 1 : 0);
    const expired = requests.slice(1, spared === 0 ? 2 : 1);
    const paid = requests.filter((one) => !voided.includes(one) && !expired.includes(one));
    const whole = paid.length > 0 ? this.#traffic.settlement(paid) : {};
    this.#settled.push(...paid.slice(0, 2));
    if (this.#settled.length > OPEN_MOST) this.#settled.splice(0, OPEN_MOST / 2);
    const ends = [...voided.map((one) => voidHold(one, now + 9)), ...expired.map((one) => expireHold(one, now + 9))];
    const first = requests[0] as HoldRequest;
    return async () => {
      const isHeld = (await store.openHolds()).some(({ task }) => task === first.task);
      if (!isHeld) {
        // Not held yet, or ended in an earlier try of this step.
        const { data } = await store.entries({ task: first.task as TaskId }, { limit: 1, after: null });
        if (data.length > 0) return;
        const outcomes = await store.hold(requests);
        if (outcomes.some((outcome) => outcome !== "held")) {
          const held = requests.filter((_, i) => outcomes[i] === "held");
          await store.commit({ transfers: held.map((one) => voidHold(one, now + 9)) });
          return;
        }
      }
      await store.commit({ ...whole, transfers: [...(whole.transfers ?? []), ...ends] });
    };
  }

  #pass(ms: number): () => Promise<void> {
    this.#books.now += ms;
    this.operations += 1;
    return async () => {
      await this.#books.settlement.maturer.round();
      const { epochs } = this.#books.settlement;
      const epoch = (await this.#books.store.settlement.running()).epoch;
      const before = epoch > 1 ? await epochs.one(epoch - 1) : null;
      if (before && before.state !== "closed") return this.#close(before.epoch);
      const running = await epochs.one(epoch);
      if (running && this.#books.now - running.openedAt > 7 * DAY_MS) await this.#close(epoch);
    };
  }

  async #close(epoch: number): Promise<void> {
    const { epochs } = this.#books.settlement;
    const found = await epochs.one(epoch);
    if (found?.state !== "approved") {
      const previewed = await epochs.preview(epoch, "fuzz");
      if (!previewed.ok) throw new Error(previewed.error.message);
      await epochs.approve(epoch, previewed.value.plan.digest, "fuzz");
    }
    if ((await epochs.one(epoch))?.state === "approved") await epochs.close(epoch, "fuzz");
  }

  #overturn(which: number): () => Promise<void> {
    this.operations += 1;
    const one = this.#settled[which % Math.max(1, this.#settled.length)];
    if (!one) return async () => {};
    const fact = this.#traffic.fact(one);
    const effect: HubEffect = {
      kind: "overturned",
      fact: {
        task: one.task,
        at: this.#books.now,
        customer: one.customer,
        price: one.amount,
        owner: fact.executions[0]?.by as OwnerId,
        assignment: fact.executions[0]?.assignment as never,
        commitment: "",
        reference: "",
        reason: "the recheck differs",
      },
    };
    return async () => {
      const record = await this.#books.store.task(one.task as TaskId);
      if (record?.state === "settled") await this.#look([effect]);
    };
  }

  #openCase(step: number, owner: OwnerId): () => Promise<void> {
    this.operations += 1;
    const id = `c_${step}` as CaseId;
    const at = this.#books.now;
    this.#open.push({ case: id, owner, at });
    const opened = { case: id, owner, at, strikes: 10, evidence: [], history: [] };
    return () => this.#look([{ kind: "case-opened", opened }]);
  }

  #rule(which: number, ruling: "dismissed" | "minor" | "severe"): () => Promise<void> {
    this.operations += 1;
    const [open] = this.#open.splice(which % Math.max(1, this.#open.length), 1);
    if (!open) return async () => {};
    const decision = { ...open, openedAt: open.at, at: this.#books.now, reviewer: "reviewer", ruling };
    return async () => {
      const found: CaseRecord | null = await this.#books.store.case(open.case);
      if (found?.state === "open") await this.#look([{ kind: "case-closed", decision }]);
    };
  }

  async #look(effects: HubEffect[]): Promise<void> {
    const { store, domains, now } = this.#books;
    const past = await gather(effects, store);
    if (!past) return;
    const { pools } = new Settling(domains, new Map([["commons", await this.#books.balance("pool:commons")]]));
    const exhibits = new Exhibits(() => null);
    await commitRevision(store, {}, now, domains.wanted, (books) => revise(past, { books, domains, pools, exhibits }));
  }
}

const addressOf = (account: AccountId, at: number) => ({
  account,
  address: `0x${Buffer.from(account).toString("hex").padEnd(40, "0").slice(0, 40)}`,
  proof: "",
  at,
});

/** Enough for every customer to pay for a long life. */
export const FORTUNE = 1_000_000n * NANO_PER_UNIT;
