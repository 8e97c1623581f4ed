import { expect, test } from "vitest";
import { tensorOf } from "../shared/tensor.ts";
import type { Manifest } from "./manifest.ts";
import { polynomial, polynomialThrough, workByFormula } from "./work-formula.ts";

const manifest = (work: Manifest["work"]) =>
  ({
    inputs: [{ name: "ids", dtype: "int32", shape: ["rows", "tokens"] }],
    batch: { limit: 8, dimension: "rows", rowsIndependent: true },
    work,
  }) as unknown as Manifest;
const ids = (rows: number, tokens: number) => [tensorOf("ids", "int32", [rows, tokens], new Int32Array(rows * tokens))];

test("by rows, by length, or not at all", () => {
  expect(workByFormula(manifest({ kind: "affine", base: 10, perRow: 3 }), ids(4, 9))).toBe(22n);
  const byLength = manifest({ kind: "by-length", dimension: "tokens", fixed: [1, 2, 0], perRow: [5, 10, 100] });
  expect(workByFormula(byLength, ids(2, 3))).toBe(1n + 6n + 2n * (5n + 30n + 900n));
  expect(workByFormula(manifest({ kind: "by-shape" }), ids(1, 1))).toBe(null);
});

test("three values give the polynomial; halves are none", () => {
  const at = (n: number) => polynomial([7, -2, 3], n);
  expect(polynomialThrough(4, [at(4), at(5), at(6)])).toEqual([7, -2, 3]);
  expect(polynomialThrough(1, [0n, 0n, 1n])).toBe(null);
});
