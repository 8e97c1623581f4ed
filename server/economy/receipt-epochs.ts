import { concat } from "../../shared/protocol.ts";
import { assert } from "../../shared/result.ts";
import { hex, type Sha256 } from "./ledger.ts";

/**
 * All receipts of an epoch under one root: its leaves are the signed roots of the commits, as text, in the order of the hubs
 * and of their chains. The tree is that of receipts.ts (RFC 9162), built leaf by leaf out of its complete subtrees, so that
 * memory grows with the logarithm of their number.
 */
const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

export class MerkleFrontier {
  readonly #sha256: Sha256;
  /** Complete subtrees from the largest; sizes are the bits of `size`. */
  readonly #peaks: Uint8Array[] = [];
  size = 0;
  /** Of the leaf whose path is wanted: how much of the tree over it is known. */
  readonly #path: Uint8Array[] = [];
  /** Place among the peaks of the subtree that holds the wanted leaf; null before it came. */
  #holder: number | null = null;

  constructor(sha256: Sha256) {
    this.#sha256 = sha256;
  }

  /** `isWanted`: its path is to be known in the end; of one leaf. */
  add(leaf: string, isWanted = false): void {
    const peaks = this.#peaks;
    peaks.push(this.#sha256(LEAF, leaf));
    if (isWanted) this.#holder = peaks.length - 1;
    for (let bits = this.size; bits % 2 === 1; bits = (bits - 1) / 2) this.#join();
    this.size += 1;
  }

  /** Hex. The peaks are joined from the smallest, as the odd nodes of a level move up. */
  root(): string {
    assert(this.size > 0, "a Merkle tree needs a leaf");
    const whole = this.#copy();
    while (whole.#peaks.length > 1) whole.#join();
    return hex(whole.#peaks[0] as Uint8Array);
  }

  /** Siblings of the wanted leaf up to the root, hex; null where there is no such leaf. */
  path(): string[] | null {
    if (this.#holder === null) return null;
    const whole = this.#copy();
    while (whole.#peaks.length > 1) whole.#join();
    return whole.#path.map(hex);
  }

  #join(): void {
    const right = this.#peaks.pop() as Uint8Array;
    const left = this.#peaks.pop() as Uint8Array;
    const at = this.#peaks.length;
    if (this.#holder === at) this.#path.push(right);
    else if (this.#holder === at + 1) {
      this.#path.push(left);
      this.#holder = at;
    }
    this.#peaks.push(this.#sha256(NODE, left, right));
  }

  #copy(): MerkleFrontier {
    const copy = new MerkleFrontier(this.#sha256);
    copy.#peaks.push(...this.#peaks);
    copy.#path.push(...this.#path);
    copy.#holder = this.#holder;
    copy.size = this.size;
    return copy;
  }
}

/** What the hub signs of an epoch's receipts. */
export const epochReceiptsPreimage = (epoch: number, root: string): Uint8Array =>
  concat(new TextEncoder().encode(`tabgrid/epoch-receipts/1\n${epoch}\n`), new TextEncoder().encode(root));
