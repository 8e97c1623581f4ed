/**
 * A set of byte strings as a tree of bytes: which byte may come next is one look-up, however many strings there are. Each
 * string has a number of its own, its index in the list.
 */
export interface LiteralTree {
  /** The node after a byte, -1 for none. Node 0 is the root. */
  child(node: number, byte: number): number;
  /** The string that ends at the node, -1 for none. */
  ends(node: number): number;
  /** The strings that end at the node or below it, in their order. */
  within(node: number): readonly number[];
  isLeaf(node: number): boolean;
}

export function literalTree(literals: readonly Uint8Array[]): LiteralTree {
  const children: Map<number, number>[] = [new Map()];
  const ends: number[] = [-1];
  const within: number[][] = [[]];
  for (const [index, literal] of literals.entries()) {
    let node = 0;
    within[0]?.push(index);
    for (const byte of literal) {
      let child = children[node]?.get(byte);
      if (child === undefined) {
        child = children.push(new Map()) - 1;
        ends.push(-1);
        within.push([]);
        children[node]?.set(byte, child);
      }
      node = child;
      within[node]?.push(index);
    }
    ends[node] = index;
  }
  return {
    child: (node, byte) => children[node]?.get(byte) ?? -1,
    ends: (node) => ends[node] as number,
    within: (node) => within[node] as number[],
    isLeaf: (node) => children[node]?.size === 0,
  };
}
