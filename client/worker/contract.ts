import type { MinerFault } from "../../shared/protocol.ts";
import type { Result } from "../../shared/result.ts";
import type { Tensor } from "../../shared/tensor.ts";

/** What an inference worker offers over Comlink. One worker holds one model; ending it is how its memory comes back. */
export interface InferenceRemote {
  load(request: LoadRequest): Promise<Result<Loaded, EngineFault>>;
  /**
   * Runs each item and answers in their order. Up to `rowsTogether` rows of items whose tensors differ only in axis 0 are
   * stacked into one run; 1 never stacks.
   */
  run(items: Tensor[][], rowsTogether: number): Promise<Result<Ran, EngineFault>[]>;
}

export interface LoadRequest {
  runtime: "webgpu" | "wasm";
  /** Take the software WebGPU adapter, which otherwise counts as none. */
  acceptSoftware: boolean;
  graph: Blob;
  /** External weights, by the path that the graph names them with. */
  weights: { path: string; data: Blob }[];
}

export interface Loaded {
  loadMs: number;
}

export interface Ran {
  outputs: Tensor[];
  /** This item's share of its run. */
  computeMs: number;
  /** Outputs with NaN or an infinity, and those of which all elements are equal: signs of a sick device. */
  nonFinite: string[];
  constant: string[];
}

export interface EngineFault {
  fault: MinerFault;
  message: string;
  /** The worker is of no more use and must be replaced. */
  fatal: boolean;
}
