/** Every bound of the wire and the hub in one place; the tests of each edge read them from here. */
export const KIB = 1024;
export const MIB = 1024 * KIB;

export const limits = {
  /** One Socket.IO message; larger tensors travel as blobs over HTTP. */
  socketMessageBytes: 1 * MIB,
  /** Tensor bytes that may be inlined in one socket message (the rest of the MiB is headers). */
  inlineTensorBytes: 768 * KIB,
  /** A body of POST /v2/.../infer. */
  inferBodyBytes: 64 * MIB,
  /** A content-addressed tensor blob. */
  blobBytes: 64 * MIB,
  /** Of them, what one session may be sending at once. */
  blobUploads: 4,
  /** All blobs that the hub keeps in memory at once. */
  blobStoreBytes: 1024 * MIB,
  /** An ONNX file at registration. */
  modelBytes: 2048 * MIB,
  /** A JSON body under /v1. */
  textBodyBytes: 4 * MIB,
  /** `n` of one request. */
  choicesMax: 16,
  messagesMax: 2_048,
  toolsMax: 128,
  stopStringsMax: 16,
  stopStringChars: 256,
  /** Of a completion that names none; OpenAI's default. */
  completionTokensDefault: 16,
  /** Of a chat that names none, where the context leaves as many. */
  chatTokensDefault: 1_024,
  /** Agents of one customer, and what one may be told. */
  agentsMax: 100,
  agentInstructionsChars: 32 * KIB,
  agentServersMax: 8,
  knowledgeTextsMax: 200,
  knowledgeChars: 1 * MIB,
  /** How often an agent's model may call its tools before it must answer; how long a call takes and how much it says. */
  agentRounds: 8,
  agentToolMs: 30_000,
  agentToolChars: 16 * KIB,
  agentToolBytes: 4 * MIB,
  embeddingInputsMax: 2_048,
  embeddingTokensMax: 300_000,
  /** What a stream's reader may be behind before its generation ends. */
  streamBacklogBytes: 1 * MIB,
  /** A quiet stream says that it lives. */
  streamPingMs: 15_000,
  /** A reply that is kept for its Idempotency-Key. */
  keptReplyBytes: 8 * MIB,
  keptReplyMs: 24 * 60 * 60_000,
  /** An uploaded file, and all files of one customer. */
  fileBytes: 100 * MIB,
  fileStoreBytes: 1024 * MIB,
  batchLines: 50_000,
  batchLineBytes: 1 * MIB,
  batchWindowMs: 24 * 60 * 60_000,
  /** Batches that one customer may have open. */
  batchesOpen: 16,
  tensorsPerMessage: 64,
  tensorRank: 8,
  nameChars: 256,
  assignmentsPerMessage: 64,
  /**
   * A tab's memory for one model: WebAssembly's 32-bit addresses reach 4 GiB, and the model's files and all its values lie
   * there at once while it loads.
   */
  tabMemoryBytes: 4096 * MIB,
  /** Of it, what the key-value cache of one text may take twice over (before and after a step): it bounds contexts. */
  cacheBytes: 512 * MIB,
  contextTokens: 16_384,
  /** Tokens of a running generation in one item of a message. */
  tokensPerItem: 256,
  /** A miner's claim of parallel slots. */
  slotsMax: 8,
  /** Assignments in flight per slot: two hide the network round trip. */
  inFlightPerSlot: 2,
  /** Requests waiting in the hub; more are refused with 503. */
  queueMax: 10_000,
  deadlineDefaultMs: 60_000,
  deadlineMaxMs: 600_000,
  /** A miner signs its result chain after this many results or this long, whichever is first. */
  chainEveryResults: 64,
  chainEveryMs: 2_000,
  /** How long after its result a miner may still sign before that pay goes to the pool. */
  chainGraceMs: 30_000,
  /** A dropped connection keeps its assignments for min(this, half the slack). */
  disconnectGraceMs: 3_000,
  helloTimeoutMs: 10_000,
  goldenVectors: 8,
  /** Known answers beside them that the hub renews weekly. */
  probeVectors: 2,
  /** What a validator, a phone perhaps, is asked to load at most: one model's memory, and all of its models'. */
  validatorModelBytes: 64 * MIB,
  validatorMemoryBytes: 256 * MIB,
  /** The longest that one check may be expected to take a validator. */
  validatorCheckMs: 2_000,
  /** Questions and answers that are kept in memory, should one be reported: each, all of them, how many, how long. */
  keptAnswerBytes: 1 * MIB,
  keptAnswersBytes: 64 * MIB,
  keptAnswers: 20_000,
  keptAnswersMs: 24 * 60 * 60_000,
  /** A validator attests each miner about so often. */
  witnessEveryMs: 300_000,
  /** How long it waits for the miner's signature before it attests that none came. */
  witnessAnswerMs: 5_000,
  /** After which the hub gives up on a validator's word. */
  witnessOpenMs: 15_000,
} as const;
