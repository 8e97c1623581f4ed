import asyncifyMjs from "onnxruntime-web/ort-wasm-simd-threaded.asyncify.mjs?url";
import asyncifyWasm from "onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url";
import jspiMjs from "onnxruntime-web/ort-wasm-simd-threaded.jspi.mjs?url";
import jspiWasm from "onnxruntime-web/ort-wasm-simd-threaded.jspi.wasm?url";
import plainMjs from "onnxruntime-web/ort-wasm-simd-threaded.mjs?url";
import plainWasm from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import wrapperMjs from "./ort-module.mjs?url";

export type Ort = typeof import("onnxruntime-web/webgpu");

/**
 * The ONNX Runtime build for a runtime: WebGPU by JSPI where the browser has it (smaller and faster), else by asyncify;
 * WASM by the plain build, the one that the hub's reference node runs. Never the default import: it is the old JSEP one.
 */
export async function importOrt(runtime: "webgpu" | "wasm"): Promise<Ort> {
  const jspi = "Suspending" in WebAssembly;
  const [ort, wasm, mjs] =
    runtime === "wasm"
      ? [await import("onnxruntime-web/wasm"), plainWasm, plainMjs]
      : jspi
        ? [await import("onnxruntime-web/jspi"), jspiWasm, jspiMjs]
        : [await import("onnxruntime-web/webgpu"), asyncifyWasm, asyncifyMjs];
  // Without the .mjs, ONNX Runtime's threads would load this worker's own script.
  ort.env.wasm.wasmPaths = { wasm, mjs };
  // One thread: slots are the measure of how much of the processor may be used.
  ort.env.wasm.numThreads = 1;
  return ort;
}

/**
 * What the text engine uses of ONNX Runtime's Emscripten module: internal, so it is looked for (`keepsInternals`) and not
 * relied on. Pointers and handles are numbers; 0 is none, and of a returned code, success.
 */
export interface OrtModule {
  HEAPU8: Uint8Array<ArrayBufferLike>;
  _malloc(bytes: number): number;
  _free(pointer: number): void;
  _OrtCreateSession(data: number, bytes: number, options: number): number | Promise<number>;
  _OrtCreateTensor(type: number, data: number, bytes: number, dims: number, rank: number, location: number): number;
  _OrtGetTensorData(tensor: number, type: number, data: number, dims: number, rank: number): number;
  _OrtReleaseTensor(tensor: number): number;
  _OrtFree(pointer: number): number;
  _OrtCreateRunOptions(logLevel: number, verbosity: number, terminate: boolean, tag: number): number;
  _OrtGetLastError(code: number, message: number): number;
  _OrtRun(
    session: number,
    inputNames: number,
    inputs: number,
    inputCount: number,
    outputNames: number,
    outputCount: number,
    outputs: number,
    options: number,
  ): number | Promise<number>;
}

/** The plain WASM build, with a way to its module and to the handle of the session that was created last. */
export interface OpenedOrt {
  ort: Ort;
  /** Null before the first session, and where this version keeps its internals to itself. */
  module(): OrtModule | null;
  lastSession(): number;
}

export async function importOrtWithModule(): Promise<OpenedOrt> {
  const ort = await importOrt("wasm");
  let internals: OrtModule | null = null;
  let last = 0;
  const kept = (module: object) => {
    if (!keepsInternals(module)) return;
    const create = module._OrtCreateSession;
    module._OrtCreateSession = async (...parameters) => {
      last = await create(...parameters);
      return last;
    };
    internals = module;
  };
  Object.assign(globalThis, { tabgridOrtModule: { url: new URL(plainMjs, location.href).href, kept } });
  ort.env.wasm.wasmPaths = { wasm: plainWasm, mjs: wrapperMjs };
  return { ort, module: () => internals, lastSession: () => last };
}

const functions = [
  "_malloc",
  "_free",
  "_OrtCreateSession",
  "_OrtCreateTensor",
  "_OrtGetTensorData",
  "_OrtReleaseTensor",
  "_OrtFree",
  "_OrtCreateRunOptions",
  "_OrtGetLastError",
  "_OrtRun",
] as const satisfies (keyof OrtModule)[];

const keepsInternals = (module: object): module is OrtModule =>
  functions.every((name) => name in module && typeof module[name as never] === "function") &&
  "HEAPU8" in module &&
  "PTR_SIZE" in module &&
  module.PTR_SIZE === 4;
