import type { Manifest } from "../../models/manifest.ts";
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

  /**
   * Text models only. `inputs` and outputs: shared/text-generation.ts, `generate`. Its tokens also go to who listens, as they
   * come. Several generations at once share the model's runs.
   */
  generate(job: string, inputs: Tensor[]): Promise<Result<Ran, EngineFault>>;
  /** To the tokens of all generations (a Comlink proxy): a first one at once, then what is made in 50 ms in one call. */
  listen(onParts: (parts: GeneratedPart[]) => void): Promise<void>;
  /** Text models only: shared/text-generation.ts, `score`. */
  score(job: string, inputs: Tensor[]): Promise<Result<Ran, EngineFault>>;
  /** Ends a generation or a score between two tokens: it resolves with what it has (`run-failed` where that is nothing). */
  cancel(job: string): Promise<void>;
}

export interface GeneratedPart {
  job: string;
  /** Of the first one, counted from this job's start. */
  position: number;
  tokens: Int32Array;
  logProbabilities: Float32Array;
}

export interface LoadRequest {
  runtime: "webgpu" | "wasm";
  /** Take the software WebGPU adapter, which otherwise counts as none. */
  acceptSoftware: boolean;
  graph: Blob;
  /** External weights, by the path that the graph names them with. */
  weights: { path: string; data: Blob }[];
  /** Of text models: the manifest's section, and the tokenizer where a grammar needs the tokens' bytes. */
  text?: { facts: NonNullable<Manifest["text"]>; tokenizer: Blob | null };
  /** Of embedding models: what to do with the graph's output. */
  embedding?: NonNullable<Manifest["embedding"]>;
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
