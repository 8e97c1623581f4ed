import { expect, test } from "vitest";
import { atLeastMinimum, countWork, type Kernel, WORK_MIN } from "./work.ts";

const flop = (op: string, inputs: number[][], outputs: number[][], equation?: string) => {
  const kernel: Kernel = { node: "n", op, inputs, outputs };
  return Number(countWork([kernel], new Map(equation ? [["n", equation]] : [])));
};

test.each<[string, number[][], number[][], number]>([
  ["Relu", [[2, 3]], [[2, 3]], 6],
  [
    "Split",
    [[4, 3]],
    [
      [2, 3],
      [2, 3],
    ],
    12,
  ],
  ["Add", [[], []], [[]], 1],
  ["Relu", [[0, 3]], [[0, 3]], 0],
  [
    "Conv",
    [
      [1, 3, 8, 8],
      [16, 3, 3, 3],
    ],
    [[1, 16, 6, 6]],
    2 * 16 * 36 * 27,
  ],
  [
    "Conv",
    [
      [1, 16, 8, 8],
      [16, 1, 3, 3],
    ],
    [[1, 16, 8, 8]],
    2 * 16 * 64 * 9,
  ], // depthwise
  ["QLinearConv", [[1, 3, 8, 8], [], [], [16, 3, 3, 3]], [[1, 16, 6, 6]], 2 * 16 * 36 * 27],
  [
    "ConvTranspose",
    [
      [1, 16, 4, 4],
      [16, 8, 2, 2],
    ],
    [[1, 8, 8, 8]],
    2 * 16 * 16 * 32,
  ],
  [
    "MatMul",
    [
      [5, 2, 3],
      [3, 4],
    ],
    [[5, 2, 4]],
    2 * 5 * 2 * 3 * 4,
  ],
  ["MatMul", [[3], [3]], [[]], 6],
  [
    "MatMulNBits",
    [
      [2, 64],
      [10, 2, 16],
    ],
    [[2, 10]],
    2 * 2 * 64 * 10,
  ],
  [
    "Gemm",
    [
      [2, 3],
      [3, 4],
    ],
    [[2, 4]],
    48,
  ],
  [
    "Gemm",
    [
      [3, 2],
      [3, 4],
    ],
    [[2, 4]],
    48,
  ], // A transposed
  [
    "Gemm",
    [
      [0, 3],
      [3, 4],
    ],
    [[0, 4]],
    0,
  ],
  [
    "LSTM",
    [
      [7, 2, 10],
      [1, 20, 10],
      [1, 20, 5],
    ],
    [[7, 1, 2, 5]],
    2 * 14 * (200 + 100),
  ],
  [
    "Attention",
    [[1, 4, 32], [32, 96], [96]],
    [
      [1, 4, 32],
      [2, 1, 4, 6, 8],
    ],
    2 * (4 * 32 * 96 + 2 * 4 * 32 * 6),
  ],
  [
    "MultiHeadAttention",
    [
      [1, 4, 32],
      [1, 6, 32],
      [1, 6, 32],
    ],
    [[1, 4, 32]],
    2 * 2 * 4 * 32 * 6,
  ],
  [
    "GroupQueryAttention",
    [
      [1, 1, 32],
      [1, 1, 16],
    ],
    [
      [1, 1, 32],
      [1, 2, 9, 8],
    ],
    2 * 2 * 32 * 9,
  ],
  ["If", [[]], [[100]], 0], // what ran inside is in the trace
])("%s of %j to %j", (op, inputs, outputs, expected) => expect(flop(op, inputs, outputs)).toBe(expected));

test("Einsum counts every label once; what it cannot read counts as its largest tensor", () => {
  const shapes: [number[][], number[][]] = [
    [
      [2, 3, 4],
      [2, 4, 5],
    ],
    [[2, 3, 5]],
  ];
  expect(flop("Einsum", ...shapes, "bij, bjk -> bik")).toBe(2 * 2 * 3 * 4 * 5);
  expect(flop("Einsum", ...shapes, "...ij,...jk->...ik")).toBe(2 * 40);
  expect(flop("Einsum", ...shapes)).toBe(2 * 40);
});

test("no task is less work than the minimum", () => {
  expect(atLeastMinimum(countWork([], new Map()))).toBe(WORK_MIN);
  expect(atLeastMinimum(WORK_MIN + 1n)).toBe(WORK_MIN + 1n);
});
