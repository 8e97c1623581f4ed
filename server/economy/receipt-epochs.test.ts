import fc from "fast-check";
import { expect, it } from "vitest";
import { sha256 } from "../../shared/test-sha256.ts";
import { MerkleFrontier } from "./receipt-epochs.ts";
import { merklePath, merkleRoot, verifyPath } from "./receipts.ts";

it("has root and paths of the whole tree, leaf by leaf", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 70 }), fc.nat(), (size, at) => {
      const leaves = Array.from({ length: size }, (_, i) => `leaf ${i}`);
      const index = at % size;
      const frontier = new MerkleFrontier(sha256);
      for (const [i, leaf] of leaves.entries()) frontier.add(leaf, i === index);
      expect(frontier.root()).toBe(merkleRoot(leaves, sha256));
      const path = frontier.path() as string[];
      expect(path).toEqual(merklePath(leaves, index, sha256));
      const leaf = leaves[index] as string;
      expect(verifyPath({ leaf, path, index, size, root: frontier.root() }, sha256)).toBe(true);
    }),
  );
});

it("knows no path of a leaf that never came", () => {
  const frontier = new MerkleFrontier(sha256);
  frontier.add("only");
  expect(frontier.path()).toBeNull();
  expect(() => new MerkleFrontier(sha256).root()).toThrow("needs a leaf");
});
