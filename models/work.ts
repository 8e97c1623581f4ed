/**
 * Work of one task in FLOP (../shared/money.md, "Work"): multiply-adds of every kernel that ran, counted twice, and the
 * output elements of every other one. It is counted from a trace of the reference node's own run of the graph after
 * constant folding, so the shapes are the actual ones and the bodies of If, Loop and Scan count as often as they ran:
 * the branch that was not taken costs nothing, and the control-flow nodes themselves are free. Never from anything a
 * miner reports, nor from time.
 */
export interface Kernel {
  /** Name of the graph's node; fused nodes have names of their own. */
  node: string;
  op: string;
  /** Shapes in order, absent optional inputs left out. */
  inputs: number[][];
  outputs: number[][];
}

/** 10⁻⁶ GFLOP: no task is priced as less. */
export const WORK_MIN = 1000n;

export const atLeastMinimum = (work: bigint): bigint => larger(work, WORK_MIN);

/** @param equations of Einsum nodes by node name, see `OnnxGraph.equations` */
export function countWork(kernels: readonly Kernel[], equations: ReadonlyMap<string, string>): bigint {
  let work = 0n;
  for (const kernel of kernels) {
    const count = multiplyAdds[kernel.op] ?? (kernel.op === "Einsum" ? einsum(equations.get(kernel.node)) : undefined);
    const flop = count ? 2n * count(kernel) : controlFlow.has(kernel.op) ? 0n : outputElements(kernel);
    work += flop;
  }
  return work;
}

const controlFlow = new Set(["If", "Loop", "Scan"]);

const elements = (shape: readonly number[] | undefined): bigint =>
  (shape ?? []).reduce((product, size) => product * BigInt(size), 1n);
const outputElements = ({ outputs }: Kernel): bigint => outputs.reduce((sum, shape) => sum + elements(shape), 0n);
const result = ({ outputs }: Kernel): bigint => (outputs[0] ? elements(outputs[0]) : 0n);
const size = (value: number | undefined): bigint => BigInt(value ?? 1);

const larger = (a: bigint, b: bigint): bigint => (b > a ? b : a);

type Count = (kernel: Kernel) => bigint;

/** Y [N, M, ...] with a kernel W [M, C / group, ...] at position `weight`. */
const convolution =
  (weight: number): Count =>
  (kernel) =>
    result(kernel) * elements(kernel.inputs[weight]?.slice(1));

/** A [..., M, K] times B at position 1 or wherever: K is the last axis of A. */
const matrixProduct: Count = (kernel) => result(kernel) * size(kernel.inputs[0]?.at(-1));

/** Y [M, N] of A, transposed or not: K is what M leaves of A. */
const gemm: Count = (kernel) => {
  const rows = size(kernel.outputs[0]?.[0]);
  return rows === 0n ? 0n : (result(kernel) * elements(kernel.inputs[0])) / rows;
};

/** X [time, batch, I] with W [directions, gates · H, I] and R [directions, gates · H, H]. */
const recurrent: Count = ({ inputs: [x, w, r] }) => elements(x?.slice(0, -1)) * (elements(w) + elements(r));

/** Scores and weighted sum over `length` keys for each of the output's elements. */
const scoresAndSum = (kernel: Kernel, length: bigint): bigint => 2n * result(kernel) * length;

/**
 * Attention: keys are as long as the second output (the updated cache [batch, heads, length, width]) or, without one, as
 * the key input [batch, length, width] or [batch, heads, length, width]. The contrib operator of the same name also
 * projects its input [batch, length, D] by weights [D, 3 · D].
 */
const attention: Count = (kernel) => {
  const [query, key] = kernel.inputs;
  const projects = kernel.op === "Attention" && key?.length === 2;
  const cache = kernel.outputs[1];
  const length = cache && cache.length >= 4 ? cache.at(-2) : projects ? query?.[1] : key?.at(key.length === 4 ? 2 : 1);
  const projection = projects ? elements(query?.slice(0, -1)) * elements(key) : 0n;
  return projection + scoresAndSum(kernel, size(length));
};

/** Every index once: the product of the sizes of all labels. Equations with an ellipsis count by their largest tensor. */
function einsum(equation: string | undefined): Count {
  return (kernel) => {
    const terms = equation?.replaceAll(" ", "").split("->")[0]?.split(",") ?? [];
    const labels = new Map<string, number>();
    const known =
      terms.length === kernel.inputs.length &&
      terms.every((term, at) => /^[A-Za-z]*$/.test(term) && term.length === kernel.inputs[at]?.length);
    if (!known) return [...kernel.inputs, ...kernel.outputs].map(elements).reduce(larger, 0n);
    for (const [at, term] of terms.entries()) {
      for (const [axis, label] of [...term].entries()) {
        labels.set(label, Math.max(labels.get(label) ?? 1, kernel.inputs[at]?.[axis] ?? 1));
      }
    }
    return elements([...labels.values()]);
  };
}

const multiplyAdds: Readonly<Record<string, Count>> = {
  Conv: convolution(1),
  FusedConv: convolution(1),
  ConvInteger: convolution(1),
  DeformConv: convolution(1),
  QLinearConv: convolution(3),
  ConvTranspose: ({ inputs: [x, w] }) => elements(x) * elements(w?.slice(1)),
  MatMul: matrixProduct,
  FusedMatMul: matrixProduct,
  MatMulInteger: matrixProduct,
  MatMulIntegerToFloat: matrixProduct,
  DynamicQuantizeMatMul: matrixProduct,
  MatMulNBits: matrixProduct,
  QLinearMatMul: matrixProduct,
  Gemm: gemm,
  QGemm: gemm,
  LSTM: recurrent,
  DynamicQuantizeLSTM: recurrent,
  GRU: recurrent,
  RNN: recurrent,
  Attention: attention,
  MultiHeadAttention: attention,
  GroupQueryAttention: attention,
};
