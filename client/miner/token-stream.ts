import { sha256 } from "@noble/hashes/sha2.js";
import { limits } from "../../shared/limits.ts";
import { concat, preimages } from "../../shared/protocol.ts";
import type { GeneratedPart } from "../worker/contract.ts";

/** One item of a `tokens` message before it is authenticated. */
export interface TokenChunk {
  assignment: string;
  position: number;
  /** int32 and float32, little-endian as every platform of ONNX Runtime is. */
  tokens: Uint8Array;
  logProbabilities: Uint8Array;
  /** Over this chunk and all before it; the same whichever session's key authenticates it. */
  hash: Uint8Array;
}

type Part = Omit<GeneratedPart, "job">;

/**
 * The tokens of one generation on their way to the hub. All chunks are kept: a hub that lost its connection is sent the same
 * ones again.
 */
export class TokenStream {
  /** Tokens that the worker has made. */
  count = 0;
  readonly #assignment: string;
  readonly #now: () => number;
  readonly #chunks: TokenChunk[] = [];
  #pending: Part[] = [];
  #firstAt = 0;
  #lastAt = 0;

  constructor(assignment: string, now = () => performance.now()) {
    this.#assignment = assignment;
    this.#now = now;
  }

  /** Of the decoding alone: the first token's time is that of the prompt. */
  get tokensPerSecond(): number | null {
    return this.count > 1 && this.#lastAt > this.#firstAt
      ? ((this.count - 1) * 1000) / (this.#lastAt - this.#firstAt)
      : null;
  }

  /**
   * Whether there is something to `take`. The answer of a finished generation is pushed as well: parts come by another port,
   * so the last may come after it.
   */
  push(part: Part): boolean {
    const fresh = this.#unknown(part);
    if (fresh.tokens.length > 0) {
      this.#lastAt = this.#now();
      if (this.count === 0) this.#firstAt = this.#lastAt;
      this.#pending.push(fresh);
      this.count += fresh.tokens.length;
    }
    return this.#pending.length > 0;
  }

  /** What has not been taken yet; `again`: everything. */
  take(again: boolean): TokenChunk[] {
    const known = this.#chunks.length;
    let position = this.count - this.#pending.reduce((acc, { tokens }) => acc + tokens.length, 0);
    const tokens = bytesOf(this.#pending.map((part) => part.tokens));
    const logProbabilities = bytesOf(this.#pending.map((part) => part.logProbabilities));
    this.#pending = [];
    for (let at = 0; at < tokens.length; at += 4 * limits.tokensPerItem) {
      const end = at + 4 * limits.tokensPerItem;
      const before = this.#chunks.at(-1)?.hash ?? sha256(preimages.tokensStart(this.#assignment));
      const piece = { tokens: tokens.slice(at, end), logProbabilities: logProbabilities.slice(at, end) };
      const hash = sha256(preimages.tokensLink(before, piece.tokens, piece.logProbabilities));
      this.#chunks.push({ assignment: this.#assignment, position, ...piece, hash });
      position += piece.tokens.length / 4;
    }
    return this.#chunks.slice(again ? 0 : known);
  }

  #unknown({ position, tokens, logProbabilities }: Part): Part {
    // A gap is filled by the answer; what came already is not taken twice.
    const skip = position > this.count ? tokens.length : this.count - position;
    return { position: this.count, tokens: tokens.slice(skip), logProbabilities: logProbabilities.slice(skip) };
  }
}

const bytesOf = (arrays: (Int32Array | Float32Array)[]): Uint8Array<ArrayBuffer> =>
  concat(...arrays.map(({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength)));
