import type { InferenceSession } from "onnxruntime-web/webgpu";
import { err, ok, type Result } from "../../shared/result.ts";
import type { EngineFault, LoadRequest } from "./contract.ts";
import { findAdapter, openDevice } from "./gpu.ts";
import { importOrt, importOrtWithModule, type Ort, type OrtModule } from "./ort-build.ts";

/**
 * What the GPU said outside of any call. A lost device may let a run end in zeros, and an error of the queue is reported to
 * nobody: a run counts only if neither happened since it began. `epoch` counts both.
 */
export interface Health {
  epoch: number;
  lost: string | null;
  error: string | null;
}

/** A model that is loaded, and what it stands on. */
export interface OpenSession {
  ort: Ort;
  session: InferenceSession;
  health: Health;
  device: GPUDevice | null;
  /** Of WASM, where its internals can be reached: the runtime's module and the session's handle in it. */
  internals: { module: OrtModule; session: number } | null;
  /** Another session of the same runtime. */
  another(graph: Uint8Array, options?: InferenceSession.SessionOptions): Promise<OpenSession>;
}

export async function openSession(
  request: LoadRequest,
  graph: Uint8Array,
  options: InferenceSession.SessionOptions = {},
): Promise<Result<OpenSession, EngineFault>> {
  const health: Health = { epoch: 0, lost: null, error: null };
  try {
    const opened = request.runtime === "wasm" ? await importOrtWithModule() : null;
    const ort = opened?.ort ?? (await importOrt(request.runtime));
    let device: GPUDevice | null = null;
    if (request.runtime === "webgpu") {
      const adapter = await findAdapter(request.acceptSoftware);
      if (!adapter.ok) return err({ fault: "load-failed", message: adapter.error, fatal: true });
      device = await openDevice(adapter.value);
      watch(device, health);
    }
    const externalData = await Promise.all(
      request.weights.map(async ({ path, data }) => ({ path, data: new Uint8Array(await data.arrayBuffer()) })),
    );
    const open = async (bytes: Uint8Array, more: InferenceSession.SessionOptions = {}): Promise<OpenSession> => {
      const session = await ort.InferenceSession.create(bytes, {
        executionProviders: [device ? { name: "webgpu", device } : { name: "wasm" }],
        externalData,
        logSeverityLevel: 3,
        ...more,
      });
      const module = opened?.module();
      const internals = module ? { module, session: opened?.lastSession() as number } : null;
      return { ort, session, health, device, internals, another: open };
    };
    const first = await open(graph, options);
    return health.epoch > 0 ? err(faultOf(null, health, "load-failed")) : ok(first);
  } catch (error) {
    return err(faultOf(error, health, "load-failed"));
  }
}

function watch(device: GPUDevice, health: Health): void {
  void device.lost.then(({ message }) => {
    health.epoch += 1;
    health.lost = message || "the GPU device was lost";
  });
  device.onuncapturederror = ({ error }) => {
    health.epoch += 1;
    health.error = `${error.constructor.name}: ${error.message}`;
  };
}

/** ONNX Runtime throws texts; these are the ones of 1.30. */
export function faultOf(error: unknown, health: Health, otherwise: "load-failed" | "run-failed"): EngineFault {
  if (health.lost) return { fault: "device-lost", message: health.lost.slice(0, 500), fatal: true };
  const message = (health.error ?? (error instanceof Error ? error.message : String(error))).slice(0, 500);
  health.error = null;
  if (/out of memory|OutOfMemory|bad_alloc|could not allocate|Array buffer allocation failed/i.test(message)) {
    return { fault: "out-of-memory", message, fatal: true };
  }
  const dead = error instanceof WebAssembly.RuntimeError || /Aborted\(/.test(message);
  if (
    otherwise === "run-failed" &&
    !dead &&
    /INVALID_ARGUMENT|Got invalid dimensions|is missing in 'feeds'/.test(message)
  ) {
    return { fault: "invalid-input", message, fatal: false };
  }
  return { fault: otherwise, message, fatal: dead || otherwise === "load-failed" };
}
