import type { CustomerId, MinerId, ModelKey, OwnerId, TaskId } from "../../shared/ids.ts";
import type { ServiceLevel } from "../../shared/pricing.ts";
import type { VerdictBasis } from "../core/events.ts";
import type { TaskState } from "../core/task.ts";
import type { ApiKey, ChainSignature, Customer, MinerIdentity, ModelRecord, TaskRecord } from "./store.ts";
import type { Tables } from "./tables.ts";

/** Records as the hub knows them, and the rows that hold them. What is read back was validated before it was written. */
export const taskRow = (task: TaskRecord): Tables["tasks"] => ({
  task: task.task,
  customer: task.customer,
  model: task.model,
  level: task.level,
  state: task.state,
  basis: task.basis,
  price: task.price,
  work: task.work,
  submitted_at: BigInt(task.submittedAt),
  ended_at: bigOrNull(task.endedAt),
  error: task.error === null ? null : JSON.stringify(task.error),
  timeline: JSON.stringify(task.timeline),
});

export const taskRecord = (row: Tables["tasks"]): TaskRecord => ({
  task: row.task as TaskId,
  customer: row.customer as CustomerId,
  model: row.model as ModelKey,
  level: row.level as ServiceLevel,
  state: row.state as TaskState,
  basis: row.basis as VerdictBasis | null,
  price: row.price,
  work: row.work,
  submittedAt: Number(row.submitted_at),
  endedAt: numberOrNull(row.ended_at),
  error: row.error === null ? null : JSON.parse(row.error),
  timeline: JSON.parse(row.timeline),
});

export const minerRow = (miner: MinerIdentity): Tables["miners"] => ({
  miner: miner.miner,
  public_key: miner.publicKey,
  owner: miner.owner,
  first_seen_at: BigInt(miner.firstSeenAt),
  last_seen_at: BigInt(miner.lastSeenAt),
});

export const minerIdentity = (row: Tables["miners"]): MinerIdentity => ({
  miner: row.miner as MinerId,
  publicKey: row.public_key,
  owner: row.owner as OwnerId,
  firstSeenAt: Number(row.first_seen_at),
  lastSeenAt: Number(row.last_seen_at),
});

export const modelRow = (model: ModelRecord): Tables["models"] => ({
  model: model.key,
  manifest: JSON.stringify(model.manifest),
  golden: JSON.stringify(model.golden),
  published_at: BigInt(model.publishedAt),
});

export const modelRecord = (row: Tables["models"]): ModelRecord => ({
  key: row.model as ModelKey,
  manifest: JSON.parse(row.manifest),
  golden: JSON.parse(row.golden),
  publishedAt: Number(row.published_at),
});

export const chainSignatureRow = (of: ChainSignature): Tables["chain_signatures"] => ({
  session: of.session,
  seq: BigInt(of.seq),
  miner: of.miner,
  link: of.link,
  signature: of.signature,
  at: BigInt(of.at),
});

export const customerRow = (customer: Customer): Tables["customers"] => ({
  customer: customer.customer,
  name: customer.name,
  created_at: BigInt(customer.createdAt),
});

export const customerRecord = (row: Tables["customers"]): Customer => ({
  customer: row.customer as CustomerId,
  name: row.name,
  createdAt: Number(row.created_at),
});

export const apiKeyRow = (key: ApiKey): Tables["api_keys"] => ({
  id: key.id,
  secret_hash: key.secretHash,
  name: key.name,
  customer: key.customer,
  scopes: JSON.stringify(key.scopes),
  created_at: BigInt(key.createdAt),
  revoked_at: bigOrNull(key.revokedAt),
});

export const apiKey = (row: Tables["api_keys"]): ApiKey => ({
  id: row.id,
  secretHash: row.secret_hash,
  name: row.name,
  customer: row.customer as CustomerId,
  scopes: JSON.parse(row.scopes),
  createdAt: Number(row.created_at),
  revokedAt: numberOrNull(row.revoked_at),
});

const bigOrNull = (value: number | null): bigint | null => (value === null ? null : BigInt(value));
const numberOrNull = (value: bigint | null): number | null => (value === null ? null : Number(value));
