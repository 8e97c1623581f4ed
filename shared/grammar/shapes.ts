import { type LiteralTree, literalTree } from "./literals.ts";
import type { Decimals } from "./number-bytes.ts";

/**
 * What a JSON text may be at one place: a schema, compiled. Shapes refer to each other, also in circles.
 */
export type Shape =
  /** One of these texts, byte by byte. */
  | { kind: "literals"; tree: LiteralTree }
  /** Lengths in characters (code points). */
  | { kind: "string"; min: number; max: number }
  | { kind: "number"; integer: boolean }
  | { kind: "decimals"; within: Decimals }
  | ObjectShape
  | { kind: "array"; item: Shape; min: number; max: number }
  | { kind: "any-of"; shapes: Shape[] };

export interface ObjectShape {
  kind: "object";
  /** In the order in which they are written; those beyond them come last. */
  properties: { name: string; shape: Shape; required: boolean }[];
  /** The names as JSON.stringify writes them between the quotes. */
  names: LiteralTree;
  /** Properties of other names; null: none. */
  additional: Shape | null;
}

export type Heights = ReadonlyMap<Shape, number>;

const encoder = new TextEncoder();
const canonicalBytes = (value: unknown): Uint8Array => encoder.encode(JSON.stringify(value));

/** One of these JSON values, as JSON.stringify writes them. */
export const literals = (values: readonly unknown[]): Shape => ({
  kind: "literals",
  tree: literalTree(values.map(canonicalBytes)),
});

export const objectOf = (properties: ObjectShape["properties"], additional: Shape | null): ObjectShape => ({
  kind: "object",
  properties,
  names: literalTree(properties.map(({ name }) => canonicalBytes(name).slice(1, -1))),
  additional,
});

/** Any JSON value at all. */
export function anyValue(): Shape {
  const any: Shape = { kind: "any-of", shapes: [] };
  any.shapes.push(
    literals([null, true, false]),
    { kind: "string", min: 0, max: Number.POSITIVE_INFINITY },
    { kind: "number", integer: false },
    objectOf([], any),
    { kind: "array", item: any, min: 0, max: Number.POSITIVE_INFINITY },
  );
  return any;
}

/**
 * How many objects and arrays the shallowest text of each shape has inside each other; what has no finite text at all (an
 * object that requires itself) is missing from the map, and must not be begun.
 */
export function heightsOf(root: Shape): Heights {
  const all = reachable(root);
  const heights = new Map<Shape, number>();
  const height = (shape: Shape): number => heights.get(shape) ?? Number.POSITIVE_INFINITY;
  for (let changed = true; changed; ) {
    changed = false;
    for (const shape of all) {
      const now = ownHeight(shape, height);
      if (now < height(shape)) {
        heights.set(shape, now);
        changed = true;
      }
    }
  }
  return heights;
}

function ownHeight(shape: Shape, height: (shape: Shape) => number): number {
  switch (shape.kind) {
    case "any-of":
      return Math.min(...shape.shapes.map(height));
    case "array":
      return shape.min > 0 ? 1 + height(shape.item) : 1;
    case "object":
      return 1 + Math.max(0, ...shape.properties.filter((one) => one.required).map((one) => height(one.shape)));
    default:
      return 0;
  }
}

/** Deepest first, so that heights settle in few rounds. */
function reachable(root: Shape): Shape[] {
  const seen = new Set<Shape>([root]);
  const list = [root];
  for (let at = 0; at < list.length; at++) {
    for (const inner of innerOf(list[at] as Shape)) {
      if (seen.has(inner)) continue;
      seen.add(inner);
      list.push(inner);
    }
  }
  return list.reverse();
}

function innerOf(shape: Shape): readonly Shape[] {
  switch (shape.kind) {
    case "any-of":
      return shape.shapes;
    case "array":
      return [shape.item];
    case "object":
      return [...shape.properties.map((one) => one.shape), ...(shape.additional ? [shape.additional] : [])];
    default:
      return [];
  }
}
