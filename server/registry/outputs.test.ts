import { expect, test } from "vitest";
import type { TensorSpec } from "../../shared/tensor.ts";
import { type ShapeRun, settleOutputs } from "./outputs.ts";

const run = (dims: Record<string, number>, ...shapes: number[][]): ShapeRun => ({
  dims: new Map(Object.entries(dims)),
  outputs: shapes.map((shape) => ({ name: "y", dtype: "float32", shape, data: new Uint8Array() })),
});
const declared = (...shapes: (TensorSpec["shape"] | null)[]) =>
  shapes.map((shape, at) => ({ name: `y${at}`, dtype: shape && ("float32" as const), shape }));
const settled = (shapes: (TensorSpec["shape"] | null)[], runs: ShapeRun[], batch: string | null) =>
  settleOutputs(declared(...shapes), runs, batch).map(({ shape }) => shape);

test("sizes that the runs bear out stay", () => {
  expect(settled([["N", 3, "h"]], [run({ N: 1, h: 8 }, [1, 3, 8]), run({ N: 2, h: 8 }, [2, 3, 8])], "N")).toEqual([
    ["N", 3, "h"],
  ]);
});

test("a size that follows the batch gets its name, whatever it was called", () => {
  const runs = [run({ N: 1 }, [1, 4], [1, 4]), run({ N: 2 }, [2, 4], [2, 4])];
  expect(
    settled(
      [
        ["M", 4],
        [1, 4],
      ],
      runs,
      "N",
    ),
  ).toEqual([
    ["N", 4],
    ["N", 4],
  ]);
});

test("a fixed size that does not hold is free", () => {
  expect(settled([[4, 5]], [run({ N: 1 }, [4, 6])], null)).toEqual([[4, "y0_1"]]);
});

test("one name for unequal sizes becomes two names", () => {
  expect(settled([["dim"], ["dim"]], [run({ h: 8 }, [64], [16])], null)).toEqual([["dim"], ["dim_1"]]);
});

test("an input's name that does not hold is replaced", () => {
  expect(settled([["h"]], [run({ h: 8 }, [4])], null)).toEqual([["h_1"]]);
});

test("type and shape that the graph leaves out come from the run", () => {
  expect(settleOutputs(declared(null), [run({ N: 1 }, [1, 7]), run({ N: 2 }, [2, 7])], "N")).toEqual([
    { name: "y0", dtype: "float32", shape: ["N", "y0_1"] },
  ]);
});
