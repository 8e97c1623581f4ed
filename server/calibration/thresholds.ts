import type { Comparator, Manifest } from "../../models/manifest.ts";
import { FAIL_RATIO } from "../../shared/tolerance.ts";
import { defaultComparator } from "../registry/defaults.ts";
import type { CalibrationRecord, ControlRun, Honest, Measures } from "./record.ts";
import { mergeSketches, quantile, type Sketch, shareAbove } from "./sketch.ts";
import { measuresOf } from "./tensors.ts";
import { POOL_TOKENS, prefillAttack } from "./text-runs.ts";

/**
 * From distributions to thresholds. τ_pass = 1.5 × the honest p99.9, τ_fail = 5 τ_pass, and a control must exceed 3 τ_fail by
 * at least one measure, else the model is refused.
 *
 * Devices that nobody has measured get the benefit of the doubt: until a hardware GPU is among the honest runs, a τ_pass
 * rises to the starting value of its kind, or as far as the controls still exceed 3 τ_fail, if that is less.
 */
const PASS_FACTOR = 1.5;
const CONTROL_FACTOR = 3;
/** Where every honest run gave the same bits: an error of one unit in the last place of a float32. */
const FLOOR = 2 ** -23;
/** A pool of 512 may have one token beyond τ_fail (1.02); with 6.64 expected, 99 % of pools have two or more. */
const TOKEN_SHARE = 6.64 / POOL_TOKENS;

export interface Outcome {
  comparator: Comparator;
  thresholds: CalibrationRecord["thresholds"];
  /** Controls that no measure tells apart, each as a sentence. */
  refusals: string[];
}

export function deriveThresholds(
  manifest: Pick<Manifest, "comparator" | "dtype">,
  honest: readonly Honest[],
  controls: readonly ControlRun[],
): Outcome {
  const isText = honest.some(({ of }) => of !== "tensors");
  const hardware = honest.some((run) => run.hardware);
  const thresholds: CalibrationRecord["thresholds"] = {};
  const textMeasures = isText ? ["mean", "token"] : [];
  for (const measure of [...measuresOf(manifest.comparator), ...textMeasures]) {
    // Of each pair of devices by itself: many equal bits of one pair must not hide the differences of another.
    const p999 = Math.max(0, ...sketchesOf(honest, measure).map((sketch) => quantile(sketch, 0.999)));
    const measured = Math.max(FLOOR, PASS_FACTOR * p999);
    const weakest = weakestControl(controls, measure, measured);
    const generous = Math.min(startingValue(manifest, measure), (weakest?.value ?? 0) / (CONTROL_FACTOR * FAIL_RATIO));
    const doubted = !hardware && generous > measured;
    const pass = round(doubted ? generous : measured, doubted ? Math.floor : Math.ceil);
    thresholds[measure] = {
      honestCount: pooled(honest, measure).count,
      honestP999: p999,
      pass,
      fail: Number((FAIL_RATIO * pass).toPrecision(3)),
      weakestControl: weakest,
      basis: doubted ? "benefit of the doubt" : "measured",
    };
  }
  const refusals = controls
    .filter(({ name, measures }) => name !== prefillAttack && !isToldApart(measures, thresholds))
    .map(({ name, of }) => `${name} (${of}) is not told apart from the model itself`);
  return { comparator: comparatorOf(manifest, thresholds, honest), thresholds, refusals };
}

const sketchesOf = (runs: readonly { measures: Measures }[], measure: string): Sketch[] =>
  runs.flatMap(({ measures }) => measures[measure] ?? []);
const pooled = (runs: readonly { measures: Measures }[], measure: string): Sketch =>
  mergeSketches(sketchesOf(runs, measure));

/** What nearly every check of a control exceeds: the first percentile of results, or enough tokens of a pool. */
function evidence(measure: string, sketch: Sketch): number {
  const edge = quantile(sketch, measure === "token" ? 1 - TOKEN_SHARE : 0.01);
  return edge / 2 ** (1 / 8); // the lower edge of its bin
}

const isToldApart = (measures: Measures, thresholds: CalibrationRecord["thresholds"]): boolean =>
  Object.entries(measures).some(([measure, sketch]) => {
    const limit = CONTROL_FACTOR * (thresholds[measure]?.fail ?? Number.POSITIVE_INFINITY);
    return measure === "token" ? shareAbove(sketch, limit) >= TOKEN_SHARE : evidence(measure, sketch) > limit;
  });

/** Among the controls that this measure tells apart at all. */
function weakestControl(
  controls: readonly ControlRun[],
  measure: string,
  pass: number,
): { name: string; value: number } | null {
  const visible = controls
    .flatMap(({ name, of, measures }) => {
      const sketch = measures[measure];
      return sketch && name !== prefillAttack ? [{ name: `${name} (${of})`, value: evidence(measure, sketch) }] : [];
    })
    .filter(({ value }) => value > CONTROL_FACTOR * FAIL_RATIO * pass);
  return visible.sort((a, b) => a.value - b.value)[0] ?? null;
}

/** ../shared/reference/verification.md section 5, by measure. */
function startingValue({ dtype }: Pick<Manifest, "dtype">, measure: string): number {
  const logits = { fp32: 1e-3, fp16: 0.05, int8: 0.1, q4: 0.1 }[dtype];
  const dense = defaultComparator(dtype) as Extract<Comparator, { kind: "dense" }>;
  const values: Record<string, number> = {
    scores: logits,
    token: logits,
    mean: logits,
    cosine: dtype === "fp32" ? 5e-4 : 5e-3,
    norm: 0.01,
    PSNR: 0.01,
    "relative L2": dense.relL2Pass,
    elements: dense.abs,
  };
  return values[measure] as number;
}

function comparatorOf(
  { comparator }: Pick<Manifest, "comparator">,
  thresholds: CalibrationRecord["thresholds"],
  honest: readonly Honest[],
): Comparator {
  const pass = (measure: string) => thresholds[measure]?.pass as number;
  const fail = (measure: string) => thresholds[measure]?.fail as number;
  const decibel = (error: number) => -20 * Math.log10(error);
  if (comparator.kind === "label") return { ...comparator, tau: pass("scores") };
  if (comparator.kind === "image") {
    return { ...comparator, psnrPass: decibel(pass("PSNR")), psnrFail: decibel(fail("PSNR")) };
  }
  if (comparator.kind === "embedding") {
    const [cosinePass, cosineFail] = [1 - pass("cosine"), 1 - fail("cosine")];
    return { ...comparator, cosinePass, cosineFail, normRelative: pass("norm") };
  }
  const dense = {
    relL2Pass: pass("relative L2"),
    relL2Fail: fail("relative L2"),
    abs: pass("elements"),
    rel: pass("elements"),
  };
  if (!thresholds.token) return { kind: "dense", ...dense };
  return {
    kind: "sampled-text",
    output: "logits",
    ...dense,
    tokens: POOL_TOKENS,
    meanPass: pass("mean"),
    meanFail: fail("mean"),
    tokenPass: pass("token"),
    tokenFail: fail("token"),
    greyShare: greyShareOf(pooled(honest, "token"), thresholds.token),
  };
}

/**
 * Tokens beyond τ_pass that 99.9 % of honest pools do not exceed; by the rule of three where none was seen. In doubt, as
 * many as a p99.9 leaves by its name.
 */
function greyShareOf(tokens: Sketch, { pass, basis }: CalibrationRecord["thresholds"][string]): number {
  const unseen = basis === "measured" ? 3 / Math.max(1, tokens.count) : 0.001;
  const rate = Math.max(shareAbove(tokens, pass), unseen);
  return poissonQuantile(rate * POOL_TOKENS, 0.999) / POOL_TOKENS;
}

function poissonQuantile(mean: number, q: number): number {
  let term = Math.exp(-mean);
  let sum = term;
  let count = 0;
  while (sum < q) {
    count += 1;
    term *= mean / count;
    sum += term;
  }
  return Math.max(1, count);
}

/** Two significant digits, to the side that keeps a promise. */
function round(value: number, direction: (value: number) => number): number {
  const unit = 10 ** (Math.floor(Math.log10(value)) - 1);
  return Number((direction(value / unit) * unit).toPrecision(2));
}
