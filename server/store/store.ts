import type { GoldenFile, Manifest } from "../../models/manifest.ts";
import type { TabgridError } from "../../shared/errors.ts";
import type {
  AccountId,
  CaseId,
  CustomerId,
  MinerId,
  ModelKey,
  OwnerId,
  ReceiptId,
  SessionId,
  TaskId,
} from "../../shared/ids.ts";
import type { Asset, Nano } from "../../shared/money.ts";
import type { ServiceLevel } from "../../shared/pricing.ts";
import type { Millis } from "../../shared/time.ts";
import type { Standing, VerdictBasis } from "../core/events.ts";
import type { TaskState } from "../core/task.ts";
import type { Hold } from "../economy/holds.ts";
import type { Transfer } from "../economy/ledger.ts";
import type { ReceiptBatch } from "../economy/receipts.ts";
import type { AccountView, AuditView, Page, Paged, ReceiptView, TransferView } from "../gateway/gateway.ts";
import type { AgentStore } from "./agent-store.ts";
import type { AttestationRecord, Availability, StoredAttestation } from "./attestation-records.ts";
import type { BatchStore } from "./batch-store.ts";
import type { CaseRecord, CaseState, CompatibilityCount } from "./case-records.ts";
import type { FileStore } from "./file-store.ts";
import type { HeldChange } from "./held-changes.ts";
import type { IdempotencyStore } from "./idempotency-store.ts";
import type { PartyRecord } from "./party-records.ts";
import type { PartyStore } from "./party-store.ts";
import type { EpochStep, SettlementStore } from "./settlement-store.ts";
import type { WebhookEvent, WebhookStore } from "./webhook-store.ts";

/**
 * All that outlives the process. One implementation serves SQLite (`T0`, one hub, the folder is its own) and PostgreSQL
 * (several hubs, each with its own chain of transfers). Writes of one store are queued and each is one transaction: it
 * either happened whole or, after an error or a crash, not at all. Every method rejects with StoreError or a bug.
 */
export interface Store {
  /** Brings the schema to this version, forward only. Safe when several hubs start at once. */
  migrate(): Promise<void>;
  close(): Promise<void>;

  /** Sets prices aside, in the order given; a request that repeats an identical open hold is `held`. */
  hold(requests: readonly HoldRequest[]): Promise<HoldOutcome[]>;
  /**
   * Writes a batch. A transfer whose id exists with the same content is skipped, with other content the batch is refused
   * (`conflict`). `settle`, `void` and `expire` end the hold of their task, which must be pending and of that amount.
   */
  commit(batch: Batch): Promise<void>;
  /** Holds that nothing has ended yet: at start those of interactive requests are voided. */
  openHolds(): Promise<Hold[]>;

  task(id: TaskId): Promise<TaskRecord | null>;
  /** Of the tasks that were settled last, oldest first. */
  recentPrices(limit: number): Promise<Nano[]>;
  receipt(id: ReceiptId): Promise<StoredReceipt | null>;
  account(id: AccountId): Promise<AccountView | null>;
  /** In order of name; `after` is an account. */
  accounts(page: Page): Promise<Paged<AccountView>>;
  /** Newest first; `after` is the `cursor` of the last one seen. */
  entries(filter: { account?: AccountId; task?: TaskId }, page: Page): Promise<Paged<TransferView>>;
  /** Σ of all balances per asset; 0 unless something is broken. */
  imbalance(): Promise<Record<Asset, Nano>>;
  counts(): Promise<Counts>;
  /**
   * Reads everything: pages of the database, hash chains, balances against entries, holds against transfers. Returns what
   * is wrong, one sentence each; memory stays flat.
   */
  integrityCheck(): Promise<string[]>;

  /** Held pay, epochs and payouts. */
  readonly settlement: SettlementStore;

  case(id: CaseId): Promise<CaseRecord | null>;
  /** The report of a task's answer. */
  caseOf(task: TaskId): Promise<CaseRecord | null>;
  /** Newest first; `after` is a case. */
  cases(state: CaseState | null, page: Page): Promise<Paged<CaseRecord>>;
  openCases(): Promise<number>;
  /** Newest first; `after` is the `cursor` of the last one seen. */
  auditLog(subject: string | null, page: Page): Promise<Paged<AuditView>>;
  compatibility(): Promise<CompatibilityCount[]>;
  /** The newest words on an owner's miners, with what proves them; kept for eight days. */
  attestations(of: { owner: OwnerId; limit: number }): Promise<StoredAttestation[]>;
  /** What validators attested, days `from` to `to` of UTC, both included. */
  availability(of: { from: Millis; to: Millis; owner?: OwnerId }): Promise<Availability[]>;

  standing(owner: OwnerId): Promise<Standing | null>;
  standings(): Promise<Standing[]>;
  miner(id: MinerId): Promise<MinerIdentity | null>;
  models(): Promise<ModelRecord[]>;

  addCustomer(customer: Customer): Promise<void>;
  customer(id: CustomerId): Promise<Customer | null>;
  addApiKey(key: ApiKey): Promise<void>;
  apiKeyByHash(secretHash: string): Promise<ApiKey | null>;
  apiKeys(customer: CustomerId): Promise<ApiKey[]>;
  /** All that are not revoked. */
  activeApiKeys(): Promise<ApiKey[]>;
  /** False where there is no such key or it is revoked already. */
  revokeApiKey(id: string, at: Millis): Promise<boolean>;

  readonly parties: PartyStore;
  readonly files: FileStore;
  readonly batches: BatchStore;
  readonly idempotency: IdempotencyStore;
  readonly webhooks: WebhookStore;
  readonly agents: AgentStore;

  setting(key: string): Promise<string | null>;
  setSetting(key: string, value: string): Promise<void>;
}

export type StoreConfig =
  /** `folder` is created where it is missing; the database is `tabgrid.db` in it. */
  | { kind: "sqlite"; folder: string; hub: string }
  /** `schema` defaults to `public`; `hub` names this process among the hubs on the same database. */
  | { kind: "postgres"; url: string; schema?: string; hub: string };

export interface HoldRequest extends Hold {
  at: Millis;
}
export type HoldOutcome = "held" | "insufficient" | "unknown-customer";

export interface Batch {
  /** Inserted, or replaced whole. */
  tasks?: readonly TaskRecord[];
  /** In the order in which they enter the chain. */
  transfers?: readonly Transfer[];
  receipts?: ReceiptBatch;
  /** The newest of an owner replaces the one before. */
  standings?: readonly Standing[];
  /** Key and first sight are kept from the first time, owner and last sight replaced. */
  miners?: readonly MinerIdentity[];
  /** Versions are immutable: a known key is refused (`conflict`) unless it is identical. */
  models?: readonly ModelRecord[];
  chainSignatures?: readonly ChainSignature[];
  audit?: readonly AuditLine[];
  /** Inserted, or their state and ruling replaced: what a case was opened with never changes. */
  cases?: readonly CaseRecord[];
  /** Added to what is counted already; one row a model, runtime and device class. */
  compatibility?: readonly CompatibilityCount[];
  /** Inserted, or replaced whole but for when they were first written. */
  parties?: readonly PartyRecord[];
  /** What becomes of held pay, in the order in which it happened. */
  held?: readonly HeldChange[];
  /** Kept for some days, and added to the sums of theirs. */
  attestations?: readonly AttestationRecord[];
  customers?: readonly Customer[];
  /** Inserted, or revoked. */
  apiKeys?: readonly ApiKey[];
  /** What customers are to be told. */
  webhookEvents?: readonly WebhookEvent[];
}

/** With a step of an epoch, which reads the books in the same transaction: `parties.act`. */
export interface EpochBatch extends Batch {
  epoch?: EpochStep;
}

export interface TaskRecord {
  task: TaskId;
  customer: CustomerId;
  model: ModelKey;
  level: ServiceLevel;
  state: TaskState;
  basis: VerdictBasis | null;
  price: Nano;
  /** FLOP. */
  work: bigint;
  submittedAt: Millis;
  endedAt: Millis | null;
  error: TabgridError | null;
  timeline: { at: Millis; what: string }[];
}

export type StoredReceipt = Omit<ReceiptView, "hubKey" | "revisions" | "epoch">;

export interface MinerIdentity {
  miner: MinerId;
  /** Raw Ed25519, base64url. */
  publicKey: string;
  owner: OwnerId;
  firstSeenAt: Millis;
  lastSeenAt: Millis;
}

export interface ModelRecord {
  key: ModelKey;
  manifest: Manifest;
  golden: GoldenFile;
  publishedAt: Millis;
}

/** A miner's word for its results 1 … seq of a session. */
export interface ChainSignature {
  session: SessionId;
  miner: MinerId;
  seq: number;
  /** Hex. */
  link: string;
  /** Base64url. */
  signature: string;
  at: Millis;
}

export interface AuditLine {
  at: Millis;
  actor: string;
  action: string;
  /** What it is about, to find it by: a case, a task, a device class. */
  subject?: string;
  detail: Record<string, unknown>;
}

export interface Customer {
  customer: CustomerId;
  name: string;
  createdAt: Millis;
}

export interface ApiKey {
  id: string;
  /** Of the secret; the secret itself is never stored. */
  secretHash: string;
  name: string;
  customer: CustomerId;
  scopes: string[];
  createdAt: Millis;
  revokedAt: Millis | null;
}

export interface Counts {
  tasks: number;
  receipts: number;
  transfers: number;
  accounts: number;
  openHolds: number;
}

/** Why the store cannot go on, in a sentence that a person at the terminal can act on. */
export type StoreErrorCode = "unwritable" | "damaged" | "newer-schema" | "locked" | "unreachable" | "conflict";

export class StoreError extends Error {
  readonly code: StoreErrorCode;
  constructor(code: StoreErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = "StoreError";
    this.code = code;
  }
}
