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
  /** Of a text model. */
  text?: Omit<TextFacts, "most">;
}

/** What the loop over a decoder graph must know of it. */
export interface TextFacts {
  contextLength: number;
  vocabulary: number;
  /** For texts that are held to a grammar. */
  tokenizerPath: string | null;
  /** Of the graph, but for the caches. */
  inputs: string[];
  /** Inputs `past_key_values.*`, [1, heads, tokens, width]. */
  caches: { name: string; dtype: "float32" | "float16"; heads: number; width: number }[];
  /** Tokens that one `generate` may draw; the next goes on with them as its prefix. */
  most: number;
}

/** Hub to child; one at a time. */
export interface ChildRequest {
  kind: "run" | "trace" | "generate" | "score";
  model: ModelFiles;
  inputs: Tensor[];
  /** Of `generate`. */
  most?: number;
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
