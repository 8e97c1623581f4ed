import { wrap } from "comlink";
import "../text-page/main.ts";

/** Adds the peers to the page of bench/text-page: each in a worker of its own, as the engine is. */
const bare = wrap(new Worker(new URL("../text-page/bare.worker.ts", import.meta.url), { type: "module" }));
const transformers = wrap(new Worker(new URL("./transformers.worker.mjs", import.meta.url), { type: "module" }));

Object.assign(globalThis.page, {
  async loadPeers(runtime) {
    const graph = await (await fetch("/shakespeare/resolve/main/onnx/model.onnx")).blob();
    await bare.load(graph, runtime);
    await transformers.load(`${location.origin}/`, runtime);
  },
  bare: (prompts, tokens) => bare.generate(prompts, tokens),
  transformers: (prompts, tokens) => transformers.generate(prompts, tokens),
});
