import type { Kernel } from "../../models/work.ts";
import type { Pooling } from "../../shared/pooling.ts";
import type { Tensor } from "../../shared/tensor.ts";

/** Where a model lies. Sessions are kept by `key`, so equal keys must mean equal files. */
export interface ModelFiles {
  key: string;
  graphPath: string;
  /** Weights outside the graph: the path as the graph names it, and the file. */
  externalData?: { path: string; file: string }[];
  /** Of embedding models: a run's output is the pooled embedding alone. */
  embedding?: Pooling;
}

/** Hub to child; one at a time. */
export interface ChildRequest {
  kind: "run" | "trace";
  model: ModelFiles;
  inputs: Tensor[];
}

/** Child to hub: `started` when the model is loaded and the run begins, then one of the others. */
export type ChildReply =
  | { kind: "started" }
  | {
      kind: "done";
      outputs: Tensor[];
      runMs: number;
      /** Every kernel that ran; empty unless a trace was asked for. */
      kernels: Kernel[];
      /** The WebAssembly heap, which never shrinks, and what it had before the first model. */
      heapBytes: number;
      heapBytesAtStart: number;
      rssBytes: number;
    }
  | { kind: "failed"; message: string };
