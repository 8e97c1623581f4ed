import { err, ok, type Result } from "../../shared/result.ts";
import { type Dtype, dtypes, type Tensor, toNumbers, viewOf } from "../../shared/tensor.ts";
import type { EngineFault, Loaded, LoadRequest, Ran } from "./contract.ts";
import { findAdapter, openDevice } from "./gpu.ts";
import { importOrt, type Ort } from "./ort-build.ts";
import { joinRows, planStacks, splitRows } from "./stacking.ts";

/** Runs any ONNX graph on named tensors. */
export interface TensorEngine {
  loaded: Loaded;
  run(items: Tensor[][], rowsTogether: number): Promise<Result<Ran, EngineFault>[]>;
}

/**
 * What the GPU said outside of any call. A lost device may let a run end in zeros, and an error of the queue is reported to
 * nobody: a run counts only if neither happened since it began. `epoch` counts both.
 */
interface Health {
  epoch: number;
  lost: string | null;
  error: string | null;
}

export async function loadTensorEngine(request: LoadRequest): Promise<Result<TensorEngine, EngineFault>> {
  const startedAt = performance.now();
  const health: Health = { epoch: 0, lost: null, error: null };
  try {
    const ort = await importOrt(request.runtime);
    let provider: { name: "wasm" } | { name: "webgpu"; device: GPUDevice } = { name: "wasm" };
    if (request.runtime === "webgpu") {
      const adapter = await findAdapter(request.acceptSoftware);
      if (!adapter.ok) return err({ fault: "load-failed", message: adapter.error, fatal: true });
      provider = { name: "webgpu", device: await openDevice(adapter.value) };
      watch(provider.device, health);
    }
    const graph = new Uint8Array(await request.graph.arrayBuffer());
    const externalData = await Promise.all(
      request.weights.map(async ({ path, data }) => ({ path, data: new Uint8Array(await data.arrayBuffer()) })),
    );
    const session = await ort.InferenceSession.create(graph, {
      executionProviders: [provider],
      externalData,
      logSeverityLevel: 3,
    });
    if (health.epoch > 0) return err(faultOf(null, health, "load-failed"));
    const loadMs = performance.now() - startedAt;
    return ok({ loaded: { loadMs }, run: (items, rows) => runAll(ort, session, health, items, rows) });
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

type Session = import("onnxruntime-web/webgpu").InferenceSession;

async function runAll(
  ort: Ort,
  session: Session,
  health: Health,
  items: Tensor[][],
  rowsTogether: number,
): Promise<Result<Ran, EngineFault>[]> {
  const results = new Array<Result<Ran, EngineFault>>(items.length);
  for (const { items: members, rows } of planStacks(items, rowsTogether)) {
    const inputs = members.map((index) => items[index] as Tensor[]);
    const stacked = members.length > 1 ? await runStacked(ort, session, health, inputs, rows) : null;
    for (const [i, index] of members.entries()) {
      results[index] = stacked?.[i] ?? (await runOne(ort, session, health, inputs[i] as Tensor[]));
    }
  }
  return results;
}

/** Null where the items must run one by one: a stack fails as a whole, although only one of its items may be at fault. */
async function runStacked(
  ort: Ort,
  session: Session,
  health: Health,
  inputs: Tensor[][],
  rows: number[],
): Promise<Result<Ran, EngineFault>[] | null> {
  const ran = await runOne(ort, session, health, joinRows(inputs));
  if (!ran.ok) return ran.error.fatal ? inputs.map(() => ran) : null;
  const total = rows.reduce((acc, count) => acc + count, 0);
  const split = splitRows(ran.value.outputs, rows);
  return split?.map((outputs, i) => ok(describe(outputs, (ran.value.computeMs * (rows[i] as number)) / total))) ?? null;
}

async function runOne(ort: Ort, session: Session, health: Health, inputs: Tensor[]): Promise<Result<Ran, EngineFault>> {
  if (health.lost) return err(faultOf(null, health, "run-failed"));
  const { epoch } = health;
  const startedAt = performance.now();
  const feeds: Record<string, InstanceType<Ort["Tensor"]>> = {};
  const fetched: InstanceType<Ort["Tensor"]>[] = [];
  try {
    for (const { name, dtype, shape, data } of inputs) {
      feeds[name] = new ort.Tensor(dtype, viewOf({ dtype, data }) as never, shape);
    }
    const results = await session.run(feeds);
    const outputs: Tensor[] = [];
    for (const name of session.outputNames) {
      const value = results[name];
      if (!value) continue; // an optional output that the graph left out
      fetched.push(value);
      outputs.push(fromOrt(name, value));
    }
    const computeMs = performance.now() - startedAt;
    if (health.epoch !== epoch) return err(faultOf(null, health, "run-failed"));
    return ok(describe(outputs, computeMs));
  } catch (error) {
    return err(faultOf(error, health, "run-failed"));
  } finally {
    for (const tensor of [...Object.values(feeds), ...fetched]) tensor.dispose();
  }
}

function fromOrt(name: string, value: InstanceType<Ort["Tensor"]>): Tensor {
  const dtype = value.type as string;
  if (!(dtype in dtypes)) throw new Error(`output ${name} is of type ${dtype}, which is not served`);
  const { buffer, byteOffset, byteLength } = value.data as Uint8Array;
  return { name, dtype: dtype as Dtype, shape: [...value.dims], data: new Uint8Array(buffer, byteOffset, byteLength) };
}

function describe(outputs: Tensor[], computeMs: number): Ran {
  const ran: Ran = { outputs, computeMs, nonFinite: [], constant: [] };
  for (const output of outputs) {
    const values = output.dtype === "float16" ? toNumbers(output) : viewOf(output);
    let finite = true;
    let constant = values.length > 1;
    for (let i = 0; i < values.length; i++) {
      const value = values[i] as number | bigint;
      if (typeof value === "number" && !Number.isFinite(value)) finite = false;
      if (value !== values[0]) constant = false;
    }
    if (!finite) ran.nonFinite.push(output.name);
    else if (constant) ran.constant.push(output.name);
  }
  return ran;
}

/** ONNX Runtime throws texts; these are the ones of 1.30. */
function faultOf(error: unknown, health: Health, otherwise: "load-failed" | "run-failed"): EngineFault {
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
