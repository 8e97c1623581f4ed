import { sha256 } from "@noble/hashes/sha2.js";
import { limits } from "../../shared/limits.ts";
import { concat, preimages } from "../../shared/protocol.ts";
import type { GeneratedPart } from "../worker/contract.ts";

/** One `tokens` message before it is authenticated. */
export interface TokenChunk {
  position: number;
  /** int32 and float32, little-endian as every platform of ONNX Runtime is. */
  tokens: Uint8Array;
  logProbabilities: Uint8Array;
  /** Over this chunk and all before it; the same whichever session's key authenticates it. */
  hash: Uint8Array;
}

/**
 * A message per token would cost more than the token: what comes in so short a while goes together, however much it is. A
 * fast model must not send more messages than a slow one: nobody reads faster for it.
 */
const TOGETHER_MS = 50;

/**
 * The tokens of one generation on their way to the hub. The first goes at once, as somebody waits for it. All chunks are
 * kept: a hub that lost its connection is sent the same ones again.
 */
export class TokenStream {
  /** Tokens that the worker has made. */
  count = 0;
  readonly #assignment: string;
  readonly #ready: () => void;
  readonly #now: () => number;
  readonly #chunks: TokenChunk[] = [];
  #pending: GeneratedPart[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #firstAt = 0;
  #lastAt = 0;

  /** `ready` hears when tokens should leave; whoever sends them calls `take`. */
  constructor(assignment: string, ready: () => void, now = () => performance.now()) {
    this.#assignment = assignment;
    this.#ready = ready;
    this.#now = now;
  }

  /** Of the decoding alone: the first token's time is that of the prompt. */
  get tokensPerSecond(): number | null {
    return this.count > 1 && this.#lastAt > this.#firstAt
      ? ((this.count - 1) * 1000) / (this.#lastAt - this.#firstAt)
      : null;
  }

  push(part: GeneratedPart): void {
    const fresh = this.#unknown(part);
    if (fresh.tokens.length === 0) return;
    this.#lastAt = this.#now();
    const isFirst = this.count === 0;
    if (isFirst) this.#firstAt = this.#lastAt;
    this.#pending.push(fresh);
    this.count += fresh.tokens.length;
    if (isFirst) this.#ready();
    else this.#timer ??= setTimeout(this.#ready, TOGETHER_MS);
  }

  /** All tokens of the finished generation: parts come by another port than the answer, so the last may come after it. */
  finish(all: Omit<GeneratedPart, "position">): void {
    const fresh = this.#unknown({ position: 0, ...all });
    if (fresh.tokens.length > 0) {
      this.#pending.push(fresh);
      this.count += fresh.tokens.length;
    }
    if (this.#pending.length > 0) this.#ready();
  }

  /** What has not been taken yet; `again`: everything. */
  take(again: boolean): TokenChunk[] {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const known = this.#chunks.length;
    let position = this.count - this.#pending.reduce((acc, { tokens }) => acc + tokens.length, 0);
    const tokens = bytesOf(this.#pending.map((part) => part.tokens));
    const logProbabilities = bytesOf(this.#pending.map((part) => part.logProbabilities));
    this.#pending = [];
    for (let at = 0; at < tokens.length; at += 4 * limits.tokensPerMessage) {
      const end = at + 4 * limits.tokensPerMessage;
      const before = this.#chunks.at(-1)?.hash ?? sha256(preimages.tokensStart(this.#assignment));
      const piece = { tokens: tokens.slice(at, end), logProbabilities: logProbabilities.slice(at, end) };
      const hash = sha256(preimages.tokensLink(before, piece.tokens, piece.logProbabilities));
      this.#chunks.push({ position, ...piece, hash });
      position += piece.tokens.length / 4;
    }
    return this.#chunks.slice(again ? 0 : known);
  }

  /** Nothing more of it is wanted. */
  close(): void {
    clearTimeout(this.#timer);
  }

  #unknown({ position, tokens, logProbabilities }: GeneratedPart): GeneratedPart {
    // A gap is filled by `finish`; what came already is not taken twice.
    const skip = position > this.count ? tokens.length : this.count - position;
    return { position: this.count, tokens: tokens.slice(skip), logProbabilities: logProbabilities.slice(skip) };
  }
}

const bytesOf = (arrays: (Int32Array | Float32Array)[]): Uint8Array<ArrayBuffer> =>
  concat(...arrays.map(({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength)));
