import type { KeyObject } from "node:crypto";
import { failure, type TabgridError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { preimages, type TokensItem } from "../../shared/protocol.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { equalBytes, macOf, sha256 } from "./identity.ts";

/**
 * The tokens of the generations of one connection: each item comes after all before it and is authentic with them
 * (docs/protocol.md, "Tokens of a text"). A new connection tells a stream again from its first token.
 */
interface Chain {
  position: number;
  hash: Uint8Array;
}

/** A miner cannot hold more generations than its slots and what waits for them; a forger must not fill the memory. */
const CHAINS_KEPT = 1_024;

export class TokenChains {
  readonly #key: KeyObject;
  #chains = new Map<string, Chain>();

  constructor(key: KeyObject) {
    this.#key = key;
  }

  /** Checks place, sizes and MAC; on an error nothing changes. */
  admit(item: TokensItem): Result<{ tokens: Int32Array; logProbabilities: Float32Array }, TabgridError> {
    const { assignment, position, tokens, logProbabilities, mac } = item;
    const count = tokens.byteLength / 4;
    if (!Number.isInteger(count) || count < 1 || count > limits.tokensPerItem) {
      const expected = `4 bytes for each of 1 to ${limits.tokensPerItem} tokens`;
      const detail = { field: "tokens", expected, got: `${tokens.byteLength} bytes` };
      return err(failure("malformed-message", `tokens: expected ${expected}`, detail));
    }
    if (logProbabilities.byteLength !== tokens.byteLength) {
      const expected = `${tokens.byteLength} bytes, one number for each token`;
      const detail = { field: "logProbabilities", expected, got: `${logProbabilities.byteLength} bytes` };
      return err(failure("malformed-message", `logProbabilities: expected ${expected}`, detail));
    }
    const chain = this.#chains.get(assignment) ?? { position: 0, hash: sha256(preimages.tokensStart(assignment)) };
    if (position !== chain.position) {
      const detail = { field: "position", expected: String(chain.position), got: String(position) };
      return err(failure("out-of-sequence", "tokens come one after the other, without gaps", detail));
    }
    const hash = sha256(preimages.tokensLink(chain.hash, tokens, logProbabilities));
    if (!equalBytes(macOf(this.#key, preimages.tokens(assignment, position, hash)), mac)) {
      const detail = { field: "mac", expected: "HMAC-SHA256 under the session key" };
      return err(failure("bad-authentication", "the MAC does not match this session, assignment and tokens", detail));
    }
    this.#chains.delete(assignment);
    this.#chains.set(assignment, { position: position + count, hash });
    for (const oldest of this.#chains.keys()) {
      if (this.#chains.size <= CHAINS_KEPT) break;
      this.#chains.delete(oldest);
    }
    // Copies: the bytes lie in a buffer that they share with the whole message, aligned to nothing.
    const own = (bytes: Uint8Array) => new Uint8Array(bytes).buffer;
    return ok({ tokens: new Int32Array(own(tokens)), logProbabilities: new Float32Array(own(logProbabilities)) });
  }

  /** Its result is in. */
  end(assignment: string): void {
    this.#chains.delete(assignment);
  }
}
