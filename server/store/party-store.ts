import { type Kysely, sql, type Transaction } from "kysely";
import { failure, type TabgridError } from "../../shared/errors.ts";
import type { AccountId, CustomerId, OwnerId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import type { Page, Paged } from "../gateway/gateway.ts";
import type { Engine } from "./engine.ts";
import { type EpochRecord, epochRecord } from "./epoch-records.ts";
import { exactJson, fromExactJson } from "./exact-json.ts";
import { paged } from "./ledger-reads.ts";
import { type PartyKind, type PartyRecord, partyRecord } from "./party-records.ts";
import { apiKey } from "./records.ts";
import { type ApiKey, type EpochBatch, StoreError } from "./store.ts";
import type { Tables } from "./tables.ts";

/** What parties do: commands that read, decide and write in one transaction, and the records that they leave. */
export interface PartyStore {
  /**
   * `work` reads the books as they are, and what it returns is written with it or not at all; a refusal writes nothing.
   * Commands wait for one another, also those of other hubs. A key that comes again with the same input gets its first
   * reply; with other input it is refused (`already-claimed`).
   */
  act<Reply>(command: Command, work: Work<Reply>): Promise<Result<Acted<Reply>, TabgridError>>;
  one<Kind extends PartyKind>(kind: Kind, id: string): Promise<PartyRecord<Kind> | null>;
  all<Kind extends PartyKind>(kind: Kind, filter?: PartyFilter): Promise<PartyRecord<Kind>[]>;
  /** Newest first; `after` is an id. */
  list<Kind extends PartyKind>(kind: Kind, filter: PartyFilter, page: Page): Promise<Paged<PartyRecord<Kind>>>;
  /** Of all accounts whose name begins so. */
  sum(prefix: string): Promise<Nano>;
}

export interface Command {
  /** Null: never repeated. */
  key: string | null;
  /** SHA-256 of what is asked, hex. */
  inputHash: string;
  at: Millis;
}

export interface PartyFilter {
  party?: AccountId;
  subject?: string;
  state?: string;
}

/** The books as a command sees them: all that `work` may read, since the database waits for it. */
export interface Books {
  balance(account: AccountId): Promise<Nano>;
  one<Kind extends PartyKind>(kind: Kind, id: string): Promise<PartyRecord<Kind> | null>;
  all<Kind extends PartyKind>(kind: Kind, filter?: PartyFilter): Promise<PartyRecord<Kind>[]>;
  sum(prefix: string): Promise<Nano>;
  hasOpenCase(owner: OwnerId): Promise<boolean>;
  hasCustomer(customer: CustomerId): Promise<boolean>;
  apiKey(id: string): Promise<ApiKey | null>;
  /** Somebody of this name has worked here. */
  hasWorked(owner: OwnerId): Promise<boolean>;
  /** As it stands: nobody fences or approves it until the command has ended. */
  epoch(epoch: number): Promise<EpochRecord | null>;
  /** The running epoch, also where another hub has just opened it. */
  running(): Promise<number>;
}

export type Outcome<Reply> = EpochBatch & { reply: Reply };
export type Work<Reply> = (books: Books) => Promise<Result<Outcome<Reply>, TabgridError>>;
/** `repeated`: nothing was written now. */
export type Acted<Reply> = Outcome<Reply> & { repeated: boolean };

export interface PartyShelf {
  engine: Engine;
  read<T>(work: (db: Kysely<Tables>) => Promise<T>): Promise<T>;
  /** `put` writes a batch in the transaction. */
  write<T>(work: (trx: Transaction<Tables>, put: (batch: EpochBatch) => Promise<void>) => Promise<T>): Promise<T>;
}

type Db = Kysely<Tables>;

export function sqlParties({ engine, read, write }: PartyShelf): PartyStore {
  async function turn<Reply>(command: Command, work: Work<Reply>): Promise<Result<Acted<Reply>, TabgridError>> {
    return write(async (trx, put) => {
      await sql`select id from party_turn ${engine.forUpdate}`.execute(trx);
      const { key, inputHash, at } = command;
      if (key !== null) {
        const known = await trx.selectFrom("party_commands").selectAll().where("key", "=", key).executeTakeFirst();
        if (known && known.input_hash !== inputHash) return err(otherInput(key));
        if (known) return ok({ reply: fromExactJson(known.reply) as Reply, repeated: true });
      }
      const outcome = await work(booksOf(trx));
      if (!outcome.ok) return outcome;
      const { reply, ...batch } = outcome.value;
      await put(batch);
      if (key !== null) {
        const row = { key, input_hash: inputHash, reply: exactJson(reply), at: BigInt(at) };
        await engine.insertRows(trx, "party_commands", [row]);
      }
      return ok({ ...outcome.value, repeated: false });
    });
  }

  return {
    async act(command, work) {
      try {
        return await turn(command, work);
      } catch (error) {
        // Another hub spent what this one had read: the second look decides.
        if (error instanceof StoreError && error.code === "conflict") return turn(command, work);
        throw error;
      }
    },
    one: (kind, id) => read((db) => readOne(db, kind, id)),
    all: (kind, filter = {}) => read((db) => readAll(db, kind, filter)),
    list: (kind, filter, page) => read((db) => readList(db, kind, filter, page)),
    sum: (prefix) => read((db) => readSum(db, prefix)),
  };
}

const booksOf = (db: Db): Books => ({
  async balance(account) {
    const row = await db.selectFrom("accounts").select("balance").where("account", "=", account).executeTakeFirst();
    return row?.balance ?? 0n;
  },
  one: (kind, id) => readOne(db, kind, id),
  all: (kind, filter = {}) => readAll(db, kind, filter),
  sum: (prefix) => readSum(db, prefix),
  async hasOpenCase(owner) {
    const query = db.selectFrom("cases").select("id").where("owner", "=", owner).where("state", "=", "open");
    return (await query.limit(1).executeTakeFirst()) !== undefined;
  },
  async hasCustomer(customer) {
    const query = db.selectFrom("customers").select("customer").where("customer", "=", customer);
    return (await query.executeTakeFirst()) !== undefined;
  },
  async apiKey(id) {
    const row = await db.selectFrom("api_keys").selectAll().where("id", "=", id).executeTakeFirst();
    return row ? apiKey(row) : null;
  },
  async hasWorked(owner) {
    const query = db.selectFrom("standings").select("owner").where("owner", "=", owner);
    return (await query.executeTakeFirst()) !== undefined;
  },
  async epoch(epoch) {
    const query = db.selectFrom("epochs").selectAll().where("epoch", "=", BigInt(epoch));
    const row = await query.executeTakeFirst();
    return row ? epochRecord(row) : null;
  },
  async running() {
    const row = await db.selectFrom("epochs").select("epoch").orderBy("epoch", "desc").limit(1).executeTakeFirst();
    return Number(row?.epoch ?? 0n);
  },
});

async function readOne<Kind extends PartyKind>(db: Db, kind: Kind, id: string): Promise<PartyRecord<Kind> | null> {
  const query = db.selectFrom("party_records").selectAll().where("kind", "=", kind).where("id", "=", id);
  const row = await query.executeTakeFirst();
  return row ? partyRecord<Kind>(row) : null;
}

/** Oldest first. */
async function readAll<Kind extends PartyKind>(db: Db, kind: Kind, filter: PartyFilter): Promise<PartyRecord<Kind>[]> {
  const { rows } = await sql<Tables["party_records"]>`
    select * from party_records where ${sql.join(conditionsOf(kind, filter), sql` and `)} order by at, id`.execute(db);
  return rows.map((row) => partyRecord<Kind>(row));
}

async function readList<Kind extends PartyKind>(
  db: Db,
  kind: Kind,
  filter: PartyFilter,
  page: Page,
): Promise<Paged<PartyRecord<Kind>>> {
  const conditions = conditionsOf(kind, filter);
  if (page.after !== null) {
    conditions.push(sql`(at, id) < (select at, id from party_records where kind = ${kind} and id = ${page.after})`);
  }
  const { rows } = await sql<Tables["party_records"]>`
    select * from party_records where ${sql.join(conditions, sql` and `)}
    order by at desc, id desc limit ${BigInt(page.limit + 1)}`.execute(db);
  return paged(
    rows.map((row) => partyRecord<Kind>(row)),
    page.limit,
  );
}

function conditionsOf(kind: PartyKind, { party, subject, state }: PartyFilter) {
  const conditions = [sql`kind = ${kind}`];
  if (party !== undefined) conditions.push(sql`party = ${party}`);
  if (subject !== undefined) conditions.push(sql`subject = ${subject}`);
  if (state !== undefined) conditions.push(sql`state = ${state}`);
  return conditions;
}

async function readSum(db: Db, prefix: string): Promise<Nano> {
  const { rows } = await sql<{ total: Nano | null }>`
    select cast(sum(balance) as bigint) as total from accounts where account like ${`${prefix}%`}`.execute(db);
  return rows[0]?.total ?? 0n;
}

const otherInput = (key: string): TabgridError =>
  failure("already-claimed", "this idempotency key was used for another request", {
    field: "idempotency-key",
    expected: "a new key",
    got: key.slice(0, 80),
  });
