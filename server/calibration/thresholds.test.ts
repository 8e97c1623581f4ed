import { describe, expect, it } from "vitest";
import type { Comparator } from "../../models/manifest.ts";
import type { ControlRun, Honest } from "./record.ts";
import { addTo, emptySketch } from "./sketch.ts";
import { deriveThresholds } from "./thresholds.ts";

const label: Comparator = { kind: "label", output: "y", tau: 1 };
const sketchOf = (values: readonly number[]) => {
  const sketch = emptySketch();
  for (const value of values) addTo(sketch, value);
  return sketch;
};
const honest = (hardware: boolean, ...values: number[]): Honest => ({
  maker: "a",
  checker: "b",
  hardware,
  of: "tensors",
  pairs: values.length,
  measures: { scores: sketchOf(values) },
});
const control = (name: string, ...values: number[]): ControlRun => ({
  name,
  of: "tensors",
  pairs: values.length,
  measures: { scores: sketchOf(values) },
});
const derive = (runs: Honest[], controls: ControlRun[]) =>
  deriveThresholds({ comparator: label, dtype: "fp32" }, runs, controls);
const tauOf = ({ comparator }: { comparator: Comparator }) => (comparator.kind === "label" ? comparator.tau : null);
const near = (value: number | null, expected: number) => {
  expect(value).toBeGreaterThan(expected * 0.98);
  expect(value).toBeLessThan(expected * 1.15); // a bin of the sketch and two digits
};

describe("deriveThresholds", () => {
  it("takes 1.5 × the honest p99.9 once a hardware GPU was measured", () => {
    const found = derive([honest(true, ...Array.from({ length: 999 }, () => 1e-6), 5e-6)], [control("q4", 1e-2)]);
    near(tauOf(found), 1.5e-6);
    expect(found.thresholds.scores).toMatchObject({ basis: "measured", fail: 5 * (tauOf(found) as number) });
    expect(found.refusals).toEqual([]);
  });

  it("lets no pair of devices hide another one's differences", () => {
    const equal = { ...honest(true, ...Array.from({ length: 5000 }, () => 0)), maker: "c" };
    near(tauOf(derive([equal, honest(true, 4e-6)], [control("q4", 1e-2)])), 6e-6);
  });

  it("gives unmeasured hardware the starting value, as far as the controls are still told apart", () => {
    expect(tauOf(derive([honest(false, 1e-7)], [control("q4", 0.5)]))).toBe(1e-3);
    const tight = tauOf(derive([honest(false, 1e-7)], [control("q4", 0.5), control("int8", 1.5e-3)])) as number;
    expect(15 * tight).toBeLessThan(1.5e-3);
    expect(15 * tight).toBeGreaterThan(1.5e-3 * 0.8);
  });

  it("refuses a model of which a control is not beyond 3 τ_fail", () => {
    const found = derive([honest(true, 1e-4)], [control("q4", 0.5), control("int8", 1e-3)]);
    expect(found.refusals).toEqual(["int8 (tensors) is not told apart from the model itself"]);
    expect(derive([honest(false, 1e-4)], [control("int8", 1e-3)]).refusals).toHaveLength(1);
  });

  it("looks at nearly every check of a control, not at its average", () => {
    const mostly = Array.from({ length: 95 }, () => 0.5);
    const found = derive([honest(true, 1e-5)], [control("int8", ...mostly, 0, 0, 0, 0, 0)]);
    expect(found.refusals).toHaveLength(1);
  });

  it("never gives a threshold of nothing where all bits are equal", () => {
    expect(tauOf(derive([honest(true, 0, 0, 0)], [control("int8", 0.1)]))).toBeGreaterThan(1e-7);
  });
});
