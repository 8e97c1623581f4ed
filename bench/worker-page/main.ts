import { Pool, type PooledModel } from "../../client/miner/pool.ts";
import { superviseWorker } from "../../client/miner/supervised-worker.ts";
import type { InferenceRemote } from "../../client/worker/contract.ts";
import { importOrt } from "../../client/worker/ort-build.ts";
import { drawDigit, side } from "../../models/digits/draw.ts";
import graphUrl from "../../models/digits/model.onnx?url";
import { seededRng } from "../../shared/random.ts";
import { assert } from "../../shared/result.ts";
import { type Tensor, tensorOf } from "../../shared/tensor.ts";
import { type Comparison, compareResults, type Tolerance } from "../../shared/tolerance.ts";

/** What bench/worker.ts asks of the page: `digits` by the miner's own worker pool, and by ONNX Runtime alone. */
export interface WorkerBench {
  /** Milliseconds per inference of one picture, over so many one after another. */
  bare(count: number): Promise<number>;
  /** The same through a worker, with so many pictures to a message. */
  pooled(count: number, perMessage: number): Promise<number>;
  /** The same through one worker that always has the next picture waiting. */
  queued(count: number): Promise<number>;
  /** How each picture's outputs through a worker compare with the bare call's on WASM, and the mean milliseconds. */
  compare(runtime: "webgpu" | "wasm", tolerance: Tolerance): Promise<{ comparisons: Comparison[]; ms: number }>;
}

const rng = seededRng(1);
const pictures = Array.from({ length: 20 }, (_, index): Tensor[] => [
  tensorOf(
    "image",
    "float32",
    [1, 1, side, side],
    drawDigit(index % 10, () => rng.next()),
  ),
]);
const picture = (index: number) => pictures[index % pictures.length] as Tensor[];
const graph = await (await fetch(graphUrl)).blob();
const ort = await importOrt("wasm");
const session = await ort.InferenceSession.create(new Uint8Array(await graph.arrayBuffer()), {
  executionProviders: ["wasm"],
  logSeverityLevel: 3,
});
const pool = new Pool(4 * 1024 ** 3, () => undefined);
const onRuntime = (runtime: "webgpu" | "wasm"): PooledModel => ({
  key: `digits on ${runtime}`,
  request: { runtime, acceptSoftware: true, graph, weights: [] },
  memoryBytes: 0,
  rowsTogether: 1,
});

let waiting: ReturnType<typeof startWorker> | null = null;

async function startWorker() {
  const script = new Worker(new URL("../../client/worker/inference.worker.ts", import.meta.url), { type: "module" });
  const worker = superviseWorker<InferenceRemote>(script);
  const loaded = await worker.call(60_000, async (remote) => remote.load(onRuntime("wasm").request));
  assert(loaded.ok && loaded.value.ok, "the worker loads digits");
  return worker;
}

async function runBare([image]: Tensor[]): Promise<Float32Array> {
  const { data, shape } = image as Tensor;
  const pixels = new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4);
  const { logits } = await session.run({ image: new ort.Tensor("float32", pixels, shape) });
  assert(logits, "digits gives logits");
  return logits.data as Float32Array;
}

async function runPooled(model: PooledModel, items: Tensor[][]): Promise<Tensor[][]> {
  const ran = await pool.run(model, items, 1);
  assert(ran.ok, ran.ok ? "" : ran.error.message);
  return ran.value.map((item) => {
    assert(item.ok, item.ok ? "" : item.error.message);
    return item.value.outputs;
  });
}

const bench: WorkerBench = {
  async bare(count) {
    const started = performance.now();
    for (let i = 0; i < count; i++) await runBare(picture(i));
    return (performance.now() - started) / count;
  },
  async pooled(count, perMessage) {
    const model = onRuntime("wasm");
    const started = performance.now();
    for (let i = 0; i < count; i += perMessage) {
      const items = Array.from({ length: perMessage }, (_, at) => picture(i + at));
      await runPooled(model, items);
    }
    return (performance.now() - started) / count;
  },
  async queued(count) {
    waiting ??= startWorker();
    const worker = await waiting;
    const started = performance.now();
    let next = 0;
    const lane = async () => {
      while (next < count) {
        const inputs = picture(next++);
        const ran = await worker.call(60_000, async (remote) => remote.run([inputs], 1));
        assert(ran.ok && ran.value[0]?.ok, "the picture is read");
      }
    };
    await Promise.all([lane(), lane()]);
    return (performance.now() - started) / count;
  },
  async compare(runtime, tolerance) {
    const model = onRuntime(runtime);
    await runPooled(model, [picture(0)]);
    const comparisons: Comparison[] = [];
    let ms = 0;
    for (const inputs of pictures) {
      const expected = [tensorOf("logits", "float32", [1, 10], (await runBare(inputs)).slice())];
      const started = performance.now();
      const [outputs = []] = await runPooled(model, [inputs]);
      ms += (performance.now() - started) / pictures.length;
      comparisons.push(compareResults(tolerance, outputs, expected));
    }
    return { comparisons, ms };
  },
};
Object.assign(globalThis, { bench });
