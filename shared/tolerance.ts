import { unreachable } from "./result.ts";
import { type Tensor, toNumbers } from "./tensor.ts";

/**
 * When two results of one task are equal, per output kind (starting values and their basis:
 * ../shared/reference/verification.md section 5; calibration replaces them per model).
 *
 *   PASS  honest runs on different devices differ by no more than this
 *   GREY  between the two thresholds: a third run decides, nobody is blamed
 *   FAIL  no honest device does this: the reference node decides
 */
export type Agreement = "PASS" | "GREY" | "FAIL";

/** `distance` ≤ 1 passes and > `failRatio` of its kind fails; `what` says in words what was compared. */
export interface Comparison {
  agreement: Agreement;
  distance: number;
  what: string;
}

export type Tolerance =
  | { kind: "label"; output: string; tau: number }
  | { kind: "embedding"; output: string; cosinePass: number; cosineFail: number; normRelative: number }
  | { kind: "dense"; relL2Pass: number; relL2Fail: number; abs: number; rel: number }
  | { kind: "image"; output: string; peak: number; psnrPass: number; psnrFail: number };

/** A fail threshold is five pass thresholds where the tolerance does not state its own. */
const FAIL_RATIO = 5;
/** Share of elements of a dense tensor that may lie outside the element-wise bound. */
const OUTLIER_SHARE = 0.001;

const order: Record<Agreement, number> = { PASS: 0, GREY: 1, FAIL: 2 };
const worse = (a: Comparison, b: Comparison): Comparison => (order[b.agreement] > order[a.agreement] ? b : a);
const graded = (distance: number, what: string, failRatio = FAIL_RATIO): Comparison => ({
  agreement: distance <= 1 ? "PASS" : distance <= failRatio ? "GREY" : "FAIL",
  distance,
  what,
});

/**
 * Compares candidate `a` with `b` (the checker's or the reference's run of the same inputs). Tensors are matched by name;
 * another set of names, dtypes or shapes is a FAIL. The comparator's own output is graded by its kind and every other
 * output as a dense tensor, so that no output of a model goes unchecked.
 */
export function compareResults(tolerance: Tolerance, a: readonly Tensor[], b: readonly Tensor[]): Comparison {
  if (a.length !== b.length)
    return { agreement: "FAIL", distance: Number.POSITIVE_INFINITY, what: "number of outputs" };
  const others = new Map(b.map((tensor) => [tensor.name, tensor]));
  let result: Comparison = { agreement: "PASS", distance: 0, what: "equal" };
  for (const left of a) {
    const right = others.get(left.name);
    const alike = right && right.dtype === left.dtype && right.shape.join() === left.shape.join();
    if (!alike) return { agreement: "FAIL", distance: Number.POSITIVE_INFINITY, what: `${left.name}: dtype or shape` };
    if (sameBytes(left.data, right.data)) continue;
    result = worse(result, compareTensor(tolerance, left, right));
  }
  return result;
}

function compareTensor(tolerance: Tolerance, left: Tensor, right: Tensor): Comparison {
  const a = toNumbers(left);
  const b = toNumbers(right);
  const named = tolerance.kind !== "dense" && tolerance.output === left.name;
  if (!named) return compareDense(left.name, tolerance.kind === "dense" ? tolerance : denseDefault, a, b);
  switch (tolerance.kind) {
    case "label":
      return compareLabels(left, tolerance.tau, a, b);
    case "embedding":
      return compareEmbeddings(left, tolerance, a, b);
    case "image":
      return compareImages(left.name, tolerance, a, b);
    default:
      return unreachable(tolerance);
  }
}

/** Bounds of ONNX Runtime's own fp32 checks across devices (`js/web/test/test-runner.ts`). */
const denseDefault: Extract<Tolerance, { kind: "dense" }> = {
  kind: "dense",
  relL2Pass: 1e-4,
  relL2Fail: 5e-4,
  abs: 1e-3,
  rel: 1e-3,
};

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.byteLength !== b.byteLength) return false;
  for (let i = 0; i < a.byteLength; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Rows of scores along the last axis: the same winner, and scores within τ of each other's scale. */
function compareLabels(tensor: Tensor, tau: number, a: Float64Array, b: Float64Array): Comparison {
  const width = tensor.shape.at(-1) ?? 1;
  let result: Comparison = { agreement: "PASS", distance: 0, what: `${tensor.name}: scores` };
  for (let start = 0; start < a.length; start += width) {
    const rowA = a.subarray(start, start + width);
    const rowB = b.subarray(start, start + width);
    let scale = 1;
    let difference = 0;
    for (let i = 0; i < width; i++) {
      const delta = Math.abs((rowA[i] as number) - (rowB[i] as number));
      if (Number.isNaN(delta) && !(Number.isNaN(rowA[i] as number) && Number.isNaN(rowB[i] as number))) {
        return { agreement: "FAIL", distance: Number.POSITIVE_INFINITY, what: `${tensor.name}: not a number` };
      }
      if (delta > difference) difference = delta;
      scale = Math.max(scale, Math.abs(rowB[i] as number));
    }
    result = worse(result, graded(difference / (tau * scale), `${tensor.name}: scores`));
    const topA = indexOfMax(rowA);
    const topB = indexOfMax(rowB);
    if (topA !== topB) {
      const gap = Math.max(
        (rowA[topA] as number) - (rowA[topB] as number),
        (rowB[topB] as number) - (rowB[topA] as number),
      );
      result = worse(result, graded(gap / (2 * tau * scale), `${tensor.name}: other top-1`, FAIL_RATIO / 2));
    }
  }
  return result;
}

function indexOfMax(values: Float64Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if ((values[i] as number) > (values[best] as number)) best = i;
  return best;
}

function compareEmbeddings(
  tensor: Tensor,
  tolerance: Extract<Tolerance, { kind: "embedding" }>,
  a: Float64Array,
  b: Float64Array,
): Comparison {
  const width = tensor.shape.at(-1) ?? 1;
  let result: Comparison = { agreement: "PASS", distance: 0, what: `${tensor.name}: cosine` };
  for (let start = 0; start < a.length; start += width) {
    let dot = 0;
    let squareA = 0;
    let squareB = 0;
    for (let i = start; i < start + width; i++) {
      dot += (a[i] as number) * (b[i] as number);
      squareA += (a[i] as number) ** 2;
      squareB += (b[i] as number) ** 2;
    }
    const cosine = dot / (Math.sqrt(squareA * squareB) || 1);
    const norm = Math.abs(Math.sqrt(squareA / (squareB || 1)) - 1);
    const agreement =
      cosine >= tolerance.cosinePass && norm <= tolerance.normRelative
        ? "PASS"
        : cosine >= tolerance.cosineFail && norm <= FAIL_RATIO * tolerance.normRelative
          ? "GREY"
          : "FAIL"; // also for a cosine that is not a number
    result = worse(result, {
      agreement,
      distance: (1 - cosine) / (1 - tolerance.cosinePass),
      what: `${tensor.name}: cosine`,
    });
  }
  return result;
}

function compareDense(
  name: string,
  tolerance: Extract<Tolerance, { kind: "dense" }>,
  a: Float64Array,
  b: Float64Array,
): Comparison {
  let squareDifference = 0;
  let square = 0;
  let outside = 0;
  let farOutside = 0;
  for (let i = 0; i < a.length; i++) {
    const x = a[i] as number;
    const y = b[i] as number;
    if (Object.is(x, y) || x === y) {
      if (Number.isFinite(y)) square += y * y;
      continue;
    }
    if (!Number.isFinite(x) || !Number.isFinite(y)) {
      return { agreement: "FAIL", distance: Number.POSITIVE_INFINITY, what: `${name}: not finite` };
    }
    const delta = Math.abs(x - y);
    const bound = tolerance.abs + tolerance.rel * Math.abs(y);
    if (delta > bound) outside++;
    if (delta > FAIL_RATIO * bound) farOutside++;
    squareDifference += delta * delta;
    square += y * y;
  }
  // A tensor of (nearly) zeros has no scale of its own: the absolute bound serves as one.
  const scale = Math.max(Math.sqrt(square), tolerance.abs * Math.sqrt(a.length));
  const relL2 = Math.sqrt(squareDifference) / (scale || 1);
  const allowed = Math.floor(a.length * OUTLIER_SHARE);
  const byElements: Comparison = {
    agreement: outside <= allowed ? "PASS" : farOutside <= allowed ? "GREY" : "FAIL",
    distance: outside / Math.max(1, allowed),
    what: `${name}: elements`,
  };
  return worse(
    graded(relL2 / tolerance.relL2Pass, `${name}: relative L2`, tolerance.relL2Fail / tolerance.relL2Pass),
    byElements,
  );
}

function compareImages(
  name: string,
  tolerance: Extract<Tolerance, { kind: "image" }>,
  a: Float64Array,
  b: Float64Array,
): Comparison {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += ((a[i] as number) - (b[i] as number)) ** 2;
  const psnr = 10 * Math.log10(tolerance.peak ** 2 / (sum / Math.max(1, a.length)));
  const agreement = psnr >= tolerance.psnrPass ? "PASS" : psnr >= tolerance.psnrFail ? "GREY" : "FAIL";
  return { agreement, distance: tolerance.psnrPass / Math.max(psnr, 1e-9), what: `${name}: PSNR` };
}
