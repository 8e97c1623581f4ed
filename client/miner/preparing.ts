import { type Manifest, manifestSchema } from "../../models/manifest.ts";
import { modelKey } from "../../shared/ids.ts";
import { limits, MIB } from "../../shared/limits.ts";
import type { MinerFault, Prepare } from "../../shared/protocol.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import type { Tensor } from "../../shared/tensor.ts";
import type { LoadRequest } from "../worker/contract.ts";
import { fromWireTensors } from "./blobs.ts";
import type { MinerSettings } from "./contract.ts";
import { ensureFile } from "./model-cache.ts";
import type { Pool, PooledModel } from "./pool.ts";
import type { Seal } from "./seal.ts";

/** A model that passed through download, check and its known-answer vectors here; the hub judges the outputs. */
export interface PreparedModel {
  manifest: Manifest;
  pooled: PooledModel;
  /** Of each vector, in their order. */
  outputs: Tensor[][];
  loadMs: number;
  /** Median of one vector after warm-up. */
  runMs: number;
  /** What it runs on. */
  runtime: LoadRequest["runtime"];
  /** Why it runs on WASM although the device has WebGPU. */
  fellBack: string | null;
}

export interface PreparingTools {
  pool: Pool;
  settings: MinerSettings;
  runtime: LoadRequest["runtime"];
  seal: Seal | null;
  /** The number of the runs that this preparation makes in the pool. */
  run: number;
  downloading(manifest: Manifest, bytesDone: number, bytesTotal: number): void;
  running(manifest: Manifest): void;
  signal: AbortSignal;
}

interface PrepareFault {
  fault: MinerFault;
  message: string;
}

export async function prepareModel(
  asked: Prepare,
  tools: PreparingTools,
): Promise<Result<PreparedModel, PrepareFault>> {
  // First what needs the session in which it was asked: a download can outlive it.
  const vectors: Tensor[][] = [];
  for (const wire of asked.vectors) {
    const tensors = await fromWireTensors(wire, tools.seal);
    if (!tensors.ok) return loadFailed(tensors.error);
    vectors.push(tensors.value);
  }
  const manifest = await fetchManifest(asked, tools.signal);
  if (!manifest.ok) return loadFailed(manifest.error);
  if (tools.settings.role === "validator" && sizeOf(manifest.value) > limits.validatorModelBytes) {
    const message = `larger than the ${limits.validatorModelBytes / MIB} MiB that checking may take`;
    return err({ fault: "out-of-memory", message });
  }
  const files = await fetchFiles(asked, manifest.value, tools);
  if (!files.ok) return loadFailed(files.error);
  tools.running(manifest.value);
  const runtime = asked.runtime ?? tools.runtime;
  if (runtime === "wasm" && tools.runtime === "webgpu") {
    if (!tools.settings.wasmFallback)
      return loadFailed("the hub asks for WASM, which the settings of this page forbid");
    tools.pool.unload(asked.model);
    const onWasm = await runVectors(asked.model, manifest.value, files.value, vectors, "wasm", tools);
    return onWasm.ok ? ok({ ...onWasm.value, fellBack: "the hub accepts no GPU of this kind for it" }) : onWasm;
  }
  const wanted = await runVectors(asked.model, manifest.value, files.value, vectors, runtime, tools);
  if (wanted.ok || tools.signal.aborted) return wanted;
  const mayFallBack = runtime === "webgpu" && tools.settings.wasmFallback && wanted.error.fault !== "device-lost";
  if (!mayFallBack) return wanted;
  tools.pool.unload(asked.model);
  const onWasm = await runVectors(asked.model, manifest.value, files.value, vectors, "wasm", tools);
  return onWasm.ok ? ok({ ...onWasm.value, fellBack: wanted.error.message }) : onWasm;
}

const loadFailed = (message: string) => err({ fault: "load-failed" as const, message: message.slice(0, 500) });

async function fetchManifest(asked: Prepare, signal: AbortSignal): Promise<Result<Manifest, string>> {
  try {
    const response = await fetch(asked.manifest, { signal });
    if (!response.ok) return err(`the manifest: the hub answered ${response.status}`);
    const parsed = manifestSchema.safeParse(await response.json());
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      return err(`the manifest: ${issue?.path.join(".")}: ${issue?.message}`);
    }
    const key = modelKey(parsed.data.id, parsed.data.version);
    return key === asked.model ? ok(parsed.data) : err(`the manifest is of ${key}, asked was ${asked.model}`);
  } catch (error) {
    return err(`the manifest: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Of a tokenizer's files the worker reads this one: a grammar needs the tokens' bytes. */
const TOKENIZER = "tokenizer.json";

const neededOf = ({ files, text }: Manifest) =>
  files.filter(
    ({ role, path }) =>
      role === "graph" || role === "weights" || (text && role === "tokenizer" && path.split("/").at(-1) === TOKENIZER),
  );

/** Bytes to download or to hold in memory, whichever are more. */
const sizeOf = (manifest: Manifest): number =>
  Math.max(
    manifest.memoryBytes,
    neededOf(manifest).reduce((acc, { bytes }) => acc + bytes, 0),
  );

type LoadedFiles = Pick<LoadRequest, "graph" | "weights"> & { tokenizer: Blob | null };

async function fetchFiles(
  asked: Prepare,
  manifest: Manifest,
  { settings, downloading, signal }: PreparingTools,
): Promise<Result<LoadedFiles, string>> {
  const needed = neededOf(manifest);
  const bytesTotal = needed.reduce((acc, { bytes }) => acc + bytes, 0);
  let bytesBefore = 0;
  let graph: Blob | null = null;
  let tokenizer: Blob | null = null;
  const weights: LoadedFiles["weights"] = [];
  for (const { path, role, sha256, bytes } of needed) {
    const source = { url: `${asked.files}/${path}`, sha256, bytes };
    const progress = (bytesDone: number) => downloading(manifest, bytesBefore + bytesDone, bytesTotal);
    const file = await ensureFile(source, settings.diskBytes, progress, signal);
    if (!file.ok) return file;
    bytesBefore += bytes;
    if (role === "graph") graph = file.value;
    else if (role === "tokenizer") tokenizer = file.value;
    else weights.push({ path, data: file.value });
  }
  return graph ? ok({ graph, weights, tokenizer }) : err("the manifest names no graph");
}

/** Each vector once to warm up (the first run compiles shaders; these outputs are the answer), then each once on the clock. */
async function runVectors(
  key: string,
  manifest: Manifest,
  files: LoadedFiles,
  vectors: Tensor[][],
  runtime: LoadRequest["runtime"],
  { pool, settings, run, signal }: PreparingTools,
): Promise<Result<PreparedModel, PrepareFault>> {
  const { tokenizer, ...model } = files;
  const { text, embedding } = manifest;
  const pooled: PooledModel = {
    key,
    request: {
      runtime,
      acceptSoftware: settings.runtime === "software",
      ...model,
      ...(text && { text: { facts: text, tokenizer } }),
      ...(embedding && { embedding }),
    },
    memoryBytes: manifest.memoryBytes,
    rowsTogether: manifest.batch.rowsIndependent ? manifest.batch.limit : 1,
  };
  const startedAt = performance.now();
  const loaded = await pool.run(pooled, [], run);
  if (!loaded.ok) return err(loaded.error);
  const loadMs = performance.now() - startedAt;
  const outputs: Tensor[][] = [];
  for (const inputs of vectors) {
    const ran = await runVector(pool, pooled, inputs, run);
    if (!ran.ok) return ran;
    outputs.push(ran.value.outputs);
  }
  const timesMs: number[] = [];
  for (const inputs of vectors) {
    if (signal.aborted) return loadFailed("the preparation was stopped");
    const ran = await runVector(pool, pooled, inputs, run);
    if (!ran.ok) return ran;
    timesMs.push(ran.value.computeMs);
  }
  timesMs.sort((a, b) => a - b);
  const runMs = timesMs[Math.floor(timesMs.length / 2)] ?? 0;
  return ok({ manifest, pooled, outputs, loadMs, runMs, runtime, fellBack: null });
}

async function runVector(pool: Pool, model: PooledModel, inputs: Tensor[], run: number) {
  const ran = await pool.run(model, [inputs], run);
  if (!ran.ok) return err({ fault: ran.error.fault, message: ran.error.message });
  const [result] = ran.value;
  if (!result) return loadFailed("the worker gave no answer");
  return result.ok ? result : err({ fault: result.error.fault, message: result.error.message });
}
