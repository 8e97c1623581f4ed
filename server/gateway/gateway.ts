import type { Manifest } from "../../models/manifest.ts";
import type { TabgridError } from "../../shared/errors.ts";
import type { AccountId, CaseId, CustomerId, ReceiptId, TaskId } from "../../shared/ids.ts";
import type { Asset, Nano } from "../../shared/money.ts";
import type { ServiceLevel } from "../../shared/pricing.ts";
import type { Result } from "../../shared/result.ts";
import type { Tensor } from "../../shared/tensor.ts";
import type { FinishReason, GenerationSettings } from "../../shared/text-generation.ts";
import type { CaseRuling, VerdictBasis } from "../core/events.ts";
import type { TaskState } from "../core/task.ts";
import type { Stakes } from "../economy/case-stakes.ts";
import type { EconomyDesk } from "../economy-desk/economy-desk.ts";
import type { ImportProgress } from "../import/importer.ts";
import type { EpochPlace } from "../settlement/epochs.ts";
import type { Settlement } from "../settlement/open-settlement.ts";
import type { CaseRecord, CaseState, CompatibilityCount } from "../store/case-records.ts";
import type { ModelText } from "../text/model-text.ts";

/**
 * What the HTTP API may ask of the hub; `server/main.ts` joins the two. Every promise resolves to a value: nothing here
 * throws for bad input.
 */
export interface Gateway {
  models(): ModelStatus[];
  /** Without a version: the newest published one. */
  model(id: string, version?: string): ModelStatus | null;
  infer(request: InferRequest, signal: AbortSignal): Promise<Result<InferAnswer, TabgridError>>;
  /** The price that `infer` would charge. */
  quote(request: InferRequest): Promise<Result<{ price: Nano; work: bigint }, TabgridError>>;
  /**
   * Generates text. `onPart` gets each part as it may be released (for `fast` as it comes, for `verified` once checked);
   * it returns false when the caller has enough. An ended `signal` ends it too: what was delivered is charged.
   */
  generate(
    request: TextRequest,
    onPart: (part: TextPart) => boolean,
    signal: AbortSignal,
  ): Promise<Result<TextAnswer, TabgridError>>;
  /** The price at `maxTokens`: held, and the maximum. */
  quoteText(request: TextRequest): Promise<Result<{ price: Nano; work: bigint }, TabgridError>>;
  /** A text or embedding model's tokenizer and templates; loaded at first use. */
  modelText(id: string, version?: string): Promise<Result<ModelText, TabgridError>>;
  /** Only the task's own customer (or an operator) sees it. */
  task(id: TaskId): Promise<TaskView | null>;
  cancel(id: TaskId): Promise<Result<null, TabgridError>>;
  receipt(id: ReceiptId): Promise<ReceiptView | null>;
  accounts(page: Page): Promise<Paged<AccountView>>;
  account(id: AccountId): Promise<AccountView | null>;
  entries(filter: { account?: AccountId; task?: TaskId }, page: Page): Promise<Paged<TransferView>>;
  /** Σ of all balances per asset; 0 unless something is broken. */
  imbalance(): Promise<Record<Asset, Nano>>;
  /** What parties do with the economy. */
  readonly parties: EconomyDesk;
  /** Epochs, payouts and earnings. */
  readonly settlement: Settlement;
  network(): NetworkView;
  /** Which kinds of device passed which model's known answers. */
  compatibility(): CompatibilityCount[];
  /** Newest first; `after` is a case. */
  cases(state: CaseState | null, page: Page): Promise<Paged<CaseView>>;
  case(id: CaseId): Promise<CaseDetail | null>;
  /** Rules on an open case. */
  decideCase(
    id: CaseId,
    decision: { ruling: CaseRuling; reason: string; reviewer: string },
  ): Promise<Result<CaseDetail, TabgridError>>;
  /** A customer says that the answer of one of its own settled tasks is harmful. */
  reportAnswer(task: TaskView, complaint: string): Promise<Result<{ case: CaseId }, TabgridError>>;
  /** Newest first; `subject` is a case, a task or a device class. */
  audit(subject: string | null, page: Page): Promise<Paged<AuditView>>;
  /** Each dependency by name: null is healthy, text says what is wrong. */
  readiness(): Promise<Record<string, string | null>>;
  /** Prometheus text. */
  metrics(): Promise<string>;
  /** Registers an ONNX model from bytes: reads the graph, runs the reference node, makes golden vectors, publishes. */
  register(request: RegisterRequest): Promise<Result<ModelStatus, TabgridError>>;
  /** Fetches a model from a Hugging Face hub and registers it; an ended `signal` ends the fetching, which can go on later. */
  importModel(
    request: ImportRequest,
    onProgress: (progress: ImportProgress) => void,
    signal: AbortSignal,
  ): Promise<Result<ModelStatus, TabgridError>>;
  /** A model file by its path in the manifest, for miners; null when there is none. */
  modelFile(id: string, version: string, path: string): { file: string; bytes: number; sha256: string } | null;
  /** May a session get or put this blob? `token` is the hex MAC of preimages.blob under its key. */
  allowsBlob(session: string, method: "GET" | "PUT", sha256: string, token: string): Result<null, TabgridError>;
  /** Tensor blobs, for whom `allowsBlob` allows it. */
  getBlob(sha256: string): Result<Uint8Array, TabgridError>;
  putBlob(sha256: string, data: Uint8Array): Result<null, TabgridError>;
}

export interface Page {
  limit: number;
  after: string | null;
}
export interface Paged<T> {
  data: T[];
  hasMore: boolean;
}

export interface ModelStatus {
  manifest: Manifest;
  publishedAt: number;
  /** Miners that passed this model's known-answer vectors and accept work now. */
  miners: number;
  queued: number;
  /** The reference node can serve it. */
  referenceServes: boolean;
}

export interface InferRequest {
  customer: CustomerId;
  model: string;
  version?: string;
  inputs: Tensor[];
  /** Names; empty means all. */
  outputs: string[];
  level: ServiceLevel | null;
  /** Milliseconds from now; null is the default. ≤ 0 is `deadline-expired`. */
  deadlineMs: number | null;
  /** The caller's own id, echoed by `/v2`. */
  id: string | null;
  /** Batch work: served when nobody waits, at the batch price. */
  preemptible?: boolean;
}

export interface InferAnswer {
  task: TaskId;
  receipt: ReceiptId;
  /** `pending` for `fast`: the verdict comes later and stands on the receipt. */
  basis: VerdictBasis | "pending";
  level: ServiceLevel;
  price: Nano;
  model: { id: string; version: string };
  outputs: Tensor[];
}

export interface TextRequest {
  customer: CustomerId;
  model: string;
  version?: string;
  prompt: Int32Array<ArrayBuffer>;
  settings: Omit<GenerationSettings, "seed">;
  /** The caller's `seed`; null: the hub draws 64 bits and shows them on the receipt. */
  requestSeed: bigint | null;
  /** Which of the `n` answers of one request. */
  choice: number;
  level: ServiceLevel | null;
  deadlineMs: number | null;
  /** After how many of its tokens, all that there are so far, the caller has enough; null while it wants more. Pure. */
  enough?: ((tokens: readonly number[]) => number | null) | null;
  /** Batch work: served when nobody waits, at the batch price. */
  preemptible?: boolean;
}

export interface TextPart {
  tokens: Int32Array;
  logProbabilities: Float32Array;
  /** Per token, likeliest first; only where asked for. */
  top: { token: number; logProbability: number }[][];
}

export interface TextAnswer {
  task: TaskId;
  receipt: ReceiptId;
  basis: VerdictBasis | "pending";
  level: ServiceLevel;
  /** What is charged. */
  price: Nano;
  model: { id: string; version: string };
  finish: FinishReason;
  promptTokens: number;
  /** Charged ones. */
  outputTokens: number;
  /** The request seed that was used, decimal. */
  seed: string;
}

export interface TaskView {
  task: TaskId;
  customer: CustomerId;
  model: string;
  level: ServiceLevel;
  state: TaskState;
  basis: VerdictBasis | null;
  price: Nano;
  submittedAt: number;
  endedAt: number | null;
  /** Only while queued. */
  position: number | null;
  etaMs: number | null;
  error: TabgridError | null;
  receipt: ReceiptId | null;
  timeline: { at: number; what: string }[];
}

export interface ReceiptView {
  receipt: ReceiptId;
  /** Canonical JSON of the leaf; its SHA-256 (0x00-prefixed) is the Merkle leaf. */
  leaf: string;
  path: string[];
  /** Place of the leaf in its tree, and leaves in the tree: RFC 9162, section 2.1.3.2, verifies the path. */
  index: number;
  size: number;
  root: string;
  /** Ed25519 over "tabgrid/receipts/1\n" ‖ root, base64url. */
  signature: string;
  hubKey: string;
  /** What was found out later, oldest first. */
  revisions?: Omit<ReceiptView, "hubKey" | "revisions" | "epoch">[];
  /** Null before the epoch of the receipt is closed. */
  epoch?: EpochPlace | null;
}

export interface AccountView {
  account: AccountId;
  asset: Asset;
  balance: Nano;
  entries: number;
}

export interface TransferView {
  /** Sequence in the hub's chain. */
  seq: string;
  /** Where the next page goes on. */
  cursor: string;
  transfer: string;
  kind: string;
  at: number;
  task: TaskId | null;
  legs: { account: AccountId; asset: Asset; amount: Nano }[];
  hash: string;
}

/** A case without a name: whoever it is about is `party`, a pseudonym of this case alone. */
export interface CaseView extends Omit<CaseRecord, "owner" | "task"> {
  party: string;
  /** When a person should have ruled. */
  dueAt: number;
  /** The party is a miner: false where the hub's own node gave the reported answer, and nobody can be fined. */
  finable: boolean;
}

export interface CaseDetail extends CaseView {
  /** What each ruling would move now; null once the case is closed. */
  stakes: Record<CaseRuling, Stakes> | null;
  audit: AuditView[];
}

export interface AuditView {
  cursor: string;
  at: number;
  actor: string;
  action: string;
  subject: string | null;
  detail: Record<string, unknown>;
}

export interface NetworkView {
  miners: number;
  working: number;
  /** Of them, those that a validator found here within the last two intervals. */
  attested: number;
  queued: number;
  inFlight: number;
  verified: number;
  perSecond: number;
}

export interface ImportRequest extends Omit<RegisterRequest, "graph" | "files" | "examples" | "ranges" | "licence"> {
  /** null: what the repository states. */
  licence: string | null;
  /** `hf:ORG/NAME[@REVISION]`. */
  source: string;
  /** null: the first of fp32, fp16, int8 and q4 that the repository has. */
  dtype: Manifest["dtype"] | null;
}

export interface RegisterRequest {
  id: string;
  version: string;
  title: string;
  description: string;
  licence: string;
  creator: string;
  royaltyBasisPoints: number;
  /** Where it is published; `commons` where it is left out. */
  domain?: string;
  /** What the model is for; `tensor` where absent. */
  task?: Manifest["task"];
  graph: Uint8Array;
  /** External weights and other files by path. */
  files: { path: string; role: "weights" | "tokenizer" | "config" | "labels"; data: Uint8Array }[];
  /** Sizes of free dimensions to try at registration; 1 where not given. */
  dimensions: Record<string, number>;
  /** Overrides the comparator that registration chooses. */
  comparator: Manifest["comparator"] | null;
  /** Inclusive bounds of an input's elements, by input name; they become part of the manifest. */
  ranges?: Record<string, [number, number]>;
  /** Inputs to make known answers from, one list each; without them registration makes its own. */
  examples?: Tensor[][];
}
