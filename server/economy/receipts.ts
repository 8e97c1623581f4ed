import type { OwnerId, ReceiptId } from "../../shared/ids.ts";
import { receiptOf } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { concat } from "../../shared/protocol.ts";
import { assert } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import { hex, type Sha256, type Transfer } from "./ledger.ts";
import type { VerifiedTask } from "./verified-task.ts";

/**
 * A receipt proves one task: what was asked, who ran it, what was paid. The receipts of a commit are the leaves of one
 * SHA-256 Merkle tree as RFC 9162 defines it (section 2.1: a leaf hashes 0x00 ‖ text, a node 0x01 ‖ left ‖ right, an odd
 * node moves up as it is), whose root the hub signs.
 */
export interface ReceiptBatch {
  /** Hex. */
  root: string;
  /** Ed25519 over `receiptsPreimage(root)`, base64url. */
  signature: string;
  at: Millis;
  /** In the order of the tree. */
  leaves: readonly { receipt: ReceiptId; leaf: string }[];
}

export const leafVersion = 1;

export interface ReceiptContext {
  /** Of the manifest. */
  filesHash?: string | undefined;
  /** What an owner has deposited in the domain of the model, nano-DN. */
  depositOf?: (owner: OwnerId) => Nano;
}

/** The leaf's text: JSON with keys in alphabetical order and no spaces; amounts are strings. */
export function receiptLeaf(
  fact: VerifiedTask,
  settlement: Transfer,
  { filesHash, depositOf = () => 0n }: ReceiptContext = {},
): string {
  assert(settlement.task === fact.task, `receipt of ${fact.task} with the postings of ${settlement.task}`);
  return canonicalJson({
    version: leafVersion,
    receipt: receiptOf(fact.task),
    task: fact.task,
    model: fact.model,
    files: filesHash,
    level: fact.level,
    basis: fact.basis,
    work: fact.work,
    inputHash: fact.inputHash,
    commitment: fact.commitment,
    text: fact.text && {
      promptTokens: fact.text.promptTokens,
      outputTokens: fact.text.outputTokens,
      finish: fact.text.finish,
      seed: fact.text.seed,
    },
    executions: fact.executions.map(
      ({ by, miner, assignment, role, commitment, accepted, signed, span, standing }) => ({
        by,
        miner,
        assignment,
        role,
        commitment,
        accepted,
        signed,
        tokens: span && [span.from, span.to],
        standing: standing && by !== "reference" ? { ...standing, deposit: depositOf(by) } : undefined,
      }),
    ),
    price: fact.price,
    /** What each account but the payer's gained: sums to the price. */
    split: Object.fromEntries(
      settlement.legs.filter(({ account }) => !account.startsWith("customer:")).map((leg) => [leg.account, leg.amount]),
    ),
    at: fact.at,
  });
}

/** What was found out after the fact, as a leaf of its own: `state` is `failed` (refuted before it was charged) or `overturned`. */
export function revisedLeaf(
  fact: { task: VerifiedTask["task"]; state: string; reason: string; at: Millis },
  revision: number,
): string {
  const { task, state, reason, at } = fact;
  return canonicalJson({ version: leafVersion, receipt: receiptOf(task), revision, task, state, reason, at });
}

/** Hashes the leaves of one commit and has the root signed. */
export function receiptBatch(
  leaves: ReceiptBatch["leaves"],
  at: Millis,
  sign: (preimage: Uint8Array) => string,
  sha256: Sha256,
): ReceiptBatch {
  const root = merkleRoot(
    leaves.map(({ leaf }) => leaf),
    sha256,
  );
  return { root, signature: sign(receiptsPreimage(root)), at, leaves };
}

export const receiptsPreimage = (root: string): Uint8Array =>
  concat(new TextEncoder().encode("tabgrid/receipts/1\n"), fromHex(root));

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

export const merkleRoot = (leaves: readonly string[], sha256: Sha256): string =>
  hex((levels(leaves, sha256).at(-1) as Uint8Array[])[0] as Uint8Array);

/** Siblings from the leaf to the root, hex. */
export function merklePath(leaves: readonly string[], index: number, sha256: Sha256): string[] {
  assert(Number.isInteger(index) && index >= 0 && index < leaves.length, `leaf ${index} of ${leaves.length}`);
  const path: string[] = [];
  let at = index;
  for (const level of levels(leaves, sha256)) {
    const sibling = level[at ^ 1];
    if (sibling) path.push(hex(sibling));
    at >>= 1;
  }
  return path;
}

export interface InclusionProof {
  leaf: string;
  path: readonly string[];
  index: number;
  size: number;
  root: string;
}

/** RFC 9162, section 2.1.3.2: is this text a leaf under this root? */
export function verifyPath({ leaf, path, index, size, root }: InclusionProof, sha256: Sha256): boolean {
  if (!Number.isInteger(index) || index < 0 || index >= size) return false;
  let hash = sha256(LEAF, leaf);
  let at = index;
  let last = size - 1;
  for (const text of path) {
    if (last === 0 || !/^[0-9a-f]{64}$/.test(text)) return false;
    const sibling = fromHex(text);
    while (at % 2 === 0 && at === last) {
      at >>= 1;
      last >>= 1;
    }
    hash = at % 2 === 1 ? sha256(NODE, sibling, hash) : sha256(NODE, hash, sibling);
    at >>= 1;
    last >>= 1;
  }
  return last === 0 && hex(hash) === root;
}

/** Hashes of the leaves first, the root last. */
function levels(leaves: readonly string[], sha256: Sha256): Uint8Array[][] {
  assert(leaves.length > 0, "a Merkle tree needs a leaf");
  let level = leaves.map((leaf) => sha256(LEAF, leaf));
  const all = [level];
  while (level.length > 1) {
    const above: Uint8Array[] = [];
    for (let i = 0; i < level.length; i += 2) {
      const left = level[i] as Uint8Array;
      const right = level[i + 1];
      above.push(right ? sha256(NODE, left, right) : left);
    }
    all.push(above);
    level = above;
  }
  return all;
}

const fromHex = (text: string): Uint8Array =>
  Uint8Array.from({ length: text.length / 2 }, (_, i) => Number.parseInt(text.slice(2 * i, 2 * i + 2), 16));

/** JSON that says the same thing in one way only: keys in order of code units, bigint as decimal string. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, held: unknown) => {
    if (typeof held === "bigint") return held.toString();
    if (held === null || typeof held !== "object" || Array.isArray(held)) return held;
    return Object.fromEntries(Object.entries(held).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
