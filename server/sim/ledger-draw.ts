import type { AccountId, CustomerId, ModelKey, OwnerId } from "../../shared/ids.ts";
import { nextInt, type Rng } from "../../shared/random.ts";
import { accounts } from "../economy/accounts.ts";
import { foundation, type TestBooks } from "../settlement/test-books.ts";
import type { PartyBodies, PartyKind, Version } from "../store/party-records.ts";
import { type MadeUp, OWNERS, ownerOf } from "./ledger-work.ts";

/** Each customer is creator, backer, staker, voter and owner of earnings at once, and owns domains besides. */
export const customers = ["c_ann", "c_bob", "c_cid"] as CustomerId[];
/** Names of creators; the first three are known from the start. */
export const CREATORS = 12;
export const creatorOf = (number: number): string => `creator ${number}`;
/** Whose a creator's name is, or will be once it is named. */
export const behind = (creator: string): CustomerId =>
  customers[Number(creator.slice("creator ".length)) % customers.length] as CustomerId;
export const customerOf = (party: AccountId): CustomerId => party.slice("customer:".length) as CustomerId;

/** What a step knows of the life that it is a step of. */
export interface Lived {
  books: TestBooks;
  /** Of every batch some tasks that were settled, oldest first. */
  settled: readonly MadeUp[];
  /** Those that cost much more than others. */
  dear: readonly MadeUp[];
  /** Published ones. */
  versions(): Promise<readonly Version[]>;
  /** How many may be by now. */
  room: number;
  firstOwner: number;
}

/** The number of a step, and what a repetition of it says. */
export interface StepName {
  id: string;
  key: string;
}

type Found<Kind extends PartyKind> = { id: string; state: string; body: PartyBodies[Kind] };

/** Draws and what they fell on: the same in every try of a step. */
export class Draw {
  readonly books: TestBooks;
  readonly lived: Lived;
  readonly id: string;
  readonly key: string;
  /** When it was asked. */
  readonly at: number;
  /** Asks for something that is likely refused: of the wrong party, in the wrong state, for more than there is. */
  readonly odd: boolean;
  readonly customer: CustomerId;
  readonly owner: OwnerId;
  readonly amount: bigint;
  readonly domain: string;
  readonly #rng: Rng;
  readonly #which: number;
  readonly #picked = new Map<string, unknown>();

  constructor(lived: Lived, rng: Rng, { id, key }: StepName) {
    this.lived = lived;
    this.books = lived.books;
    this.#rng = rng;
    this.id = id;
    this.key = key;
    this.at = lived.books.now;
    this.odd = this.below(8) === 0;
    this.customer = customers[this.below(customers.length)] as CustomerId;
    this.owner = ownerOf(lived.firstOwner + this.below(OWNERS));
    this.amount = BigInt(1 + this.below(1_000_000));
    const names = lived.books.domains.names();
    this.domain = this.below(2) === 0 ? "commons" : (names[this.below(names.length)] as string);
    this.#which = this.below(1_000_000);
  }

  below(bound: number): number {
    return nextInt(this.#rng, bound);
  }
  get asCustomer() {
    return this.as(this.customer);
  }
  as(customer: CustomerId) {
    return { customer, key: this.key };
  }
  asMiner(miner: OwnerId) {
    return { customer: null, miner, key: this.key };
  }
  get asFoundation() {
    return { ...foundation, key: this.key };
  }
  /** The party that may, or, where the step is odd, one that may not. */
  rightly(customer: CustomerId) {
    return this.as(this.odd ? this.customer : customer);
  }

  /** Kept, so that a second try asks for the same although the first may have changed it. */
  async once<T>(name: string, find: () => Promise<T>): Promise<T> {
    if (!this.#picked.has(name)) this.#picked.set(name, await find());
    return this.#picked.get(name) as T;
  }

  of<T>(list: readonly T[]): T | null {
    return list[this.#which % Math.max(1, list.length)] ?? null;
  }

  /** A record in such a state that fits; of an odd step any of the newest, or one that does not exist. */
  record<Kind extends PartyKind>(
    kind: Kind,
    state: string,
    fits: (body: PartyBodies[Kind]) => boolean = () => true,
  ): Promise<Found<Kind> | null> {
    const { parties } = this.books.store;
    return this.once(`${kind} ${state}`, async () => {
      if (!this.odd) return this.of((await parties.all(kind, { state })).filter(({ body }) => fits(body)));
      const { data } = await parties.list(kind, {}, { limit: 20, after: null });
      const any = this.of(data);
      return any && this.#which % 8 === 0 ? { ...any, id: "nothing" } : any;
    });
  }

  /** At most about half of what is there; of an odd step more than there is. */
  async partOf(account: AccountId, most: bigint = this.amount): Promise<bigint> {
    const balance = await this.once(`balance ${account}`, async () => this.books.balance(account));
    return this.portion(balance, most);
  }
  portion(whole: bigint, most: bigint = this.amount): bigint {
    if (this.odd) return whole + most;
    const half = whole / 2n + 1n;
    return most < half ? most : half;
  }

  dnOf(customer: CustomerId): Promise<bigint> {
    return this.partOf(accounts.dn(accounts.customer(customer)));
  }

  async model(fits: (version: Version) => boolean = () => true): Promise<ModelKey | null> {
    const found = async () => this.of((await this.lived.versions()).filter(fits))?.model ?? null;
    return this.odd && this.#which % 4 === 0 ? ("nothing@1" as ModelKey) : this.once("model", found);
  }
}

/** What came of a try: nothing where there was nothing to do it to. */
export type Answer = { ok: true } | { ok: false; error: { code: string } } | null;
export type Act = () => Promise<Answer>;
export const done: Answer = { ok: true };

/** How often it is drawn beside others, and what draws it: all is drawn here, and done by what is returned, as often as it takes. */
export type Kinds = Record<string, [weight: number, make: (draw: Draw) => Act]>;
