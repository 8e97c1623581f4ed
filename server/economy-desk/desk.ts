import { failure, type TabgridError } from "../../shared/errors.ts";
import type { CustomerId, OwnerId } from "../../shared/ids.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import type { Clock, Millis } from "../../shared/time.ts";
import { accounts } from "../economy/accounts.ts";
import { hex, type Transfer } from "../economy/ledger.ts";
import type { DomainMap } from "../settlement/domain-map.ts";
import { exactJson } from "../store/exact-json.ts";
import type { PartyBodies, PartyKind, PartyRecord } from "../store/party-records.ts";
import type { Books, PartyFilter } from "../store/party-store.ts";
import { sha256 } from "../store/sha256.ts";
import type { Batch, Store } from "../store/store.ts";

/**
 * Where parties act on the economy. Every command goes one way: a pure function of server/economy decides on the books as
 * they stand, and its transfers, records and a line of the audit log are written in one commit, once per idempotency key.
 */
export interface DeskParts {
  store: Store;
  clock: Clock;
  domains: DomainMap;
  /** Told of what a command moved, once it is committed. */
  posted(transfers: readonly Transfer[]): void;
}

/** Who acts: a customer, a miner, or the operator for the foundation. */
export interface Caller {
  customer: CustomerId | null;
  miner?: OwnerId;
  /** Idempotency key of the request. */
  key: string | null;
}

export interface Step<Reply> {
  reply: Reply;
  /** What it is about, for the audit log. */
  subject: string;
  transfers?: readonly (Transfer | null)[];
  customers?: Batch["customers"];
  apiKeys?: Batch["apiKeys"];
  records: readonly Written[];
}

/** Who wrote a record and when is the desk's to add. */
export type Written<Kind extends PartyKind = PartyKind> = Omit<PartyRecord<Kind>, "at" | "by">;

export type Decide<Reply> = (books: Books, at: Millis) => Promise<Result<Step<Reply>, TabgridError>>;

export const FOUNDATION = "foundation";
export function actorOf({ customer, miner }: Caller): string {
  if (miner !== undefined) return accounts.miner(miner);
  return customer === null ? FOUNDATION : accounts.customer(customer);
}

export class Desk {
  readonly #parts: DeskParts;
  /** Changes of domains: versions and pledges are only ever added. */
  #changes = 0;
  constructor(parts: DeskParts) {
    this.#parts = parts;
  }

  get domains(): DomainMap {
    return this.#parts.domains;
  }
  get store(): Store {
    return this.#parts.store;
  }
  /** What a change may not reach into: by the books, as this hub hears of another's fence within a minute only. */
  async running(books: Books): Promise<number> {
    return Math.max(this.domains.epoch, await books.running());
  }
  now(): Millis {
    return this.#parts.clock.now();
  }

  /** `input` is what was asked: it goes into the audit log, and tells a repeated request from another one. */
  async act<Reply>(
    caller: Caller,
    action: string,
    input: Record<string, unknown>,
    decide: Decide<Reply>,
  ): Promise<Result<Reply, TabgridError>> {
    const at = this.now();
    const { key } = caller;
    const actor = actorOf(caller);
    const asked = exactJson([action, actor, input]);
    const command = { key: key === null ? null : `${actor} ${key}`, inputHash: hex(sha256(asked)), at };
    const acted = await this.#parts.store.parties.act(command, async (books) => {
      const step = await decide(books, at);
      if (!step.ok) return step;
      const { reply, subject, records, customers = [], apiKeys = [] } = step.value;
      const transfers = (step.value.transfers ?? []).filter((one) => one !== null);
      const audit = [{ at, actor, action, subject, detail: plain(input) }];
      return ok({
        reply,
        transfers,
        audit,
        customers,
        apiKeys,
        parties: records.map((one) => ({ ...one, at, by: actor })),
      });
    });
    if (!acted.ok) return acted;
    const { reply, repeated, transfers = [], parties = [] } = acted.value;
    if (!repeated) {
      for (const record of parties) this.learn(record);
      if (transfers.length > 0) this.#parts.posted(transfers);
    }
    return ok(reply);
  }

  /** Keeps what every quote and settlement asks in step with the books. */
  learn(record: PartyRecord): void {
    if (record.kind === "domain") {
      this.#changes++;
      const { domain, timeline } = record.body as PartyBodies["domain"];
      this.domains.change(domain, timeline);
    } else if (record.kind === "version" && record.state === "minted") {
      const { model, domain } = record.body as PartyBodies["version"];
      this.domains.publish(model, domain);
    } else if (record.kind === "pledge" && record.state === "open") {
      // Forgetting it again would ask for all pledges of the model; one look at the books more costs little.
      this.domains.wanted.add((record.body as PartyBodies["pledge"]).model);
    }
  }

  /** All that the books say of domains, versions and pledges, also where another hub wrote it. */
  async learnAll(): Promise<void> {
    const read = async () => {
      const pledges = await this.all("pledge", { state: "open" });
      return [...(await this.all("domain")), ...(await this.all("version")), ...pledges];
    };
    let changes: number;
    let records: PartyRecord[];
    do {
      changes = this.#changes;
      records = await read();
    } while (changes !== this.#changes); // by this hub, in between: what was read may be older
    for (const record of records) this.learn(record);
  }

  one<Kind extends PartyKind>(kind: Kind, id: string): Promise<PartyRecord<Kind> | null> {
    return this.store.parties.one(kind, id);
  }
  all<Kind extends PartyKind>(kind: Kind, filter: PartyFilter = {}): Promise<PartyRecord<Kind>[]> {
    return this.store.parties.all(kind, filter);
  }
}

/** For the audit log, where amounts are decimal strings. */
const plain = (input: Record<string, unknown>): Record<string, unknown> =>
  JSON.parse(JSON.stringify(input, (_, one) => (typeof one === "bigint" ? one.toString() : one)));

export const unknown =
  (code: "unknown-domain" | "unknown-round" | "unknown-proposal" | "unknown-model" | "not-found") =>
  (field: string, got: string) =>
    err(failure(code, `no ${field} ${got}`, { field, expected: "one that there is", got }));

export const noCustomer = (field: string, got: string) =>
  err(failure("unknown-account", `no customer ${got}`, { field, expected: "a customer of this hub", got }));

export const forbidden = (message: string, field: string, expected: string, got: string) =>
  err(failure("forbidden", message, { field, expected, got }));
