import { describe, expect, it } from "vitest";
import { type Pooling, poolEmbedding } from "./pooling.ts";
import { assert } from "./result.ts";
import { tensorOf, viewOf } from "./tensor.ts";

// Two rows of three tokens of two dimensions.
const hidden = tensorOf("h", "float32", [2, 3, 2], Float32Array.of(1, 2, 3, 4, 50, 60, 7, 8, 70, 80, 90, 100));
const mask = tensorOf("attention_mask", "int64", [2, 3], BigInt64Array.of(1n, 1n, 0n, 1n, 0n, 0n));
const facts = (more: Partial<Pooling>): Pooling => ({
  output: "h",
  pooling: "mean",
  normalize: false,
  dimensions: 2,
  ...more,
});
const pooled = (more: Partial<Pooling>, inputs = [mask], outputs = [hidden]) => {
  const result = poolEmbedding(inputs, outputs, facts(more));
  assert(result.ok, result.ok ? "" : result.error);
  expect(result.value).toMatchObject({ name: "embedding", dtype: "float32", shape: [2, 2] });
  return [...(viewOf(result.value) as Float32Array)];
};

describe("pooling", () => {
  it("takes what the mask has", () => {
    expect(pooled({ pooling: "mean" })).toEqual([2, 3, 7, 8]);
    expect(pooled({ pooling: "cls" })).toEqual([1, 2, 7, 8]);
    expect(pooled({ pooling: "last" })).toEqual([3, 4, 7, 8]);
  });

  it("finds first and last token behind padding on the left as well", () => {
    const left = tensorOf("attention_mask", "int64", [2, 3], BigInt64Array.of(0n, 1n, 1n, 0n, 0n, 1n));
    expect(pooled({ pooling: "cls" }, [left])).toEqual([3, 4, 90, 100]);
    expect(pooled({ pooling: "last" }, [left])).toEqual([50, 60, 90, 100]);
  });

  it("takes every token without a mask, and a pooled output as it is", () => {
    expect(pooled({ pooling: "last" }, [])).toEqual([50, 60, 90, 100]);
    const flat = tensorOf("h", "float32", [2, 2], Float32Array.of(1, 2, 3, 4));
    expect(pooled({ pooling: "none" }, [mask], [flat])).toEqual([1, 2, 3, 4]);
  });

  it("gives vectors of length 1 where asked, and leaves zeros", () => {
    const [a = 0, b = 0, c = 0, d = 0] = pooled({ normalize: true });
    expect(Math.hypot(a, b)).toBeCloseTo(1, 6);
    expect(Math.hypot(c, d)).toBeCloseTo(1, 6);
    expect(b / a).toBeCloseTo(1.5, 6);
    const zeros = tensorOf("h", "float32", [2, 2], new Float32Array(4));
    expect(pooled({ pooling: "none", normalize: true }, [], [zeros])).toEqual([0, 0, 0, 0]);
  });

  it("reads float16", () => {
    const half = tensorOf("h", "float16", [2, 2], Uint16Array.of(0x3c00, 0x4000, 0xbc00, 0));
    expect(pooled({ pooling: "none" }, [], [half])).toEqual([1, 2, -1, 0]);
  });

  it.each([
    [{ output: "x" }, [mask], "expected an output x, got h"],
    [{ dimensions: 3 }, [mask], "h: expected [rows,tokens,3], got [2,3,2]"],
    [{ pooling: "none" as const }, [mask], "h: expected [rows,2], got [2,3,2]"],
    [{}, [{ ...mask, shape: [3, 2] }], "attention_mask: expected [2,3], got [3,2]"],
    [{}, [{ ...mask, data: new Uint8Array(48) }], "attention_mask: row 0 has no token"],
  ])("says what does not fit: %j", (more, inputs, message) => {
    expect(poolEmbedding(inputs, [hidden], facts(more))).toEqual({ ok: false, error: message });
  });
});
