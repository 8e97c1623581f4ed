import { expose } from "comlink";
import type { InferenceSession } from "onnxruntime-web/webgpu";
import { importOrt, type Ort } from "../../client/worker/ort-build.ts";
import { assert } from "../../shared/result.ts";

/** The loop that one writes first: onnxruntime-web, the cache fed back as it came, the highest logit. */
export interface BareLoop {
  load(graph: Blob, runtime: "webgpu" | "wasm"): Promise<void>;
  /** Greedy; prompts of equal length go as one batch. */
  generate(prompts: number[][], tokens: number): Promise<Generated>;
}

export interface Generated {
  tokens: number[][];
  ms: number;
  firstMs: number;
}

let ort: Ort;
let session: InferenceSession;

const bare: BareLoop = {
  async load(graph, runtime) {
    ort = await importOrt(runtime);
    const onGpu = runtime === "webgpu";
    const names = [0, 1, 2, 3].flatMap((layer) => [`present.${layer}.key`, `present.${layer}.value`]);
    session = await ort.InferenceSession.create(new Uint8Array(await graph.arrayBuffer()), {
      executionProviders: [runtime],
      logSeverityLevel: 3,
      ...(onGpu ? { preferredOutputLocation: Object.fromEntries(names.map((name) => [name, "gpu-buffer"])) } : {}),
    });
  },

  async generate(prompts, count) {
    const startedAt = performance.now();
    const rows = prompts.length;
    const length = prompts[0]?.length ?? 0;
    const integers = (values: number[]) =>
      new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [rows, values.length / rows]);
    const empty = () => new ort.Tensor("float32", new Float32Array(0), [rows, 2, 0, 32]);
    let past: Record<string, InstanceType<Ort["Tensor"]>> = {};
    for (const name of session.inputNames) if (name.startsWith("past")) past[name] = empty();
    let ids = prompts.flat();
    let positions = prompts.flatMap(() => Array.from({ length }, (_, at) => at));
    const tokens = prompts.map((): number[] => []);
    let firstMs = 0;
    for (let step = 0; step < count; step++) {
      const outputs = await session.run({
        input_ids: integers(ids),
        attention_mask: integers(Array<number>(rows * (length + step)).fill(1)),
        position_ids: integers(positions),
        ...past,
      });
      const { logits } = outputs;
      assert(logits, "a decoder gives logits");
      const [, columns = 0, vocabulary = 0] = logits.dims;
      const data = logits.data as Float32Array;
      ids = tokens.map((row, at) => {
        const start = ((at + 1) * columns - 1) * vocabulary;
        let best = start;
        for (let token = start; token < start + vocabulary; token++)
          if ((data[token] as number) > (data[best] as number)) best = token;
        row.push(best - start);
        return best - start;
      });
      positions = ids.map(() => length + step);
      for (const tensor of Object.values(past)) tensor.dispose();
      past = Object.fromEntries(
        Object.entries(outputs)
          .filter(([name]) => name !== "logits")
          .map(([name, tensor]) => [name.replace("present", "past_key_values"), tensor as InstanceType<Ort["Tensor"]>]),
      );
      firstMs ||= performance.now() - startedAt;
    }
    return { tokens, ms: performance.now() - startedAt, firstMs };
  },
};

if (!self.name.startsWith("em-pthread")) expose(bare);
