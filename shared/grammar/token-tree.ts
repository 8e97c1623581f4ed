import { BETWEEN, NEVER, stepString } from "./string-bytes.ts";
import type { TokenBytes } from "./token-bytes.ts";

/**
 * A vocabulary as a tree of bytes, so that what tokens have in common is looked at once. Nodes lie in the order of a walk:
 * the nodes below a node follow it directly.
 */
export interface TokenTree {
  /** Of each node: its byte, the node after the last one below it, and the tokens that end there (an index into `tokens`). */
  bytes: Uint8Array;
  skip: Int32Array;
  firstToken: Int32Array;
  /** Tokens by node; those of node n are `firstToken[n]` to `firstToken[n + 1]`. */
  tokens: Int32Array;
}

/** A vocabulary, ready to be asked which of its tokens may come next. */
export interface Vocabulary {
  bytes: TokenBytes;
  all: TokenTree;
  /** Inside a string nearly every token may come: one bit a token of those that are whole characters, PLAIN_MOST at most. */
  plain: Uint32Array;
  /** The tokens that are not plain. */
  rest: TokenTree;
  /** Whether each byte of a character's later ones is a token of its own. */
  hasContinuations: boolean;
}

export const PLAIN_MOST = 16;

export function readVocabulary(bytes: TokenBytes): Vocabulary {
  const plain = new Uint32Array(Math.ceil(bytes.length / 32));
  const ids: number[] = [];
  const rest: number[] = [];
  const single = new Set<number>();
  for (const [id, token] of bytes.entries()) {
    if (!token || token.length === 0) continue;
    ids.push(id);
    if (token.length === 1) single.add(token[0] as number);
    if (isPlain(token)) plain[id >>> 5] = (plain[id >>> 5] as number) | (1 << (id & 31));
    else rest.push(id);
  }
  return {
    bytes,
    all: treeOf(bytes, ids),
    plain,
    rest: treeOf(bytes, rest),
    hasContinuations: Array.from({ length: 0x40 }, (_, i) => 0x80 + i).every((byte) => single.has(byte)),
  };
}

/** Whole characters that stand for themselves in a JSON string. */
function isPlain(token: Uint8Array): boolean {
  let state = BETWEEN;
  let characters = 0;
  for (const byte of token) {
    if (byte === 0x22 || byte === 0x5c) return false;
    state = stepString(state, byte, true);
    if (state === NEVER) return false;
    if (state === BETWEEN) characters++;
  }
  return state === BETWEEN && characters <= PLAIN_MOST;
}

function treeOf(vocabulary: TokenBytes, ids: readonly number[]): TokenTree {
  const entries = ids.map((id) => ({ id, token: vocabulary[id] as Uint8Array }));
  entries.sort((a, b) => compare(a.token, b.token) || a.id - b.id);
  const bytes: number[] = [];
  const firstToken: number[] = [];
  const tokens: number[] = [];
  const skip: number[] = [];
  const open: number[] = [];
  let previous = new Uint8Array(0);
  for (const { id, token } of entries) {
    let common = 0;
    while (common < previous.length && common < token.length && previous[common] === token[common]) common++;
    while (open.length > common) skip[open.pop() as number] = bytes.length;
    for (const byte of token.subarray(common)) {
      open.push(bytes.length);
      bytes.push(byte);
      firstToken.push(tokens.length);
    }
    tokens.push(id);
    previous = new Uint8Array(token);
  }
  while (open.length > 0) skip[open.pop() as number] = bytes.length;
  firstToken.push(tokens.length);
  return {
    bytes: Uint8Array.from(bytes),
    skip: Int32Array.from(skip),
    firstToken: Int32Array.from(firstToken),
    tokens: Int32Array.from(tokens),
  };
}

function compare(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
