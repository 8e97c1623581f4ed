import { z } from "zod";
import type { ErrorCode, TabgridError } from "./errors.ts";
import { limits } from "./limits.ts";
import { dtypeNames } from "./tensor.ts";

/**
 * The wire between a miner and the hub: Socket.IO namespace `/miner`, msgpack parser, websocket transport. This file is
 * the whole vocabulary; docs/protocol.md tells the same in prose for other languages. Any change of a schema changes the
 * hash in protocol.test.ts, which then asks for a new PROTOCOL_VERSION and a line in the history below.
 *
 * History
 *  1  first version
 *  2  text: an item says what to do with its inputs (`mode`), a generation sends its tokens as they come (`tokens`);
 *     validators attest that a miner is there (`attest` to `attested`); a model may be asked for on WASM (`prepare.runtime`)
 */
export const PROTOCOL_VERSION = 2;

/** Binary fields arrive as Uint8Array (a Buffer on Node); `bytes` shows in the pinned schema what a length is. */
const anyBytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, "bytes").meta({ binary: true });
const bytes = (length: number) =>
  z
    .custom<Uint8Array>(
      (value) => value instanceof Uint8Array && value.byteLength === length,
      `exactly ${length} bytes`,
    )
    .meta({ binary: true, bytes: length });
const id = (prefix: string) =>
  z.string().regex(new RegExp(`^${prefix}_[A-Za-z0-9_-]{1,64}$`), `an id starting with ${prefix}_`);
const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/, "64 lower-case hex digits");
const name = z.string().min(1).max(limits.nameChars);
const key = z.string().min(3).max(100);
const count = z.int().nonnegative();

/** A tensor on the wire: its bytes inline, or the SHA-256 of a blob that is fetched or put over HTTP. */
export const wireTensorSchema = z
  .strictObject({
    name,
    dtype: z.enum(dtypeNames),
    shape: z.array(count).max(limits.tensorRank),
    data: anyBytes.optional(),
    blob: sha256Hex.optional(),
  })
  .refine((tensor) => (tensor.data === undefined) !== (tensor.blob === undefined), "exactly one of data and blob");
export type WireTensor = z.infer<typeof wireTensorSchema>;
const tensors = z.array(wireTensorSchema).max(limits.tensorsPerMessage);

/** First message of the hub on every connection. */
export const challengeSchema = z.strictObject({
  protocol: z.int(),
  /** The hub's Ed25519 public key: signs receipts, and is bound into the hello. */
  hubKey: bytes(32),
  /** Fresh for this connection. */
  nonce: bytes(32),
  /** The hub's ephemeral X25519 public key for this connection. */
  ephemeral: bytes(32),
});
export type Challenge = z.infer<typeof challengeSchema>;

/** A miner computes answers and checks those of others; a validator only checks. */
export const sessionRoles = ["miner", "validator"] as const;
export type SessionRole = (typeof sessionRoles)[number];

export const runtimes = ["webgpu", "wasm"] as const;

/** What a miner says of its machine. Hints for routing and for people, never evidence. */
export const deviceSchema = z.strictObject({
  runtime: z.enum(runtimes),
  /** Adapter vendor/architecture, or the CPU's; free text. */
  adapter: z.string().max(200),
  /** The software WebGPU adapter. */
  fallback: z.boolean(),
  features: z.array(z.string().max(64)).max(64),
  memoryBytes: z.int().positive(),
  agent: z.string().max(200),
  ortVersion: z.string().max(40),
});
export type Device = z.infer<typeof deviceSchema>;

/**
 * The chain: link₀ = SHA-256("tabgrid/chain/1\n" ‖ session), linkₙ = SHA-256(linkₙ₋₁ ‖ assignment ‖ commitment).
 * `signature` = Ed25519 by the miner's key over "tabgrid/chain/1\n" ‖ session ‖ "\n" ‖ u64le seq ‖ link.
 */
export const chainSchema = z.strictObject({ seq: z.int().positive(), link: bytes(32), signature: bytes(64) });
export type ChainSignature = z.infer<typeof chainSchema>;

/**
 * Answer to the challenge. `signature` = Ed25519 over
 * "tabgrid/hello/1\n" ‖ nonce ‖ hubKey ‖ hub ephemeral ‖ miner ephemeral.
 */
export const helloSchema = z.strictObject({
  protocol: z.int(),
  publicKey: bytes(32),
  ephemeral: bytes(32),
  signature: bytes(64),
  role: z.enum(sessionRoles),
  device: deviceSchema,
  slots: z.int().min(1).max(limits.slotsMax),
  /** After a dropped connection: signs what the earlier session had left unsigned, so that it is paid. */
  previous: z.strictObject({ session: id("s"), chain: chainSchema }).optional(),
});
export type Hello = z.infer<typeof helloSchema>;

export const welcomeSchema = z.strictObject({
  session: id("s"),
  miner: id("m"),
  owner: id("own"),
  /**
   * Assignments kept for this miner through a dropped connection; all others are void. One that the miner no longer has
   * (its page was reloaded) it gives back with `failed`, fault `paused`.
   */
  keep: z.array(id("a")),
  trust: z.number().min(0).max(1),
});
export type Welcome = z.infer<typeof welcomeSchema>;

/** Load a model and run its known-answer vectors; the outputs go back in `prepared`. */
export const prepareSchema = z.strictObject({
  model: key,
  /** GET this path for the manifest, and `<files>/<path>` for each file. Same origin as the socket. */
  manifest: z.string().max(300),
  files: z.string().max(300),
  vectors: z.array(tensors).max(limits.goldenVectors + limits.probeVectors),
  /** The device's own where it is left out. `wasm`: what the GPU computes of this model is not accepted. */
  runtime: z.enum(runtimes).optional(),
});
export type Prepare = z.infer<typeof prepareSchema>;

export const preparedSchema = z.strictObject({
  model: key,
  outputs: z.array(tensors).max(limits.goldenVectors + limits.probeVectors),
  loadMs: z.number().nonnegative(),
  /** Median milliseconds of one vector after warm-up: the miner's first speed estimate. */
  runMs: z.number().nonnegative(),
  /** What it ran on, where that is not the device's own. */
  runtime: z.enum(runtimes).optional(),
});
export type Prepared = z.infer<typeof preparedSchema>;

/** Why a model could not be prepared, or an assignment not be computed. */
export const minerFaults = [
  "device-lost",
  "out-of-memory",
  "load-failed",
  "run-failed",
  "invalid-input",
  "paused",
] as const;
export const minerFaultSchema = z.enum(minerFaults);
export type MinerFault = z.infer<typeof minerFaultSchema>;

export const prepareFailedSchema = z.strictObject({
  model: key,
  fault: minerFaultSchema,
  message: z.string().max(500),
});
export type PrepareFailed = z.infer<typeof prepareFailedSchema>;

/**
 * What to do with an item's inputs: `run` (where it is left out) feeds them to the graph; `generate` and `score` are of text
 * models, and shared/text-generation.ts says what their inputs and outputs are.
 */
export const assignmentModes = ["run", "generate", "score"] as const;
export type AssignmentMode = (typeof assignmentModes)[number];

export const assignSchema = z.strictObject({
  model: key,
  /** Items of one message are of one model and may be stacked along axis 0 and run at once. */
  items: z
    .array(
      z.strictObject({
        assignment: id("a"),
        inputs: tensors,
        mode: z.enum(assignmentModes).optional(),
        /** Milliseconds from receipt until the lease ends. */
        leaseMs: z.int().positive(),
      }),
    )
    .min(1)
    .max(limits.assignmentsPerMessage),
});
export type Assign = z.infer<typeof assignSchema>;

/**
 * `mac` = HMAC-SHA256(session key, "tabgrid/result/1\n" ‖ assignment ‖ "\n" ‖ u64le seq ‖ commitment), where commitment is
 * SHA-256 of the canonical bytes of `outputs`. `seq` counts a session's results from 1 without gaps.
 */
export const resultSchema = z.strictObject({
  items: z
    .array(
      z.strictObject({
        assignment: id("a"),
        seq: z.int().positive(),
        outputs: tensors,
        mac: bytes(32),
        computeMs: z.number().nonnegative(),
      }),
    )
    .min(1)
    .max(limits.assignmentsPerMessage),
});
export type ResultMessage = z.infer<typeof resultSchema>;
export type ResultItem = ResultMessage["items"][number];

/**
 * Tokens of generations as they come. The result repeats all of them, and is refuted if it differs.
 * `mac` = HMAC-SHA256(session key, "tabgrid/tokens/1\n" ‖ assignment ‖ "\n" ‖ u64le position ‖ hash), where hash₀ =
 * SHA-256("tabgrid/tokens/1\n" ‖ assignment), hashₙ = SHA-256(hashₙ₋₁ ‖ tokens ‖ logProbabilities).
 */
export const tokensSchema = z.strictObject({
  items: z
    .array(
      z.strictObject({
        assignment: id("a"),
        /** Of the first token among those of this assignment, from 0; without gaps. */
        position: count,
        /** int32 little-endian, 1 to `limits.tokensPerItem` of them. */
        tokens: anyBytes,
        /** float32 little-endian, one a token. */
        logProbabilities: anyBytes,
        mac: bytes(32),
      }),
    )
    .min(1)
    .max(limits.assignmentsPerMessage),
});
export type TokensMessage = z.infer<typeof tokensSchema>;
export type TokensItem = TokensMessage["items"][number];

export const failedSchema = z.strictObject({
  assignments: z.array(id("a")).min(1).max(limits.assignmentsPerMessage),
  fault: minerFaultSchema,
  message: z.string().max(500),
});
export type Failed = z.infer<typeof failedSchema>;

/** The first one follows the welcome at once: no work is assigned before it. Sent again whenever a field changes. */
export const statusSchema = z.strictObject({
  accepting: z.boolean(),
  slots: z.int().min(1).max(limits.slotsMax),
  /** Why not accepting, or what limits it: paused by the person, on battery, hidden, hot, outside hours. */
  reason: z.string().max(100).optional(),
  /** Models that are loaded and passed their known answers in this runtime; others are prepared again. */
  resident: z.array(key).max(64),
});
export type MinerStatus = z.infer<typeof statusSchema>;

export const cancelSchema = z.strictObject({ assignments: z.array(id("a")).min(1) });
export type Cancel = z.infer<typeof cancelSchema>;

/**
 * How a validator attests that a miner is there, relayed by the hub: it asks a validator (`attest`), whose fresh `nonce` goes
 * to the miner (`witness`), whose signature comes back (`witnessed`) and goes to the validator (`testimony`), who gives its
 * signed word (`attested`). What that proves: the key was at work after the nonce was made, within the round trip.
 */
const witness = id("w");
export const attestSchema = z.strictObject({ witness, session: id("s"), publicKey: bytes(32) });
export type Attest = z.infer<typeof attestSchema>;

export const nonceSchema = z.strictObject({ witness, nonce: bytes(32) });
export type WitnessNonce = z.infer<typeof nonceSchema>;

/** `signature` = Ed25519 by the miner's key over "tabgrid/witness/1\n" ‖ its session ‖ "\n" ‖ nonce. */
export const testimonySchema = z.strictObject({ witness, signature: bytes(64) });
export type Testimony = z.infer<typeof testimonySchema>;

/**
 * `signature` = Ed25519 by the validator's key over "tabgrid/attestation/1\n" ‖ the miner's public key ‖ nonce ‖ one byte, 1
 * where it is present ‖ u64le roundTripMs ‖ u64le at.
 */
export const attestedSchema = z.strictObject({
  witness,
  /** A right signature came within `limits.witnessAnswerMs`. */
  present: z.boolean(),
  /** From sending the nonce to the testimony, or how long none came. */
  roundTripMs: count,
  /** Unix milliseconds by the validator's clock. */
  at: count,
  signature: bytes(64),
});
export type Attested = z.infer<typeof attestedSchema>;

const nano = z.string().regex(/^-?\d{1,30}$/, "decimal integer of nano units");

/** One line of "explain my credit". */
export const workSchema = z.strictObject({
  assignment: id("a"),
  model: key,
  role: z.enum(["primary", "check"]),
  at: z.number(),
  outcome: z.enum(["paid", "refuted", "unpaid"]),
  amount: nano,
  reason: z.string().max(200),
});
export type WorkLine = z.infer<typeof workSchema>;

/** Sent after settlement, at most once a second. */
/** What validators attested of a miner since it connected; `at`: when they last found it there. */
export const seenSchema = z.strictObject({ present: count, absent: count, at: z.number().nullable() });
export const accountSchema = z.strictObject({
  trust: z.number().min(0).max(1),
  /** Verified pay that is still held, and matured pay, in nano-USDC. */
  held: nano,
  available: nano,
  tasks: count,
  seen: seenSchema.optional(),
  work: z.array(workSchema).max(256),
});
export type AccountUpdate = z.infer<typeof accountSchema>;

export const errorSchema = z.strictObject({
  /** One of `errorCodes`. A newer hub may know more of them, which is no other protocol. */
  code: z.custom<ErrorCode>((code) => typeof code === "string").meta({ text: true }),
  message: z.string(),
  field: z.string().optional(),
  expected: z.string().optional(),
  got: z.string().optional(),
  retryAfter: z.number().optional(),
});
/** The hub's answer to a message it refuses. State is unchanged by the refused message. */
export const refusedSchema = z.strictObject({
  event: z.string(),
  assignment: z.string().optional(),
  error: errorSchema,
});
export type Refused = z.infer<typeof refusedSchema>;

/** The model catalogue changed, a governor's hint, a drain: text for the person at the page. */
export const noticeSchema = z.strictObject({ kind: z.enum(["info", "warning"]), text: z.string().max(300) });
export type Notice = z.infer<typeof noticeSchema>;

export type HelloAnswer = { ok: true; welcome: Welcome } | { ok: false; error: TabgridError };

/** Socket.IO event maps. */
export interface HubToMiner {
  challenge(message: Challenge): void;
  prepare(message: Prepare): void;
  assign(message: Assign): void;
  cancel(message: Cancel): void;
  account(message: AccountUpdate): void;
  refused(message: Refused): void;
  notice(message: Notice): void;
  attest(message: Attest): void;
  witness(message: WitnessNonce): void;
  testimony(message: Testimony): void;
}

export interface MinerToHub {
  hello(message: Hello, answer: (answer: HelloAnswer) => void): void;
  status(message: MinerStatus): void;
  prepared(message: Prepared): void;
  prepareFailed(message: PrepareFailed): void;
  result(message: ResultMessage): void;
  tokens(message: TokensMessage): void;
  failed(message: Failed): void;
  chain(message: ChainSignature): void;
  nonce(message: WitnessNonce): void;
  witnessed(message: Testimony): void;
  attested(message: Attested): void;
}

/** Everything the hash test pins, by direction and event. */
export const protocolSchemas = {
  hubToMiner: {
    challenge: challengeSchema,
    prepare: prepareSchema,
    assign: assignSchema,
    cancel: cancelSchema,
    account: accountSchema,
    refused: refusedSchema,
    notice: noticeSchema,
    attest: attestSchema,
    witness: nonceSchema,
    testimony: testimonySchema,
  },
  minerToHub: {
    hello: helloSchema,
    status: statusSchema,
    prepared: preparedSchema,
    prepareFailed: prepareFailedSchema,
    result: resultSchema,
    tokens: tokensSchema,
    failed: failedSchema,
    chain: chainSchema,
    nonce: nonceSchema,
    witnessed: testimonySchema,
    attested: attestedSchema,
  },
  answers: { hello: welcomeSchema },
} as const;

const encoder = new TextEncoder();

/** Signed and hashed preimages, one function each, used by hub, miner and tests. */
export const preimages = {
  hello: (nonce: Uint8Array, hubKey: Uint8Array, hubEphemeral: Uint8Array, minerEphemeral: Uint8Array) =>
    concat(encoder.encode("tabgrid/hello/1\n"), nonce, hubKey, hubEphemeral, minerEphemeral),
  /** HKDF-SHA256(ikm = X25519 shared secret, salt = nonce, info = this, 32 bytes) is the session key. */
  sessionInfo: (publicKey: Uint8Array) => concat(encoder.encode("tabgrid/session/1\n"), publicKey),
  result: (assignment: string, seq: number, commitment: Uint8Array) =>
    concat(encoder.encode(`tabgrid/result/1\n${assignment}\n`), u64(seq), commitment),
  chainStart: (session: string) => encoder.encode(`tabgrid/chain/1\n${session}`),
  chainLink: (previous: Uint8Array, assignment: string, commitment: Uint8Array) =>
    concat(previous, encoder.encode(assignment), commitment),
  chainSignature: (session: string, seq: number, link: Uint8Array) =>
    concat(encoder.encode(`tabgrid/chain/1\n${session}\n`), u64(seq), link),
  tokensStart: (assignment: string) => encoder.encode(`tabgrid/tokens/1\n${assignment}`),
  tokensLink: (previous: Uint8Array, tokens: Uint8Array, logProbabilities: Uint8Array) =>
    concat(previous, tokens, logProbabilities),
  tokens: (assignment: string, position: number, hash: Uint8Array) =>
    concat(encoder.encode(`tabgrid/tokens/1\n${assignment}\n`), u64(position), hash),
  witness: (session: string, nonce: Uint8Array) => concat(encoder.encode(`tabgrid/witness/1\n${session}\n`), nonce),
  attestation: (publicKey: Uint8Array, nonce: Uint8Array, of: Pick<Attested, "present" | "roundTripMs" | "at">) =>
    concat(
      encoder.encode("tabgrid/attestation/1\n"),
      publicKey,
      nonce,
      Uint8Array.of(of.present ? 1 : 0),
      u64(of.roundTripMs),
      u64(of.at),
    ),
  /** Authorises GET and PUT of a tensor blob: hex of HMAC-SHA256(session key, this). */
  blob: (method: "GET" | "PUT", sha256: string) => encoder.encode(`tabgrid/blob/1\n${method}\n${sha256}`),
};

export function concat(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((acc, part) => acc + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.byteLength;
  }
  return out;
}

function u64(value: number): Uint8Array {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, BigInt(value), true);
  return out;
}
