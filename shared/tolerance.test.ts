import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Tensor, tensorOf } from "./tensor.ts";
import { compareResults, type Tolerance } from "./tolerance.ts";

const row = (...values: number[]): Tensor[] => [
  tensorOf("y", "float32", [1, values.length], Float32Array.from(values)),
];
const label: Tolerance = { kind: "label", output: "y", tau: 1e-3 };
const dense: Tolerance = { kind: "dense", relL2Pass: 1e-4, relL2Fail: 5e-4, abs: 1e-3, rel: 1e-3 };
const embedding: Tolerance = {
  kind: "embedding",
  output: "y",
  cosinePass: 0.9995,
  cosineFail: 0.99,
  normRelative: 0.01,
};
const image: Tolerance = { kind: "image", output: "y", peak: 1, psnrPass: 40, psnrFail: 30 };
const grade = (tolerance: Tolerance, a: Tensor[], b: Tensor[]) => compareResults(tolerance, a, b).agreement;

describe("compareResults", () => {
  it("passes equal bytes of any kind, NaN included", () => {
    for (const tolerance of [label, dense, embedding, image]) {
      expect(grade(tolerance, row(1, Number.NaN, 3), row(1, Number.NaN, 3))).toBe("PASS");
    }
  });

  it("fails other names, shapes, dtypes and numbers of outputs", () => {
    expect(grade(dense, row(1, 2), row(1, 2, 3))).toBe("FAIL");
    expect(grade(dense, row(1), [tensorOf("z", "float32", [1, 1], Float32Array.of(1))])).toBe("FAIL");
    expect(grade(dense, row(1), [tensorOf("y", "float64", [1, 1], Float64Array.of(1))])).toBe("FAIL");
    expect(grade(dense, row(1), [])).toBe("FAIL");
  });

  it("labels: noise passes, a swapped tie is at most grey, another winner fails, moved scores fail", () => {
    expect(grade(label, row(5, 1, 0), row(5.0001, 1, 0))).toBe("PASS");
    expect(grade(label, row(5, 5.0001, 0), row(5.0001, 5, 0))).toBe("PASS");
    expect(grade(label, row(5, 5.009, 0), row(5.009, 5, 0))).not.toBe("FAIL");
    expect(grade(label, row(5, 1, 0), row(1, 5, 0))).toBe("FAIL");
    expect(grade(label, row(6, 1, 0), row(5, 1, 0))).toBe("FAIL");
    expect(grade(label, row(5.02, 1, 0), row(5, 1, 0))).toBe("GREY");
    expect(grade(label, row(Number.NaN, 1, 0), row(5, 1, 0))).toBe("FAIL");
  });

  it("labels: each row of a batch counts", () => {
    const two = (a: number, b: number) => [tensorOf("y", "float32", [2, 2], Float32Array.of(9, 1, a, b))];
    expect(grade(label, two(3, 1), two(1, 3))).toBe("FAIL");
  });

  it("dense: by relative L2 and by elements, with an absolute floor near zero", () => {
    expect(grade(dense, row(1, 2, 3), row(1.00001, 2, 3))).toBe("PASS");
    expect(grade(dense, row(1, 2, 3), row(1.001, 2, 3))).toBe("GREY");
    expect(grade(dense, row(1, 2, 3), row(1.1, 2, 3))).toBe("FAIL");
    expect(grade(dense, row(0, 0, 0), row(1e-8, 0, 0))).toBe("PASS");
    expect(grade(dense, row(1, Number.POSITIVE_INFINITY), row(1, 5))).toBe("FAIL");
    expect(grade(dense, row(1, Number.NaN), row(1, 5))).toBe("FAIL");
  });

  it("dense: outputs that the comparator does not name are compared too", () => {
    const both = (extra: number) => [...row(5, 1), tensorOf("z", "float32", [1], Float32Array.of(extra))];
    expect(grade(label, both(1), both(1))).toBe("PASS");
    expect(grade(label, both(1), both(2))).toBe("FAIL");
  });

  it("embeddings: direction and norm", () => {
    expect(grade(embedding, row(1, 2, 3), row(1.001, 2, 3))).toBe("PASS");
    expect(grade(embedding, row(1, 2, 3), row(2, 4, 6))).toBe("FAIL");
    expect(grade(embedding, row(1, 2, 3), row(3, 2, 1))).toBe("FAIL");
    expect(grade(embedding, row(1, 2, 3), row(Number.NaN, 2, 3))).toBe("FAIL");
  });

  it("images: by PSNR, not-a-number fails", () => {
    expect(grade(image, row(0.5, 0.5), row(0.501, 0.5))).toBe("PASS");
    expect(grade(image, row(0.5, 0.5), row(0.52, 0.5))).toBe("GREY");
    expect(grade(image, row(0.5, 0.5), row(0.9, 0.5))).toBe("FAIL");
    expect(grade(image, row(Number.NaN, 0.5), row(0.5, 0.5))).toBe("FAIL");
  });

  it("grading is symmetric for small noise and monotone in its size", () => {
    const values = fc.array(fc.float({ min: -100, max: 100, noNaN: true }), { minLength: 2, maxLength: 40 });
    const order = { PASS: 0, GREY: 1, FAIL: 2 };
    fc.assert(
      fc.property(values, fc.double({ min: 1e-7, max: 0.5, noNaN: true }), (list, noise) => {
        const scaled = (by: number) => row(...list.map((value) => value * (1 + by)));
        for (const tolerance of [dense, label]) {
          const small = order[grade(tolerance, scaled(noise / 4), row(...list))];
          expect(small).toBeLessThanOrEqual(order[grade(tolerance, scaled(noise), row(...list))]);
        }
      }),
    );
  });
});
