import { readFileSync, writeSync } from "node:fs";
import { readFile } from "node:fs/promises";
import os from "node:os";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import * as ort from "onnxruntime-web/wasm";
import { poolEmbedding } from "../../shared/pooling.ts";
import { type Dtype, dtypes, type Tensor, viewOf } from "../../shared/tensor.ts";
import type { ChildReply, ChildRequest, ModelFiles } from "./messages.ts";
import { Texts } from "./texts.ts";
import { readTrace } from "./trace.ts";

/**
 * The reference node's own process: ONNX Runtime's plain WebAssembly build on one thread. WebAssembly rounds the same on
 * every machine but for relaxed SIMD, which this build does not use and `simd: "fixed"` rules out.
 */
const settings = JSON.parse(process.argv[2] as string) as {
  memoryLimitBytes: number;
  sessions: number;
  niceness: number;
};

// Below the hub and everything else on this machine.
os.setPriority(settings.niceness);
const watch = new Worker(new URL("memory-watch.ts", import.meta.url), {
  workerData: { limitBytes: settings.memoryLimitBytes },
});
watch.unref();

// The only way to the size of the runtime's heap is the constructor that makes it.
const memories: WebAssembly.Memory[] = [];
WebAssembly.Memory = new Proxy(WebAssembly.Memory, {
  construct(target, [descriptor]: [WebAssembly.MemoryDescriptor]) {
    const memory = new target(descriptor);
    memories.push(memory);
    return memory;
  },
});
const heapBytes = () => memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0);

// ONNX Runtime's WebAssembly build prints its traces, through the function that stands here when it starts.
const printed: string[] = [];
console.log = (line: unknown) => printed.push(String(line));
function printedBy(action: () => void): string {
  printed.length = 0;
  action();
  return printed.splice(0).join("\n");
}

ort.env.logLevel = "error";
ort.env.wasm.numThreads = 1;
ort.env.wasm.proxy = false;
ort.env.wasm.simd = "fixed";
ort.env.wasm.wasmBinary = readFileSync(
  fileURLToPath(import.meta.resolve("onnxruntime-web/ort-wasm-simd-threaded.wasm")),
);

/** Pinned, because a default that changes would change the last bits of every answer. */
const sessionOptions = { executionProviders: ["wasm"], executionMode: "sequential" } as const;

/** In order of last use. */
const sessions = new Map<string, ort.InferenceSession>();
let heapBytesAtStart = 0;

async function load(model: ModelFiles, options: ort.InferenceSession.SessionOptions): Promise<ort.InferenceSession> {
  const graph = await readFile(model.graphPath);
  const externalData = await Promise.all(
    (model.externalData ?? []).map(async ({ path, file }) => ({ path, data: await readFile(file) })),
  );
  return ort.InferenceSession.create(graph, { ...sessionOptions, ...options, externalData });
}

async function session(model: ModelFiles): Promise<ort.InferenceSession> {
  const kept = sessions.get(model.key);
  if (kept) sessions.delete(model.key);
  while (sessions.size >= settings.sessions) {
    const [oldest, unused] = sessions.entries().next().value as [string, ort.InferenceSession];
    sessions.delete(oldest);
    await unused.release();
  }
  const used = kept ?? (await load(model, { graphOptimizationLevel: "all" }));
  sessions.set(model.key, used);
  return used;
}

const texts = new Texts({ tensor: (type, data, dims) => new ort.Tensor(type, data as Float32Array, dims) });

const toOrt = (tensor: Tensor): ort.Tensor =>
  new ort.Tensor(tensor.dtype, viewOf(tensor) as ort.Tensor.DataType as Float32Array, tensor.shape);

function fromOrt(name: string, tensor: ort.Tensor): Tensor {
  if (!Object.hasOwn(dtypes, tensor.type))
    throw new Error(`output ${name} is of type ${tensor.type}, which is not served`);
  const { buffer, byteOffset, byteLength } = tensor.data as Float32Array;
  const data = new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
  return { name, dtype: tensor.type as Dtype, shape: [...tensor.dims], data };
}

async function execute(
  running: ort.InferenceSession,
  { embedding }: ModelFiles,
  inputs: Tensor[],
): Promise<{ outputs: Tensor[]; runMs: number }> {
  const feeds = Object.fromEntries(inputs.map((tensor) => [tensor.name, toOrt(tensor)]));
  const startedAt = performance.now();
  const results = await running.run(feeds);
  const runMs = performance.now() - startedAt;
  const outputs = running.outputNames.map((name) => fromOrt(name, results[name] as ort.Tensor));
  if (!embedding) return { outputs, runMs };
  const pooled = poolEmbedding(inputs, outputs, embedding);
  if (!pooled.ok) throw new Error(pooled.error);
  return { outputs: [pooled.value], runMs };
}

async function handle({ kind, model, inputs, most = 0 }: ChildRequest): Promise<ChildReply> {
  if (memories.length === 0) await startRuntime();
  if (kind === "generate" || kind === "score") {
    if (!model.text) throw new Error(`${kind}: this is no text model`);
    const decoder = await session(model);
    await send({ kind: "started" });
    const startedAt = performance.now();
    const outputs = await texts.run(kind, model.key, decoder, inputs, { ...model.text, most });
    return done({ outputs, runMs: performance.now() - startedAt, kernels: [] });
  }
  if (kind === "run") {
    const running = await session(model);
    await send({ kind: "started" });
    return done({ ...(await execute(running, model, inputs)), kernels: [] });
  }
  // "basic" folds constants and joins no multiply-adds away: what is left is the graph's own work.
  const traced = await load(model, { graphOptimizationLevel: "basic", enableProfiling: true });
  try {
    await send({ kind: "started" });
    const result = await execute(traced, model, inputs);
    return done({ ...result, kernels: readTrace(printedBy(() => traced.endProfiling())) });
  } finally {
    await traced.release();
  }
}

const done = (result: Pick<Extract<ChildReply, { kind: "done" }>, "outputs" | "runMs" | "kernels">): ChildReply => ({
  kind: "done",
  ...result,
  heapBytes: heapBytes(),
  heapBytesAtStart,
  rssBytes: process.memoryUsage.rss(),
});

/** The runtime starts with its first session, which no bytes can become: only its heap is wanted here. */
async function startRuntime(): Promise<void> {
  await ort.InferenceSession.create(new Uint8Array(1)).catch(() => undefined);
  heapBytesAtStart = heapBytes();
}

const send = (reply: ChildReply): Promise<void> =>
  new Promise((resolve) => process.send?.(reply, undefined, undefined, () => resolve()));

process.on("message", async (request: ChildRequest) => {
  try {
    await send(await handle(request));
  } catch (error) {
    if (leavesUnknownState(error)) {
      writeSync(process.stderr.fd, `${messageOf(error)}\n`);
      process.exit(1);
    }
    await send({ kind: "failed", message: messageOf(error) });
  }
});
process.on("disconnect", () => process.exit(0));

/** A trap, an abort or a C++ exception that nothing caught (a number): the runtime's memory may be anything now. */
const leavesUnknownState = (error: unknown): boolean =>
  error instanceof WebAssembly.RuntimeError || typeof error === "number";

const messageOf = (error: unknown): string =>
  typeof error === "number"
    ? `the runtime threw exception ${error}`
    : error instanceof Error
      ? error.message
      : String(error);
