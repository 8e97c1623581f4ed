import type { CaseId, CustomerId, ModelKey, OwnerId, TaskId } from "../../shared/ids.ts";
import { nextInt, type Rng, seededRng } from "../../shared/random.ts";
import { Exhibits } from "../cases/exhibits.ts";
import { commitRevision, gather, nothingRevised, revise } from "../cases/revisions.ts";
import type { HubEffect } from "../core/events.ts";
import { accounts } from "../economy/accounts.ts";
import { expireHold, voidHold } from "../economy/holds.ts";
import { raises } from "../settlement/demand.ts";
import { Settling } from "../settlement/settling.ts";
import { DAY_MS, foundation, TestBooks } from "../settlement/test-books.ts";
import type { Version } from "../store/party-records.ts";
import { sha256 } from "../store/sha256.ts";
import type { HoldRequest, Store } from "../store/store.ts";
import { newTaskId } from "../store/task-id.ts";
import { commands, creatorOf, customers, Draw, OWNED } from "./ledger-commands.ts";
import { factOf, type MadeUp, ownerOf, workOf } from "./ledger-work.ts";

/**
 * Seeded operations over the whole economy, through the code that a hub runs: prices held, settled, voided and expired, with
 * pledges' bonuses; answers overturned; cases opened, withdrawn and ruled on; pay matured; epochs previewed, approved, closed
 * and paid out; and all that parties ask for (ledger-commands.ts). What a command refuses is an operation too.
 *
 * One operation: a task's price set aside, a task settled, voided, expired or overturned, a step of a case, a round of
 * maturing, a closing, or a party's command. A step is one commit or a few; however often it is tried, it is done once.
 */
export interface Step {
  name: string;
  operations: number;
  /** False where it was refused, or found nothing to do. */
  run(): Promise<boolean>;
}

const SETTLED_MOST = 2_000;
/** What the draw of 1,000 falls on below its number, commands evenly above. */
const likely: [number, string][] = [
  [430, "tasks"],
  [510, "maturing"],
  [550, "closing"],
  [600, "overturn"],
  [640, "open a case"],
  [670, "rule"],
  [675, "withdraw a case"],
  [685, "publish"],
];
const commandNames = Object.keys(commands);
export const stepNames = [...likely.map(([, name]) => name), ...commandNames];
const VERSIONS_MOST = 40;

export class LedgerLife {
  readonly #books: TestBooks;
  readonly #rng: Rng;
  readonly #seed: number;
  readonly #batch: number;
  readonly #settled: MadeUp[] = [];
  #versions: Version[] = [];
  #steps = 0;
  #tasks = 0;

  /** `batch`: most tasks of a commit. */
  constructor(books: TestBooks, seed: number, batch: number) {
    this.#books = books;
    this.#rng = seededRng(seed);
    this.#seed = seed;
    this.#batch = batch;
  }

  /** Once on fresh books: names, a domain with an owner, a model in it. */
  static async begin({ parties, settlement, store, now }: TestBooks): Promise<void> {
    const must = async (done: Promise<{ ok: boolean }>) => {
      const result = await done;
      if (!result.ok) throw new Error(JSON.stringify(result));
    };
    for (const customer of customers) {
      await must(parties.backing.nameCreator(foundation, creatorOf(customer), customer));
      await must(parties.customers.grant(foundation, customer, 0n, 1_000_000_000_000n));
    }
    const settings = { registrationFee: 500n, minimumCollateral: 20_000n };
    const [owner] = customers as [CustomerId];
    await must(parties.domains.create(foundation, { domain: OWNED, title: OWNED, owner, settings }));
    const version = { model: "own@1" as ModelKey, domain: OWNED, creator: creatorOf(owner), round: null };
    await must(parties.domains.draft(foundation, { ...version, royaltyBasisPoints: 1_000 }));
    await must(parties.domains.mint(foundation, { ...version, royaltyBasisPoints: 1_000 }));
    const account = accounts.miner(ownerOf(0));
    await store.settlement.payouts.setAddress({ account, address: `0x${"a".repeat(40)}`, proof: "", at: now });
    await settlement.maturer.round();
  }

  /** What it does is drawn before anything is written, so that a repetition is the same. `evenly`: no kind before others. */
  next(evenly = false): Step {
    const draw = (bound: number) => nextInt(this.#rng, bound);
    this.#steps += 1;
    this.#books.now += 1 + draw(3_600_000);
    const number = draw(1_000);
    const command = commandNames[draw(commandNames.length)] as string;
    const name = evenly
      ? (stepNames[draw(stepNames.length)] as string)
      : (likely.find(([below]) => number < below)?.[1] ?? command);
    const id = `${this.#seed}-${this.#steps}`;
    const drawn = new Draw(this.#books, this.#rng, `step ${id}`, this.#firstOwner);
    const count = name === "tasks" ? 1 + drawn.below(drawn.below(2) === 0 ? this.#batch : 8) : 0;
    const run = count > 0 ? this.#work(count, drawn) : (commands[name]?.(drawn) ?? this.#own(name, id, drawn));
    // A price set aside, and what became of it.
    const operations = count > 0 ? 2 * count : 1;
    return {
      name,
      operations,
      run: async () => {
        this.#books.newId = () => id;
        const done = (await run()) as { ok?: boolean } | null | undefined;
        return done !== null && done?.ok !== false;
      },
    };
  }

  /** Others come as time goes by: an expelled owner never comes back. */
  get #firstOwner(): number {
    return Math.floor(this.#books.now / (20 * DAY_MS));
  }

  #own(name: string, id: string, draw: Draw): () => Promise<unknown> {
    switch (name) {
      case "maturing":
        this.#books.now += draw.below(12) === 0 ? draw.below(4) * DAY_MS : 0;
        return () => this.#books.settlement.maturer.round();
      case "closing":
        return () => this.#close();
      case "overturn":
        return this.#overturn(draw);
      case "open a case":
        return this.#openCase(id as CaseId, draw.owner);
      case "rule": {
        const ruling = (["dismissed", "minor", "severe"] as const)[draw.below(3)] ?? "minor";
        return this.#endCase(draw, (found, at) => {
          const opened = { case: found.case, owner: found.owner as OwnerId, openedAt: found.openedAt };
          return { kind: "case-closed", decision: { ...opened, at, reviewer: "reviewer", ruling } };
        });
      }
      case "withdraw a case":
        return this.#endCase(draw, (found, at) => {
          return { kind: "case-withdrawn", case: found.case, owner: found.owner as OwnerId, at, why: "device" };
        });
      default:
        return this.#publish(id, draw);
    }
  }

  /** Prices are held; of each batch some are settled, some voided and some expire. */
  #work(count: number, draw: Draw): () => Promise<void> {
    const { now } = this.#books;
    const firstOwner = this.#firstOwner;
    const [spared, which] = [draw.below(20), draw.below(1_000)];
    const requests = Array.from({ length: count }, (_, i): HoldRequest => {
      const number = ++this.#tasks;
      const task = newTaskId(now + i, sha256(`life ${this.#seed}:${number}`));
      const amount = 1_000n * BigInt(1 + ((number * 7_919) % 500));
      return { task, customer: customers[number % 3] as CustomerId, amount, at: now + i };
    });
    const voided = requests.slice(0, spared < 10 ? 1 : 0);
    const expired = requests.slice(1, spared === 0 ? 2 : 1);
    const paid = requests.slice(voided.length + expired.length).map((request) => ({ request, firstOwner }));
    const ends = [...voided.map((one) => voidHold(one, now + 9)), ...expired.map((one) => expireHold(one, now + 9))];
    this.#settled.push(...paid.slice(0, 2));
    if (this.#settled.length > SETTLED_MOST) this.#settled.splice(0, SETTLED_MOST / 2);
    const [first] = requests as [HoldRequest];
    return async () => {
      const { store, domains } = this.#books;
      const { data } = await store.entries({ task: first.task as TaskId }, { limit: 2, after: null });
      // An earlier try of this step has ended them.
      if (data.length > 1) return;
      const outcomes = await store.hold(requests);
      if (outcomes.some((outcome) => outcome !== "held")) {
        const held = requests.filter((_, i) => outcomes[i] === "held");
        await store.commit({ transfers: held.map((one) => voidHold(one, now + 9)) });
        return;
      }
      const versions = await this.#published();
      const facts = paid.map((one, i) => factOf(one, versions[(which + i) % versions.length] as Version));
      const whole = workOf(facts, await this.#settling(), domains);
      const batch = { ...whole, transfers: [...(whole.transfers ?? []), ...ends] };
      if (!raises(batch, domains.wanted)) await store.commit(batch);
      else await commitRevision(store, batch, now, domains.wanted, async () => nothingRevised());
    };
  }

  async #published(): Promise<Version[]> {
    if (this.#versions.length === 0) this.#versions = await this.#books.parties.domains.versions();
    return this.#versions;
  }

  async #settling(): Promise<Settling> {
    const { store, domains } = this.#books;
    const names = domains.names();
    const balances = await store.settlement.balances(names.map(accounts.pool));
    const pools = new Map(names.map((name) => [name, balances.get(accounts.pool(name)) ?? 0n]));
    return new Settling(domains, { pools, deposits: new Map(), credits: await store.settlement.credits() });
  }

  /** The epoch that is due, if one is. */
  async #close(): Promise<void> {
    const { settlement, store, now } = this.#books;
    const { epochs } = settlement;
    const running = await store.settlement.running();
    const before = running.epoch > 1 ? await epochs.one(running.epoch - 1) : null;
    const due = before && before.state !== "closed" ? before : now - running.openedAt >= 7 * DAY_MS ? running : null;
    if (!due) return;
    if (due.state !== "approved") {
      const previewed = await epochs.preview(due.epoch, "fuzz");
      if (!previewed.ok) throw new Error(previewed.error.message);
      await epochs.approve(due.epoch, previewed.value.plan.digest, "fuzz");
    }
    if ((await epochs.one(due.epoch))?.state === "approved") await epochs.close(due.epoch, "fuzz");
  }

  #overturn(draw: Draw): () => Promise<void> {
    const one = draw.of(this.#settled);
    const { now: at } = this.#books;
    if (!one) return async () => {};
    return async () => {
      const record = await this.#books.store.task(one.request.task as TaskId);
      const version = (await this.#published()).find(({ model }) => model === record?.model);
      if (record?.state !== "settled" || !version) return;
      const { task, customer, price, executions } = factOf(one, version);
      const made = executions.find(({ by }) => by !== "reference");
      if (!made) return;
      const found = { commitment: "", reference: "", reason: "the recheck differs" };
      const { by, assignment } = made as { by: OwnerId; assignment: NonNullable<typeof made.assignment> };
      await this.#look([{ kind: "overturned", fact: { task, at, customer, price, owner: by, assignment, ...found } }]);
    };
  }

  #openCase(id: CaseId, owner: OwnerId): () => Promise<void> {
    const opened = { case: `c_${id}` as CaseId, owner, at: this.#books.now, strikes: 10, evidence: [], history: [] };
    return async () => {
      if (!(await this.#books.store.case(opened.case))) await this.#look([{ kind: "case-opened", opened }]);
    };
  }

  #endCase(draw: Draw, how: (found: OpenCase, at: number) => HubEffect): () => Promise<void> {
    const at = this.#books.now;
    return async () => {
      const { store } = this.#books;
      const open = () => store.cases("open", { limit: 20, after: null });
      const picked = await draw.once("case", async () => draw.of((await open()).data));
      const found = picked && (await store.case(picked.case));
      if (found?.state === "open" && found.owner !== null) await this.#look([how(found as OpenCase, at)]);
    };
  }

  #publish(id: string, draw: Draw): () => Promise<void> {
    const { customer, domain, key } = draw;
    const royaltyBasisPoints = ([0, 500, 2_000, 3_000] as const)[draw.below(4)] ?? 0;
    const version: Version = {
      model: `m-${id}@1` as ModelKey,
      domain,
      creator: creatorOf(customer),
      royaltyBasisPoints,
      round: null,
    };
    return async () => {
      const { domains } = this.#books.parties;
      const isRoom = await draw.once("room", async () => (await domains.versions()).length < VERSIONS_MOST);
      if (!isRoom) return;
      const drafted = await domains.draft({ ...foundation, key: `${key} draft` }, version);
      if (drafted.ok) await domains.mint({ ...foundation, key: `${key} mint` }, version);
      this.#versions = [];
    };
  }

  async #look(effects: HubEffect[]): Promise<void> {
    const { store, domains, now } = this.#books;
    const past = await gather(effects, store);
    if (!past) return;
    const { pools } = await this.#settling();
    const exhibits = new Exhibits(() => null);
    await commitRevision(store, {}, now, domains.wanted, (books) => revise(past, { books, domains, pools, exhibits }));
  }
}

/** Books with parties in them, where they are not already; payouts go to files in the folder. */
export async function openBooks(store: Store, folder: string, now?: number): Promise<TestBooks> {
  const books = new TestBooks(folder);
  books.keepsPosted = false;
  books.rail = "csv";
  if (now !== undefined) books.now = now;
  await books.on(store);
  if ((await store.parties.one("market", "market")) === null) {
    await books.begin(1_000_000_000n);
    await LedgerLife.begin(books);
  }
  return books;
}

type OpenCase = { case: CaseId; owner: OwnerId | null; openedAt: number };
