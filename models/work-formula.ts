import type { Tensor } from "../shared/tensor.ts";
import type { Manifest } from "./manifest.ts";

/** FLOP of one task by the manifest's formula; null where only a traced run can tell. */
export function workByFormula({ work, batch, inputs }: Manifest, tensors: readonly Tensor[]): bigint | null {
  const sizeOf = (dimension: string | null): number => {
    for (const { name, shape } of inputs) {
      const axis = dimension === null ? -1 : shape.indexOf(dimension);
      const size = tensors.find((tensor) => tensor.name === name)?.shape[axis];
      if (size !== undefined) return size;
    }
    return 1;
  };
  const rows = sizeOf(batch.dimension);
  switch (work.kind) {
    case "affine":
      return BigInt(work.base) + BigInt(work.perRow) * BigInt(rows);
    case "by-length": {
      const tokens = sizeOf(work.dimension);
      const total = polynomial(work.fixed, tokens) + BigInt(rows) * polynomial(work.perRow, tokens);
      return total > 0n ? total : 0n;
    }
    case "by-shape":
      return null;
  }
}

export type Polynomial = [number, number, number];

export const polynomial = ([constant, linear, square]: Polynomial, n: number): bigint =>
  BigInt(constant) + BigInt(linear) * BigInt(n) + BigInt(square) * BigInt(n) ** 2n;

/** Through the values at n, n + 1 and n + 2; null where its coefficients are no integers. */
export function polynomialThrough(n: number, values: readonly [bigint, bigint, bigint]): Polynomial | null {
  const [a, b, c] = values;
  const second = c - 2n * b + a;
  if (second % 2n !== 0n) return null;
  const square = second / 2n;
  const from = BigInt(n);
  const linear = b - a - square * (2n * from + 1n);
  const constant = a - linear * from - square * from * from;
  const coefficients = [constant, linear, square].map(Number);
  return coefficients.every(Number.isSafeInteger) ? (coefficients as Polynomial) : null;
}
