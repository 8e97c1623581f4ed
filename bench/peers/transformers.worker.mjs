import { AutoModelForCausalLM, env, Tensor } from "@huggingface/transformers";
import { expose } from "comlink";
import mjs from "onnxruntime-web/ort-wasm-simd-threaded.asyncify.mjs?url";
import wasm from "onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url";

/** The same interface as bench/text-page/bare.worker.ts, by @huggingface/transformers. */
let model;

const peer = {
  async load(host, runtime) {
    env.allowLocalModels = false;
    env.useBrowserCache = false;
    env.remoteHost = host;
    env.backends.onnx.wasm.wasmPaths = { mjs, wasm };
    env.backends.onnx.wasm.numThreads = 1;
    model = await AutoModelForCausalLM.from_pretrained("shakespeare", { dtype: "fp32", device: runtime });
  },

  async generate(prompts, count) {
    const startedAt = performance.now();
    const shape = [prompts.length, prompts[0].length];
    const integers = (values) => new Tensor("int64", BigInt64Array.from(values, BigInt), shape);
    let puts = 0;
    let firstMs = 0;
    const streamer = {
      put() {
        puts += 1;
        if (puts === 2) firstMs = performance.now() - startedAt;
      },
      end() {},
    };
    const output = await model.generate({
      input_ids: integers(prompts.flat()),
      attention_mask: integers(prompts.flat().map(() => 1)),
      max_new_tokens: count,
      do_sample: false,
      streamer,
    });
    const ms = performance.now() - startedAt;
    const tokens = output.tolist().map((row) => row.slice(shape[1]).map(Number));
    return { tokens, ms, firstMs };
  },
};

if (!self.name.startsWith("em-pthread")) expose(peer);
