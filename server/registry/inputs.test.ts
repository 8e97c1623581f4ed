import { expect, test } from "vitest";
import type { InputSpec } from "../../models/manifest.ts";
import { dtypeNames, toNumbers } from "../../shared/tensor.ts";
import { generateInputs, rowOf, stackRows } from "./inputs.ts";

const dims = new Map([["N", 3]]);
const specs: InputSpec[] = dtypeNames.map((dtype) => ({ name: dtype, dtype, shape: ["N", 40] }));

test("the same seed gives the same bytes, another seed others", () => {
  const once = generateInputs(specs, dims, 1, "small");
  expect(once.map(({ shape }) => shape)).toEqual(specs.map(() => [3, 40]));
  expect(generateInputs(specs, dims, 1, "small")).toEqual(once);
  for (const [at, tensor] of generateInputs(specs, dims, 2, "small").entries()) expect(tensor).not.toEqual(once[at]);
});

test.each(dtypeNames)("%s stays within its range and within its style", (dtype) => {
  const values = (style: "small" | "ones" | "zeros", range?: [number, number]) => [
    ...toNumbers(generateInputs([{ name: "x", dtype, shape: [500], range }], dims, 7, style)[0] as never),
  ];
  const ranged = values("small", [0, 1]);
  expect(Math.min(...ranged)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...ranged)).toBeLessThanOrEqual(1);
  if (dtype.startsWith("float")) return;
  expect(new Set(values("small"))).toEqual(new Set(dtype === "bool" ? [0, 1] : [0, 1, 2, 3, 4, 5, 6, 7]));
  expect(new Set(values("ones"))).toEqual(new Set([1]));
  expect(new Set(values("zeros"))).toEqual(new Set([0]));
});

test("rows are stacked and taken apart again", () => {
  const row = new Map([["N", 1]]);
  const [a, b] = [generateInputs(specs, row, 1, "small"), generateInputs(specs, row, 2, "small")];
  const both = stackRows([a, b]);
  expect(both[0]?.shape).toEqual([2, 40]);
  expect(rowOf(both, 0)).toEqual(a);
  expect(rowOf(both, 1)).toEqual(b);
});
