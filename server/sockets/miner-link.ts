import type { KeyObject } from "node:crypto";
import { failure, type TabgridError } from "../../shared/errors.ts";
import type { AssignmentId, MinerId, OwnerId, SessionId } from "../../shared/ids.ts";
import { type ChainSignature, preimages, type ResultItem } from "../../shared/protocol.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import type { Tensor } from "../../shared/tensor.ts";
import { commitmentOf, equalBytes, macOf, sha256, verifyEd25519 } from "./identity.ts";
import { TokenChains } from "./token-chains.ts";

/**
 * One authenticated connection of a miner: its session key, the sequence of its results and the chain it signs
 * (../shared/design.md section 6). A result enters the chain once its MAC and its place in the sequence are right,
 * whatever becomes of it later, so that both sides hold the same chain.
 */
export class MinerLink {
  readonly session: SessionId;
  readonly miner: MinerId;
  readonly owner: OwnerId;
  readonly publicKey: KeyObject;
  readonly tokens: TokenChains;
  readonly #key: KeyObject;
  #seq = 0;
  /** Links from the last signed one on; the first is that of `#signedSeq`. */
  #links: Uint8Array[];
  #signedSeq = 0;

  constructor(id: { session: SessionId; miner: MinerId; owner: OwnerId; publicKey: KeyObject; key: KeyObject }) {
    this.session = id.session;
    this.miner = id.miner;
    this.owner = id.owner;
    this.publicKey = id.publicKey;
    this.#key = id.key;
    this.tokens = new TokenChains(id.key);
    this.#links = [sha256(preimages.chainStart(id.session))];
  }

  /** Checks place and MAC of a result and appends it to the chain; on an error nothing changes. */
  admit(
    item: Pick<ResultItem, "assignment" | "seq" | "mac">,
    outputs: readonly Tensor[],
  ): Result<Buffer, TabgridError> {
    const expected = this.#seq + 1;
    if (item.seq !== expected) {
      return err(
        failure("out-of-sequence", "results are numbered without gaps", {
          field: "seq",
          expected: String(expected),
          got: String(item.seq),
        }),
      );
    }
    const commitment = commitmentOf(outputs);
    const mac = macOf(this.#key, preimages.result(item.assignment, item.seq, commitment));
    if (!equalBytes(mac, item.mac)) {
      return err(
        failure("bad-authentication", "the MAC does not match this session, assignment, number and outputs", {
          field: "mac",
          expected: "HMAC-SHA256 under the session key",
        }),
      );
    }
    this.#seq = expected;
    this.tokens.end(item.assignment);
    const last = this.#links.at(-1) as Uint8Array;
    this.#links.push(sha256(preimages.chainLink(last, item.assignment as AssignmentId, commitment)));
    return ok(commitment);
  }

  /** Verifies a chain signature; the links that it covers are forgotten. */
  sign({ seq, link, signature }: ChainSignature): Result<number, TabgridError> {
    const known = this.#links[seq - this.#signedSeq];
    if (seq <= this.#signedSeq || !known) {
      const expected = `${this.#signedSeq + 1} to ${this.#seq}`;
      return err(failure("out-of-sequence", `seq: expected ${expected}`, { field: "seq", expected, got: String(seq) }));
    }
    if (!equalBytes(known, link)) {
      return err(failure("bad-signature", "the link is not the chain of this session's results", { field: "link" }));
    }
    if (!verifyEd25519(this.publicKey, preimages.chainSignature(this.session, seq, link), signature)) {
      return err(failure("bad-signature", "not signed by this miner's key", { field: "signature" }));
    }
    this.#links = this.#links.slice(seq - this.#signedSeq);
    this.#signedSeq = seq;
    return ok(seq);
  }

  get unsignedResults(): number {
    return this.#seq - this.#signedSeq;
  }

  /** Is `token` the hex MAC that allows `method` on a blob? */
  allowsBlob(method: "GET" | "PUT", hash: string, token: string): boolean {
    return equalBytes(Buffer.from(macOf(this.#key, preimages.blob(method, hash)).toString("hex")), Buffer.from(token));
  }
}
