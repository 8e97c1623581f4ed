import asyncifyMjs from "onnxruntime-web/ort-wasm-simd-threaded.asyncify.mjs?url";
import asyncifyWasm from "onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url";
import jspiMjs from "onnxruntime-web/ort-wasm-simd-threaded.jspi.mjs?url";
import jspiWasm from "onnxruntime-web/ort-wasm-simd-threaded.jspi.wasm?url";
import plainMjs from "onnxruntime-web/ort-wasm-simd-threaded.mjs?url";
import plainWasm from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";

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
