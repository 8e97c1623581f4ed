import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Tensor, tensorOf } from "../../shared/tensor.ts";
import { joinRows, planStacks, splitRows } from "./stacking.ts";

const item = (rows: number, width: number, from = 0): Tensor[] => [
  tensorOf(
    "x",
    "float32",
    [rows, width],
    Float32Array.from({ length: rows * width }, (_, i) => from + i),
  ),
  tensorOf(
    "ids",
    "int64",
    [rows],
    BigInt64Array.from({ length: rows }, (_, i) => BigInt(from + i)),
  ),
];

describe("stacking", () => {
  it("puts together what fits, in order, and keeps unlike shapes apart", () => {
    const stacks = planStacks([item(1, 4), item(2, 4), item(1, 5), item(2, 4), item(9, 4)], 4);
    expect(stacks.map((stack) => stack.items)).toEqual([[0, 1], [2], [3], [4]]);
  });

  it("never stacks at a limit of 1, scalars, or items without rows", () => {
    expect(planStacks([item(1, 4), item(1, 4)], 1)).toHaveLength(2);
    const scalar = [tensorOf("s", "float32", [], Float32Array.of(1))];
    expect(planStacks([scalar, scalar], 8)).toHaveLength(2);
    expect(planStacks([item(0, 4), item(0, 4)], 8)).toHaveLength(2);
    const uneven = [...item(2, 4).slice(0, 1), ...item(3, 4).slice(1)];
    expect(planStacks([uneven, uneven], 8)).toHaveLength(2);
  });

  it("splits what it joined, whatever the rows", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 6 }), (rows) => {
        const items = rows.map((count, i) => item(count, 3, 100 * i));
        const joined = joinRows(items);
        expect(joined[0]?.shape).toEqual([rows.reduce((a, b) => a + b), 3]);
        expect(splitRows(joined, rows)).toEqual(items);
      }),
    );
  });

  it("joins by name, not by place", () => {
    const [joined] = joinRows([item(1, 2), item(1, 2, 7).reverse()]);
    expect(new Float32Array((joined as Tensor).data.buffer)).toEqual(Float32Array.of(0, 1, 7, 8));
  });

  it("does not split an output that does not count rows", () => {
    expect(splitRows([tensorOf("mean", "float32", [1], Float32Array.of(0))], [1, 1])).toBeNull();
  });
});
