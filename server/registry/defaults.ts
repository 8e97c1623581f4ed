import type { Comparator, Manifest } from "../../models/manifest.ts";
import type { OnnxGraph } from "../../models/onnx.ts";

/** Element type that a model mostly computes in. */
export function weightType({ operators, weightElements }: OnnxGraph): Manifest["dtype"] {
  const uses = (...names: string[]) => names.some((name) => [...operators].some((op) => op.endsWith(name)));
  if (uses("MatMulNBits", "GatherBlockQuantized")) return "q4";
  if (uses("MatMulInteger", "ConvInteger", "QLinearConv", "QLinearMatMul", "DequantizeLinear")) return "int8";
  return (weightElements.get(10) ?? 0) > (weightElements.get(1) ?? 0) ? "fp16" : "fp32";
}

/** Starting values of ../shared/reference/verification.md section 5; calibration replaces them. */
export function defaultComparator(dtype: Manifest["dtype"]): Comparator {
  const dense = (relL2Pass: number, abs: number, rel: number): Comparator => ({
    kind: "dense",
    relL2Pass,
    relL2Fail: 5 * relL2Pass,
    abs,
    rel,
  });
  if (dtype === "fp32") return dense(1e-4, 1e-3, 1e-3);
  return dtype === "fp16" ? dense(1e-2, 2.5e-3, 1e-2) : dense(2e-2, 1e-2, 2e-2);
}
