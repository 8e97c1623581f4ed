import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CustomerId, ModelKey } from "../../shared/ids.ts";
import { NANO_PER_UNIT } from "../../shared/money.ts";
import { grant } from "../economy/holds.ts";
import type { Transfer } from "../economy/ledger.ts";
import { WINDOW_MS } from "../economy/market.ts";
import { CLEAN_MS } from "../economy/maturation.ts";
import { openEconomyDesk } from "../economy-desk/economy-desk.ts";
import { openStore } from "../store/open.ts";
import type { Store, StoreConfig } from "../store/store.ts";
import { Traffic } from "../store/traffic.ts";
import { DomainMap } from "./domain-map.ts";
import { openSettlement, type Settlement } from "./open-settlement.ts";
import type { RailName } from "./rails.ts";

/** A hub's books without a hub: a store, the desks, settled tasks, and a clock that stands where it is put. */
export const models = ["model-0@1", "model-1@1", "model-2@1"] as ModelKey[];
export const DAY_MS = 86_400_000;
export const MARKET_SEED = { usdc: 50_000n * NANO_PER_UNIT, dn: 1_000_000n * NANO_PER_UNIT };

export class TestBooks {
  now = 1_000;
  readonly folder: string;
  readonly posted: Transfer[] = [];
  /** Off where memory is measured. */
  keepsPosted = true;
  readonly domains = new DomainMap();
  rail: RailName = "off";
  /** Names what commands make. */
  newId: () => string = () => randomBytes(12).toString("base64url");
  readonly #traffic: Traffic;
  store!: Store;
  settlement!: Settlement;
  parties!: Awaited<ReturnType<typeof openEconomyDesk>>;

  constructor(folder = mkdtempSync(join(tmpdir(), "tabgrid-settlement-")), miners = 40) {
    this.folder = folder;
    this.#traffic = new Traffic("books", miners);
  }

  get config(): StoreConfig {
    return { kind: "sqlite", folder: this.folder, hub: "one" };
  }

  async open(config: StoreConfig = this.config): Promise<this> {
    return this.on(await openStore(config));
  }

  async on(store: Store): Promise<this> {
    await store.migrate();
    this.store = store;
    const clock = { now: () => this.now };
    const runtime = {
      between: async <T>(work: () => Promise<{ value: T; transfers: readonly Transfer[] }>): Promise<T> => {
        const { value, transfers } = await work();
        this.keep(transfers);
        return value;
      },
      posted: this.keep,
    };
    await this.learn();
    this.settlement = await openSettlement({
      runtime,
      store,
      clock,
      domains: this.domains,
      catchUp: this.parties.catchUp,
      rail: this.rail,
      dataDir: this.folder,
      sign: () => "signature",
      hubKey: "hub",
    });
    return this;
  }

  /** What a new process would know of the books: desks opened anew, domains and prices read again. */
  async learn(): Promise<void> {
    this.parties = await openDesk(this);
    this.domains.epoch = (await this.store.settlement.running()).epoch;
  }

  readonly keep = (transfers: readonly Transfer[]): void => {
    if (this.keepsPosted) this.posted.push(...transfers);
  };

  /** Customers with money, published versions, and a market that is old enough to have a price. */
  async begin(fortune = 1_000n): Promise<this> {
    await this.#traffic.addCustomers(this.store);
    const transfers = this.#traffic.customers.map((customer) => grant(customer, fortune * NANO_PER_UNIT, "start", 1));
    const parties = models.map((model, i) => {
      const body = { model, domain: "commons", creator: `creator ${i}`, royaltyBasisPoints: 2_000, round: null };
      const record = { kind: "version", id: model, party: null, subject: "commons", state: "minted" } as const;
      return { ...record, from: null, at: 1, by: "test", body };
    });
    await this.store.commit({ transfers, parties });
    const seeded = await this.parties.market.seed(foundation, MARKET_SEED.usdc, MARKET_SEED.dn);
    if (!seeded.ok) throw new Error(seeded.error.message);
    this.now += WINDOW_MS;
    return this;
  }

  /** Holds and settles tasks of three models now. */
  async settle(count: number, price = 1_000_000n): Promise<void> {
    const requests = this.#traffic.requests(count, price).map((one, i) => ({ ...one, at: this.now + i }));
    await this.store.hold(requests);
    await this.store.commit(this.#traffic.settlement(requests));
  }

  /** Until all that is held has matured. */
  async pass(ms = CLEAN_MS + DAY_MS): Promise<void> {
    this.now += ms;
    await this.settlement.maturer.round();
  }

  async balance(account: string): Promise<bigint> {
    return (await this.store.account(account as never))?.balance ?? 0n;
  }

  async close(): Promise<void> {
    await this.settlement.maturer.close();
    await this.store.close();
    rmSync(this.folder, { recursive: true });
  }
}

export const foundation = { customer: null as CustomerId | null, key: null };

function openDesk(books: TestBooks) {
  const { store, domains } = books;
  const parts = { store, domains, clock: { now: () => books.now }, posted: books.keep };
  const hub = { hubKey: "hub", changed: async () => {}, newId: () => books.newId() };
  return openEconomyDesk(parts, { add: () => {}, revoke: () => {} }, [], hub);
}
