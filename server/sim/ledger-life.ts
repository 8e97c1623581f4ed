import type { CustomerId, ModelKey, TaskId } from "../../shared/ids.ts";
import { countedRng, nextInt, type Rng } from "../../shared/random.ts";
import { commitRevision, nothingRevised } from "../cases/revisions.ts";
import { expireHold, voidHold } from "../economy/holds.ts";
import { raises } from "../settlement/demand.ts";
import { DAY_MS, foundation, TestBooks } from "../settlement/test-books.ts";
import type { Version } from "../store/party-records.ts";
import { sha256 } from "../store/sha256.ts";
import type { HoldRequest, Store } from "../store/store.ts";
import { newTaskId } from "../store/task-id.ts";
import { caseKinds } from "./ledger-cases.ts";
import { customerKinds } from "./ledger-commands.ts";
import { type Act, type Answer, creatorOf, customers, Draw, done, type Kinds } from "./ledger-draw.ts";
import { epochKinds } from "./ledger-epochs.ts";
import { minerKinds } from "./ledger-miners.ts";
import { ruleKinds } from "./ledger-rules.ts";
import { factOf, type MadeUp, settlingNow, workOf } from "./ledger-work.ts";

/**
 * Seeded operations over the whole economy, through the code that a hub runs: prices held, settled, voided and expired, with
 * pledges' bonuses; answers overturned and reported; cases opened, withdrawn and ruled on; pay matured; epochs previewed,
 * approved, closed and paid out; and all that parties ask for. What is refused is an operation too.
 *
 * One operation: a task's price set aside, what became of it, or one thing that somebody asked for. A step is one commit or a
 * few; however often it is tried, it is done once.
 */
export interface Step {
  name: string;
  operations: number;
  /** Null where it was done, else the code of the refusal, or that there was nothing to do it to. */
  run(): Promise<string | null>;
}

export const NOTHING = "nothing to do";
const SETTLED_MOST = 2_000;
const DEAR_MOST = 60;
/** Versions that may be published: some to begin with, then one in so many steps; each has at most one round that is met. */
const VERSIONS_FIRST = 14;
const STEPS_A_VERSION = 180;
/** Others come as time goes by: an expelled owner never comes back. */
const NEWCOMER_MS = 4 * DAY_MS;

/** Named here, since their steps count for more than one operation. */
const TASKS: Kinds = { tasks: [260, () => async () => null] };
const kinds: Kinds = { ...TASKS, ...epochKinds, ...caseKinds, ...minerKinds, ...customerKinds, ...ruleKinds };
export const stepNames = Object.keys(kinds);
/** Each name as often as it weighs. */
const likely = Object.entries(kinds).flatMap(([name, [weight]]) => Array<string>(weight).fill(name));

export class LedgerLife {
  readonly #books: TestBooks;
  readonly #rng: Rng;
  readonly #seed: number;
  readonly #batch: number;
  readonly #settled: MadeUp[] = [];
  readonly #dear: MadeUp[] = [];
  #versions: Version[] = [];
  #steps = 0;
  #tasks = 0;

  /** `batch`: most tasks of a commit. */
  constructor(books: TestBooks, seed: number, batch: number) {
    this.#books = books;
    this.#rng = countedRng(seed);
    this.#seed = seed;
    this.#batch = batch;
  }

  /** Once on fresh books: names, a domain with an owner, a model in it. */
  static async begin({ parties, settlement }: TestBooks): Promise<void> {
    const must = async (done: Promise<{ ok: boolean }>) => {
      const result = await done;
      if (!result.ok) throw new Error(JSON.stringify(result));
    };
    for (const [number, customer] of customers.entries()) {
      await must(parties.backing.nameCreator(foundation, creatorOf(number), customer));
      await must(parties.customers.grant(foundation, customer, 0n, 1_000_000_000_000n));
    }
    const settings = { registrationFee: 500n, minimumCollateral: 20_000n };
    const [owner] = customers as [CustomerId];
    await must(parties.domains.create(foundation, { domain: "acme", title: "acme", owner, settings }));
    const version = { model: "own@1" as ModelKey, domain: "acme", creator: creatorOf(0), round: null };
    await must(parties.domains.draft(foundation, { ...version, royaltyBasisPoints: 1_000 }));
    await must(parties.domains.mint(foundation, { ...version, royaltyBasisPoints: 1_000 }));
    await settlement.maturer.round();
  }

  /** What it does is drawn before anything is written, so that a repetition is the same. `evenly`: no kind before others. */
  next(evenly = false): Step {
    const draw = (bound: number) => nextInt(this.#rng, bound);
    this.#steps += 1;
    this.#books.now += 1 + draw(3_600_000);
    const names = evenly ? stepNames : likely;
    const name = names[draw(names.length)] as string;
    if (name === "maturing" && draw(12) === 0) this.#books.now += draw(4) * DAY_MS;
    const id = `${this.#seed}-${this.#steps}`;
    // The key of an earlier request, with another one.
    const isRepeated = draw(80) === 0;
    const key = `step ${this.#seed}-${isRepeated ? this.#steps - 1 - draw(20) : this.#steps}`;
    const room = VERSIONS_FIRST + Math.floor(this.#steps / STEPS_A_VERSION);
    const firstOwner = Math.floor(this.#books.now / NEWCOMER_MS);
    const versions = () => this.#published();
    const lived = { books: this.#books, settled: this.#settled, dear: this.#dear, versions, room, firstOwner };
    const drawn = new Draw(lived, this.#rng, { id, key });
    const isWork = name === "tasks";
    const count = isWork ? 1 + draw(draw(2) === 0 ? this.#batch : 8) : 0;
    const run = isWork ? this.#work(count, drawn) : (kinds[name] as Kinds[string])[1](drawn);
    if (name === "publish a version") this.#versions = [];
    // A price set aside, and what became of it.
    const operations = isWork ? 2 * count : 1;
    return {
      name,
      operations,
      run: async () => {
        this.#books.newId = () => id;
        const answer = await run();
        if (name === "publish a version") this.#versions = [];
        return answer === null ? NOTHING : answer.ok ? null : answer.error.code;
      },
    };
  }

  /** Prices are held; of each batch some are settled, some voided and some expire. */
  #work(count: number, draw: Draw): Act {
    const { now } = this.#books;
    const { firstOwner } = draw.lived;
    const [spared, which, refused] = [draw.below(20), draw.below(1_000), draw.below(60)];
    const requests = Array.from({ length: count }, (_, i): HoldRequest => {
      const number = ++this.#tasks;
      const task = newTaskId(now + i, sha256(`life ${this.#seed}:${number}`));
      return { task, customer: customers[number % 3] as CustomerId, amount: amountOf(number), at: now + i };
    });
    const voided = requests.slice(0, spared < 10 ? 1 : 0);
    const expired = requests.slice(1, spared === 0 ? 2 : 1);
    const paid = requests.slice(voided.length + expired.length).map((request) => ({ request, firstOwner }));
    const ends = [...voided.map((one) => voidHold(one, now + 9)), ...expired.map((one) => expireHold(one, now + 9))];
    if (refused < 2) return () => this.#refused(requests, refused === 0, now);
    keep(this.#settled, paid.slice(0, 2), SETTLED_MOST);
    keep(
      this.#dear,
      paid.filter(({ request }) => request.amount >= DEAR),
      DEAR_MOST,
    );
    return async () => {
      const { store, domains } = this.#books;
      if (await this.#areEnded(requests)) return done;
      const outcomes = await store.hold(requests);
      const unheld = outcomes.find((outcome) => outcome !== "held");
      if (unheld) throw new Error(`a price is ${unheld}`);
      const versions = await this.#published();
      const facts = paid.map((one, i) => factOf(one, versions[(which + i) % versions.length] as Version));
      const whole = workOf(facts, await settlingNow(this.#books), domains);
      const batch = { ...whole, transfers: [...(whole.transfers ?? []), ...ends] };
      if (!raises(batch, domains.wanted)) await store.commit(batch);
      else await commitRevision(store, batch, now, domains.wanted, async () => nothingRevised());
      return done;
    };
  }

  /** The last one costs more than anybody has, or is nobody's: the others are given up with it. */
  async #refused(requests: readonly HoldRequest[], isDear: boolean, now: number): Promise<Answer> {
    const { store } = this.#books;
    const refusal: Answer = { ok: false, error: { code: isDear ? "insufficient" : "unknown-customer" } };
    if (await this.#areEnded(requests)) return refusal;
    const last = requests.at(-1) as HoldRequest;
    const bad = isDear ? { ...last, amount: 1n << 61n } : { ...last, customer: "c_nobody" as CustomerId };
    const outcomes = await store.hold([...requests.slice(0, -1), bad]);
    if (outcomes.at(-1) !== refusal.error.code) throw new Error(`the price of ${last.task} is ${outcomes.at(-1)}`);
    const held = requests.filter((_, i) => outcomes[i] === "held");
    await store.commit({ transfers: held.map((one) => voidHold(one, now + 9)) });
    return refusal;
  }

  /** By an earlier try of the step. */
  async #areEnded([first]: readonly HoldRequest[]): Promise<boolean> {
    const { data } = await this.#books.store.entries({ task: first?.task as TaskId }, { limit: 2, after: null });
    return data.length > 1;
  }

  async #published(): Promise<Version[]> {
    if (this.#versions.length === 0) this.#versions = await this.#books.parties.domains.versions();
    return this.#versions;
  }
}

function keep(list: MadeUp[], more: readonly MadeUp[], most: number): void {
  list.push(...more);
  if (list.length > most) list.splice(0, most / 2);
}

/** Some cost more than verification pools have: once their pay is spent, an overturn finds too little. */
const DEAR = 10n ** 11n;
function amountOf(number: number): bigint {
  const amount = 1_000n * BigInt(1 + ((number * 7_919) % 500));
  if (number % 499 === 0) return (1n + BigInt((number / 499) % 60)) * (DEAR + amount);
  return number % 97 === 0 ? amount * 1_000n : amount;
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
