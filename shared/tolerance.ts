import { unreachable } from "./result.ts";
import { kthLargest } from "./selection.ts";
import { type Tensor, toNumbers } from "./tensor.ts";
import type { TextTolerance } from "./text-agreement.ts";

/**
 * When two results of one task are equal, per output kind (starting values and their basis:
 * ../shared/reference/verification.md section 5; calibration replaces them per model).
 *
 *   PASS  honest runs on different devices differ by no more than this
 *   GREY  between the two thresholds: a third run decides, nobody is blamed
 *   FAIL  no honest device does this: the reference node decides
 */
export type Agreement = "PASS" | "GREY" | "FAIL";

/** `distance` ≤ 1 passes and beyond the fail ratio of its measure fails; `what` says in words what was compared. */
export interface Comparison {
  agreement: Agreement;
  distance: number;
  what: string;
}

interface DenseTolerance {
  kind: "dense";
  relL2Pass: number;
  relL2Fail: number;
  abs: number;
  rel: number;
}

export type Tolerance =
  | { kind: "label"; output: string; tau: number }
  | { kind: "embedding"; output: string; cosinePass: number; cosineFail: number; normRelative: number }
  | DenseTolerance
  | { kind: "image"; output: string; peak: number; psnrPass: number; psnrFail: number }
  /** Raw outputs as numbers; whole texts by `compareText`. */
  | (Omit<DenseTolerance, "kind"> & { output: string } & TextTolerance);

/** How far two results are apart by one measure of the comparator's, in units of what passes. */
export interface Distance {
  measure: "equality" | "scores" | "top-1" | "cosine" | "norm" | "relative L2" | "elements" | "PSNR";
  output: string;
  value: number;
  failRatio: number;
}

/** A fail threshold is five pass thresholds where the tolerance does not state its own. */
export const FAIL_RATIO = 5;
/** Share of elements of a dense tensor that may lie outside the element-wise bound. */
const OUTLIER_SHARE = 0.001;

const order: Record<Agreement, number> = { PASS: 0, GREY: 1, FAIL: 2 };

/** A value that is not a number fails. */
function graded({ measure, output, value, failRatio }: Distance): Comparison {
  const agreement = value <= 1 ? "PASS" : value <= failRatio ? "GREY" : "FAIL";
  return { agreement, distance: value, what: `${output}: ${measure}` };
}

/**
 * Compares candidate `a` with `b` (the checker's or the reference's run of the same inputs). Tensors are matched by name;
 * another set of names, dtypes or shapes is a FAIL. The comparator's own output is graded by its kind and every other
 * output as a dense tensor, so that no output of a model goes unchecked.
 */
export function compareResults(tolerance: Tolerance, a: readonly Tensor[], b: readonly Tensor[]): Comparison {
  let worst: Comparison = { agreement: "PASS", distance: 0, what: "equal" };
  for (const distance of distancesOf(tolerance, a, b)) {
    const found = graded(distance);
    const isWorse =
      order[found.agreement] > order[worst.agreement] ||
      (found.agreement === worst.agreement && found.distance > worst.distance);
    if (isWorse) worst = found;
  }
  return worst;
}

/** What `compareResults` grades: nothing for outputs of equal bytes, else every measure of every output. */
export function distancesOf(tolerance: Tolerance, a: readonly Tensor[], b: readonly Tensor[]): Distance[] {
  if (a.length !== b.length) return [unequal("number of outputs")];
  const others = new Map(b.map((tensor) => [tensor.name, tensor]));
  const distances: Distance[] = [];
  for (const left of a) {
    const right = others.get(left.name);
    const alike = right && right.dtype === left.dtype && right.shape.join() === left.shape.join();
    if (!alike) return [unequal(left.name)];
    if (!sameBytes(left.data, right.data)) distances.push(...tensorDistances(tolerance, left, right));
  }
  return distances;
}

/** Of names, dtypes, shapes or non-finite values: no measure applies. */
const unequal = (output: string): Distance => ({
  measure: "equality",
  output,
  value: Number.POSITIVE_INFINITY,
  failRatio: 1,
});

function tensorDistances(tolerance: Tolerance, left: Tensor, right: Tensor): Distance[] {
  const a = toNumbers(left);
  const b = toNumbers(right);
  if (tolerance.kind === "dense" || tolerance.kind === "sampled-text")
    return denseDistances(left.name, tolerance, a, b);
  if (tolerance.output !== left.name) return denseDistances(left.name, denseDefault, a, b);
  switch (tolerance.kind) {
    case "label":
      return labelDistances(left, tolerance.tau, a, b);
    case "embedding":
      return embeddingDistances(left, tolerance, a, b);
    case "image":
      return [imageDistance(left.name, tolerance, a, b)];
    default:
      return unreachable(tolerance);
  }
}

/** Bounds of ONNX Runtime's own fp32 checks across devices (`js/web/test/test-runner.ts`). */
const denseDefault: DenseTolerance = { kind: "dense", relL2Pass: 1e-4, relL2Fail: 5e-4, abs: 1e-3, rel: 1e-3 };

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.byteLength !== b.byteLength) return false;
  for (let i = 0; i < a.byteLength; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Rows of scores along the last axis: the same winner, and scores within τ of each other's scale. */
function labelDistances(tensor: Tensor, tau: number, a: Float64Array, b: Float64Array): Distance[] {
  const width = tensor.shape.at(-1) ?? 1;
  let scores = 0;
  let top = 0;
  for (let start = 0; start < a.length; start += width) {
    const rowA = a.subarray(start, start + width);
    const rowB = b.subarray(start, start + width);
    let scale = 1;
    let difference = 0;
    for (let i = 0; i < width; i++) {
      const delta = Math.abs((rowA[i] as number) - (rowB[i] as number));
      if (Number.isNaN(delta) && !(Number.isNaN(rowA[i] as number) && Number.isNaN(rowB[i] as number)))
        return [unequal(tensor.name)];
      if (delta > difference) difference = delta;
      scale = Math.max(scale, Math.abs(rowB[i] as number));
    }
    scores = Math.max(scores, difference / (tau * scale));
    const topA = indexOfMax(rowA);
    const topB = indexOfMax(rowB);
    if (topA !== topB) {
      const gapA = (rowA[topA] as number) - (rowA[topB] as number);
      const gapB = (rowB[topB] as number) - (rowB[topA] as number);
      top = Math.max(top, gapA / (2 * tau * scale), gapB / (2 * tau * scale));
    }
  }
  const output = tensor.name;
  return [
    { measure: "scores", output, value: scores, failRatio: FAIL_RATIO },
    { measure: "top-1", output, value: top, failRatio: FAIL_RATIO / 2 },
  ];
}

function indexOfMax(values: Float64Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if ((values[i] as number) > (values[best] as number)) best = i;
  return best;
}

function embeddingDistances(
  tensor: Tensor,
  tolerance: Extract<Tolerance, { kind: "embedding" }>,
  a: Float64Array,
  b: Float64Array,
): Distance[] {
  const width = tensor.shape.at(-1) ?? 1;
  let angle = 0;
  let stretch = 0;
  for (let start = 0; start < a.length; start += width) {
    let dot = 0;
    let squareA = 0;
    let squareB = 0;
    for (let i = start; i < start + width; i++) {
      dot += (a[i] as number) * (b[i] as number);
      squareA += (a[i] as number) ** 2;
      squareB += (b[i] as number) ** 2;
    }
    // Math.max hands a cosine that is not a number on, which then fails.
    angle = Math.max(angle, 1 - dot / (Math.sqrt(squareA * squareB) || 1));
    stretch = Math.max(stretch, Math.abs(Math.sqrt(squareA / (squareB || 1)) - 1));
  }
  const { cosinePass, cosineFail, normRelative } = tolerance;
  const output = tensor.name;
  const failRatio = (1 - cosineFail) / (1 - cosinePass);
  return [
    { measure: "cosine", output, value: angle / (1 - cosinePass), failRatio },
    { measure: "norm", output, value: stretch / normRelative, failRatio: FAIL_RATIO },
  ];
}

function denseDistances(
  output: string,
  tolerance: Omit<DenseTolerance, "kind">,
  a: Float64Array,
  b: Float64Array,
): Distance[] {
  const ratios = new Float64Array(a.length);
  let squareDifference = 0;
  let square = 0;
  for (let i = 0; i < a.length; i++) {
    const x = a[i] as number;
    const y = b[i] as number;
    if (Object.is(x, y) || x === y) {
      if (Number.isFinite(y)) square += y * y;
      continue;
    }
    if (!Number.isFinite(x) || !Number.isFinite(y)) return [unequal(output)];
    const delta = Math.abs(x - y);
    ratios[i] = delta / (tolerance.abs + tolerance.rel * Math.abs(y));
    squareDifference += delta * delta;
    square += y * y;
  }
  // A tensor of (nearly) zeros has no scale of its own: the absolute bound serves as one.
  const scale = Math.max(Math.sqrt(square), tolerance.abs * Math.sqrt(a.length));
  const relL2 = Math.sqrt(squareDifference) / (scale || 1);
  const { relL2Pass, relL2Fail } = tolerance;
  const farthest = kthLargest(ratios, Math.floor(a.length * OUTLIER_SHARE) + 1);
  return [
    { measure: "relative L2", output, value: relL2 / relL2Pass, failRatio: relL2Fail / relL2Pass },
    { measure: "elements", output, value: farthest, failRatio: FAIL_RATIO },
  ];
}

/** As ratio of the root mean square error to the one of `psnrPass`. */
function imageDistance(
  output: string,
  { peak, psnrPass, psnrFail }: Extract<Tolerance, { kind: "image" }>,
  a: Float64Array,
  b: Float64Array,
): Distance {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += ((a[i] as number) - (b[i] as number)) ** 2;
  const error = Math.sqrt(sum / Math.max(1, a.length)) / peak;
  return {
    measure: "PSNR",
    output,
    value: error * 10 ** (psnrPass / 20),
    failRatio: 10 ** ((psnrPass - psnrFail) / 20),
  };
}
