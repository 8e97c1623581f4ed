import { Kysely, type Transaction } from "kysely";
import type { AccountId, CaseId, CustomerId, MinerId, OwnerId, ReceiptId, TaskId } from "../../shared/ids.ts";
import type { Asset, Nano } from "../../shared/money.ts";
import type { Millis } from "../../shared/time.ts";
import type { Standing } from "../core/events.ts";
import { accounts, assetOf } from "../economy/accounts.ts";
import type { Hold } from "../economy/holds.ts";
import type { AccountView, AuditView, Page, Paged, TransferView } from "../gateway/gateway.ts";
import { type AgentStore, sqlAgents } from "./agent-store.ts";
import {
  type Availability,
  insertAttestations,
  readAttestations,
  readAvailability,
  type StoredAttestation,
} from "./attestation-records.ts";
import { type BatchStore, sqlBatches } from "./batch-store.ts";
import { findFaults } from "./books.ts";
import { countOpenCases, readAudit, readCase, readCaseOf, readCases, readCompatibility } from "./case-reads.ts";
import {
  addToCompatibility,
  type CaseRecord,
  type CaseState,
  type CompatibilityCount,
  caseRow,
  compatibilityRow,
  replaceCase,
} from "./case-records.ts";
import type { Engine } from "./engine.ts";
import { type FileStore, sqlFiles } from "./file-store.ts";
import { HeldChanges } from "./held-changes.ts";
import { type IdempotencyStore, sqlIdempotency } from "./idempotency-store.ts";
import { readAccount, readAccounts, readCounts, readEntries, readImbalance, readReceipt } from "./ledger-reads.ts";
import { type ChainHead, LedgerWriter } from "./ledger-writer.ts";
import { migrateToLatest } from "./migrations/migrate.ts";
import { partyRow, replaceParty } from "./party-records.ts";
import { type PartyStore, sqlParties } from "./party-store.ts";
import * as records from "./records.ts";
import { SettlementStore } from "./settlement-store.ts";
import type { Shelf } from "./shelf.ts";
import {
  type ApiKey,
  type Batch,
  type Counts,
  type Customer,
  type EpochBatch,
  type HoldOutcome,
  type HoldRequest,
  type MinerIdentity,
  type ModelRecord,
  type Store,
  type StoredReceipt,
  StoreError,
  type TaskRecord,
} from "./store.ts";
import type { Tables } from "./tables.ts";
import { runningEpoch, TallyRows } from "./tally-rows.ts";
import { insertEvents, WebhookStore } from "./webhook-store.ts";

/** The store on either database. Writes wait for one another: the chain has one end. */
export class SqlStore implements Store {
  readonly #engine: Engine;
  readonly #hub: string;
  readonly #db: Kysely<Tables>;
  readonly settlement: SettlementStore;
  #writing: Promise<unknown> = Promise.resolve();
  /** Null until it is read, and after a write that may or may not have reached the database. */
  #head: ChainHead | null = null;
  readonly parties: PartyStore;
  readonly files: FileStore;
  readonly batches: BatchStore;
  readonly idempotency: IdempotencyStore;
  readonly webhooks: WebhookStore;
  readonly agents: AgentStore;

  constructor(engine: Engine, hub: string) {
    this.#engine = engine;
    this.#hub = hub;
    this.#db = new Kysely({ dialect: engine.dialect });
    this.parties = sqlParties({
      engine,
      read: (work) => this.#explained(() => work(this.#db)),
      write: (work) => this.#write((trx, ledger) => work(trx, (batch) => this.#put(trx, ledger, batch))),
    });
    this.webhooks = new WebhookStore({
      engine,
      read: (work) => this.#explained(() => work(this.#db)),
      write: (work) => this.#write(work),
    });
    this.settlement = new SettlementStore({
      engine,
      db: this.#db,
      write: (work) => this.#write(work),
      read: (work) => this.#explained(work),
    });
    const shelf: Shelf = {
      insertRows: engine.insertRows,
      read: (work) => this.#explained(() => work(this.#db)),
      write: (work) => this.#write((trx) => work(trx)),
    };
    this.files = sqlFiles(shelf);
    this.batches = sqlBatches(shelf);
    this.agents = sqlAgents(shelf);
    this.idempotency = sqlIdempotency(shelf, hub);
  }

  migrate(): Promise<void> {
    return this.#explained(() => migrateToLatest(this.#db, this.#engine));
  }

  async close(): Promise<void> {
    await this.#writing.catch(() => {});
    await this.#db.destroy();
    await this.#engine.unlock();
  }

  hold(requests: readonly HoldRequest[]): Promise<HoldOutcome[]> {
    if (requests.length === 0) return Promise.resolve([]);
    return this.#write((_, ledger) => ledger.hold(requests));
  }

  commit(batch: Batch): Promise<void> {
    if (Object.values({ ...batch, receipts: batch.receipts?.leaves ?? [] }).every((list) => !list?.length)) {
      return Promise.resolve();
    }
    return this.#write((trx, ledger) => this.#put(trx, ledger, batch));
  }

  async #put(trx: Transaction<Tables>, ledger: LedgerWriter, batch: EpochBatch): Promise<void> {
    const { tasks = [], transfers = [], receipts, standings = [], miners = [], models = [] } = batch;
    const { chainSignatures = [], audit = [], cases = [], compatibility = [], parties = [], held = [] } = batch;
    const insert = this.#engine.insertRows;
    const known = transfers.length > 0 ? await ledger.post(transfers) : new Set<string>();
    await insert(trx, "tasks", newest(tasks, "task").map(records.taskRow), replaceTask);
    if (receipts) await this.#insertReceipts(trx, receipts, ledger.head.seq);
    if (batch.epoch) await this.settlement.step(trx, batch.epoch);
    const changes = held.filter((change) => !("by" in change && known.has(change.by)));
    if (changes.length > 0) await this.#changeHeld(trx, changes);
    const standingRows = newest(standings, "owner").map((of) => ({ owner: of.owner, standing: JSON.stringify(of) }));
    await insert(trx, "standings", standingRows, "on conflict (owner) do update set standing = excluded.standing");
    await insert(trx, "miners", newest(miners, "miner").map(records.minerRow), keepFirstSeen);
    await this.#insertModels(trx, models);
    const signatures = chainSignatures.map(records.chainSignatureRow);
    await insert(trx, "chain_signatures", signatures, "on conflict (session, seq) do nothing");
    await this.#insertAudit(trx, audit);
    await insert(trx, "cases", newest(cases, "case").map(caseRow), replaceCase);
    await insert(trx, "compatibility", compatibility.map(compatibilityRow), addToCompatibility);
    await insertEvents(trx, this.#engine, batch.webhookEvents ?? []);
    await insertAttestations(trx, this.#engine, batch.attestations ?? []);
    for (const customer of batch.customers ?? []) await this.#insertCustomer(trx, customer);
    await insert(trx, "api_keys", (batch.apiKeys ?? []).map(records.apiKeyRow), revokeKey);
    const partyRows = parties.map((of) => ({ ...of, key: `${of.kind} ${of.id}` }));
    await insert(trx, "party_records", newest(partyRows, "key").map(partyRow), replaceParty);
  }

  async #changeHeld(trx: Transaction<Tables>, changes: NonNullable<Batch["held"]>) {
    const counts = changes.some(({ kind }) => kind === "expelled" || kind === "available");
    const tally = new TallyRows(counts ? await runningEpoch(this.#engine, trx) : 0n);
    await new HeldChanges(this.#engine, trx, tally).apply(changes);
    await tally.write(this.#engine, trx);
  }

  /** `seq`: of the chain after the commit; places the receipts in an epoch. */
  async #insertReceipts(
    trx: Transaction<Tables>,
    { root, signature, at, leaves }: NonNullable<Batch["receipts"]>,
    seq: bigint,
  ) {
    const known = await trx.selectFrom("receipt_batches").select("root").where("root", "=", root).executeTakeFirst();
    if (known) return;
    const batch = { root, size: BigInt(leaves.length), signature, at: BigInt(at), hub: this.#hub, seq };
    const rows = leaves.map(({ receipt, leaf }, position) => ({ receipt, root, position: BigInt(position), leaf }));
    await this.#engine.insertRows(trx, "receipt_batches", [batch]);
    await this.#engine.insertRows(trx, "receipts", rows);
  }

  async #insertModels(trx: Transaction<Tables>, models: readonly ModelRecord[]) {
    for (const row of models.map(records.modelRow)) {
      const known = await trx.selectFrom("models").selectAll().where("model", "=", row.model).executeTakeFirst();
      if (!known) await this.#engine.insertRows(trx, "models", [row]);
      else if (known.manifest !== row.manifest || known.golden !== row.golden) {
        throw new StoreError("conflict", `${row.model} is published already, with other content.`);
      }
    }
  }

  async #insertAudit(trx: Transaction<Tables>, lines: NonNullable<Batch["audit"]>) {
    if (lines.length === 0) return;
    const query = trx.selectFrom("audit").select("seq").where("hub", "=", this.#hub);
    const last = await query.orderBy("seq", "desc").limit(1).executeTakeFirst();
    const first = (last?.seq ?? 0n) + 1n;
    const rows = lines.map(({ at, actor, action, subject = null, detail }, i) => {
      const place = { hub: this.#hub, seq: first + BigInt(i), at: BigInt(at) };
      return { ...place, actor, action, subject, detail: JSON.stringify(detail) };
    });
    await this.#engine.insertRows(trx, "audit", rows);
  }

  openHolds(): Promise<Hold[]> {
    return this.#explained(async () => {
      const query = this.#db.selectFrom("holds").select(["task", "customer", "amount"]).where("state", "=", "pending");
      return (await query.orderBy("task").execute()) as Hold[];
    });
  }

  recentPrices(limit: number): Promise<Nano[]> {
    return this.#explained(async () => {
      // By their settlements, which an index has in order of time.
      const query = this.#db.selectFrom("transfers").innerJoin("tasks", "tasks.task", "transfers.task").select("price");
      const newest = query.where("kind", "=", "settle").orderBy("transfers.at", "desc");
      const rows = await newest
        .orderBy("transfers.hub", "desc")
        .orderBy("transfers.seq", "desc")
        .limit(limit)
        .execute();
      return rows.map(({ price }) => price).reverse();
    });
  }

  task(id: TaskId): Promise<TaskRecord | null> {
    return this.#explained(async () => {
      const row = await this.#db.selectFrom("tasks").selectAll().where("task", "=", id).executeTakeFirst();
      return row ? records.taskRecord(row) : null;
    });
  }

  receipt(id: ReceiptId): Promise<StoredReceipt | null> {
    return this.#explained(() => readReceipt(this.#db, id));
  }
  account(id: AccountId): Promise<AccountView | null> {
    return this.#explained(() => readAccount(this.#db, id));
  }
  accounts(page: Page): Promise<Paged<AccountView>> {
    return this.#explained(() => readAccounts(this.#db, page));
  }
  entries(
    filter: { account?: AccountId; task?: TaskId },
    page: Page,
  ): Promise<Paged<TransferView & { cursor: string }>> {
    return this.#explained(() => readEntries(this.#db, filter, page));
  }
  imbalance(): Promise<Record<Asset, Nano>> {
    return this.#explained(() => readImbalance(this.#db));
  }
  counts(): Promise<Counts> {
    return this.#explained(() => readCounts(this.#db));
  }
  integrityCheck(): Promise<string[]> {
    return this.#explained(() => findFaults(this.#db, this.#engine));
  }

  case(id: CaseId): Promise<CaseRecord | null> {
    return this.#explained(() => readCase(this.#db, id));
  }
  caseOf(task: TaskId): Promise<CaseRecord | null> {
    return this.#explained(() => readCaseOf(this.#db, task));
  }
  cases(state: CaseState | null, page: Page): Promise<Paged<CaseRecord>> {
    return this.#explained(() => readCases(this.#db, state, page));
  }
  openCases(): Promise<number> {
    return this.#explained(() => countOpenCases(this.#db));
  }
  auditLog(subject: string | null, page: Page): Promise<Paged<AuditView>> {
    return this.#explained(() => readAudit(this.#db, subject, page));
  }
  compatibility(): Promise<CompatibilityCount[]> {
    return this.#explained(() => readCompatibility(this.#db));
  }

  attestations(of: { owner: OwnerId; limit: number }): Promise<StoredAttestation[]> {
    return this.#explained(() => readAttestations(this.#db, of));
  }
  availability(of: { from: Millis; to: Millis; owner?: OwnerId }): Promise<Availability[]> {
    return this.#explained(() => readAvailability(this.#db, of));
  }

  standing(owner: OwnerId): Promise<Standing | null> {
    return this.#explained(async () => {
      const row = await this.#db.selectFrom("standings").selectAll().where("owner", "=", owner).executeTakeFirst();
      return row ? JSON.parse(row.standing) : null;
    });
  }

  standings(): Promise<Standing[]> {
    return this.#explained(async () => {
      const rows = await this.#db.selectFrom("standings").selectAll().orderBy("owner").execute();
      return rows.map((row) => JSON.parse(row.standing));
    });
  }

  miner(id: MinerId): Promise<MinerIdentity | null> {
    return this.#explained(async () => {
      const row = await this.#db.selectFrom("miners").selectAll().where("miner", "=", id).executeTakeFirst();
      return row ? records.minerIdentity(row) : null;
    });
  }

  models(): Promise<ModelRecord[]> {
    return this.#explained(async () => {
      const rows = await this.#db.selectFrom("models").selectAll().orderBy("published_at").orderBy("model").execute();
      return rows.map(records.modelRecord);
    });
  }

  /** Opens the customer's accounts as well, so that they can be locked and read before any money moves. */
  addCustomer(customer: Customer): Promise<void> {
    return this.#write((trx) => this.#insertCustomer(trx, customer));
  }

  async #insertCustomer(trx: Transaction<Tables>, customer: Customer): Promise<void> {
    await this.#engine.insertRows(trx, "customers", [records.customerRow(customer)]);
    const names = [accounts.customer(customer.customer), accounts.customerHeld(customer.customer)];
    const nothing = { overdraft: 0n, balance: 0n, entries: 0n };
    const opened = names.map((account) => ({ account, asset: assetOf(account), ...nothing }));
    await this.#engine.insertRows(trx, "accounts", opened, "on conflict (account) do nothing");
  }

  customer(id: CustomerId): Promise<Customer | null> {
    return this.#explained(async () => {
      const row = await this.#db.selectFrom("customers").selectAll().where("customer", "=", id).executeTakeFirst();
      return row ? records.customerRecord(row) : null;
    });
  }

  addApiKey(key: ApiKey): Promise<void> {
    return this.#write((trx) => this.#engine.insertRows(trx, "api_keys", [records.apiKeyRow(key)]));
  }

  apiKeyByHash(secretHash: string): Promise<ApiKey | null> {
    return this.#explained(async () => {
      const query = this.#db.selectFrom("api_keys").selectAll().where("secret_hash", "=", secretHash);
      const row = await query.executeTakeFirst();
      return row ? records.apiKey(row) : null;
    });
  }

  apiKeys(customer: CustomerId): Promise<ApiKey[]> {
    return this.#explained(async () => {
      const query = this.#db.selectFrom("api_keys").selectAll().where("customer", "=", customer);
      return (await query.orderBy("created_at").orderBy("id").execute()).map(records.apiKey);
    });
  }

  activeApiKeys(): Promise<ApiKey[]> {
    return this.#explained(async () => {
      const query = this.#db.selectFrom("api_keys").selectAll().where("revoked_at", "is", null);
      return (await query.orderBy("created_at").orderBy("id").execute()).map(records.apiKey);
    });
  }

  revokeApiKey(id: string, at: Millis): Promise<boolean> {
    return this.#write(async (trx) => {
      const query = trx
        .updateTable("api_keys")
        .set({ revoked_at: BigInt(at) })
        .where("id", "=", id);
      const { numUpdatedRows } = await query.where("revoked_at", "is", null).executeTakeFirst();
      return numUpdatedRows > 0n;
    });
  }

  setting(key: string): Promise<string | null> {
    return this.#explained(async () => {
      const row = await this.#db.selectFrom("settings").select("value").where("key", "=", key).executeTakeFirst();
      return row?.value ?? null;
    });
  }

  setSetting(key: string, value: string): Promise<void> {
    const replace = "on conflict (key) do update set value = excluded.value";
    return this.#write((trx) => this.#engine.insertRows(trx, "settings", [{ key, value }], replace));
  }

  #write<T>(work: (trx: Transaction<Tables>, ledger: LedgerWriter) => Promise<T>): Promise<T> {
    const run = () =>
      this.#explained(async () => {
        const known = this.#head;
        this.#head = null;
        const { result, head } = await this.#db.transaction().execute(async (trx) => {
          const before = known ?? (await LedgerWriter.readHead(trx, this.#hub));
          const ledger = new LedgerWriter(this.#engine, this.#hub, trx, before);
          return { result: await work(trx, ledger), head: ledger.head };
        });
        this.#head = head;
        return result;
      });
    const written = this.#writing.then(run, run);
    this.#writing = written;
    return written;
  }

  async #explained<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.#engine.explain(error);
    }
  }
}

const taskColumns = [
  "customer",
  "model",
  "level",
  "state",
  "basis",
  "price",
  "work",
  "submitted_at",
  "ended_at",
  "error",
  "timeline",
];
const replaceTask = `on conflict (task) do update set ${taskColumns.map((column) => `${column} = excluded.${column}`).join(", ")}`;
const revokeKey = "on conflict (id) do update set revoked_at = excluded.revoked_at";
const keepFirstSeen = "on conflict (miner) do update set owner = excluded.owner, last_seen_at = excluded.last_seen_at";

/** The last of each name, since one statement may not write a row twice. */
function newest<T, K extends keyof T>(list: readonly T[], name: K): T[] {
  return [...new Map(list.map((item) => [item[name], item])).values()];
}
