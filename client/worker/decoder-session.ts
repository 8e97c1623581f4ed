import type { CacheTensor, DecoderGraph } from "./decoder-graph.ts";

/** A decoder graph that can be run on the caches it made before, wherever those lie. One call at a time. */
export interface DecoderSession {
  readonly graph: DecoderGraph;
  run(step: DecoderStep): Promise<DecoderStepped>;
  /** A new cache of copied rows, zeros around them. */
  arrange(rows: readonly CacheRow[], width: number): Cache;
  release(cache: Cache): void;
}

/** Rows of keys and values, `width` tokens each; some of those may be padding. */
export interface Cache {
  readonly rows: number;
  readonly width: number;
}

/** Everything row-major. */
export interface DecoderStep {
  rows: number;
  columns: number;
  /** [rows, columns] */
  ids: Int32Array;
  /** [rows, width of past + columns], 1 where there is a token. */
  mask: Int32Array;
  /** [rows, columns] */
  positions: Int32Array;
  /** Null: none. It stays its owner's. */
  past: Cache | null;
  /** Of how many last columns the logits are wanted, at least 1. */
  keep: number;
}

export interface DecoderStepped {
  /** [rows, kept, vocabulary]; valid until the next call. */
  logits: Float32Array;
  /** At least as many columns as were wanted: the last ones. */
  kept: number;
  /** log Σ exp of the logits, [rows, kept]. */
  sums: Float32Array | null;
  /** The past and the new columns. */
  present: Cache;
}

/** `length` tokens of a row from `from` on, to stand at `at` in the new one. */
export interface CacheRow {
  cache: Cache;
  row: number;
  from: number;
  length: number;
  at: number;
}

export function cacheShape({ shape, rowAxis, tokenAxis }: CacheTensor, rows: number, width: number): number[] {
  return shape.map((size, axis) => (axis === rowAxis ? rows : axis === tokenAxis ? width : size));
}

/** Where the elements of one row of a cache tensor lie: `count` runs of `inner` elements a token, `stride` apart. */
function* rowRuns(tensor: CacheTensor, { rows, width }: Cache, row: number): Generator<number> {
  const product = (sizes: readonly number[]) => sizes.reduce((all, size) => all * size, 1);
  const outer = product(tensor.shape.slice(0, tensor.rowAxis));
  const middle = product(tensor.shape.slice(tensor.rowAxis + 1, tensor.tokenAxis));
  const run = width * innerSize(tensor);
  for (let o = 0; o < outer; o++) for (let m = 0; m < middle; m++) yield ((o * rows + row) * middle + m) * run;
}

/** Elements of one token in one run. */
const innerSize = ({ shape, tokenAxis }: CacheTensor): number =>
  shape.slice(tokenAxis + 1).reduce((all, size) => all * size, 1);

/** Copies of one cache tensor that put `parts` together, in elements. */
export function* arrangement(
  tensor: CacheTensor,
  parts: readonly CacheRow[],
  width: number,
): Generator<{ source: Cache; from: number; to: number; count: number }> {
  const target = { rows: parts.length, width };
  const inner = innerSize(tensor);
  for (const [row, part] of parts.entries()) {
    const to = rowRuns(tensor, target, row);
    for (const start of rowRuns(tensor, part.cache, part.row)) {
      const end = to.next().value as number;
      const count = part.length * inner;
      yield { source: part.cache, from: start + part.from * inner, to: end + part.at * inner, count };
    }
  }
}
