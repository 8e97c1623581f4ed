import { expose, transfer } from "comlink";
import { err } from "../../shared/result.ts";
import type { InferenceRemote } from "./contract.ts";
import { loadTensorEngine, type TensorEngine } from "./tensor-engine.ts";

let engine: TensorEngine | null = null;

const notText = { fault: "run-failed", message: "this model generates no text", fatal: false } as const;

const remote: InferenceRemote = {
  async load(request) {
    const created = await loadTensorEngine(request);
    if (!created.ok) return created;
    engine = created.value;
    return { ok: true, value: engine.loaded };
  },
  async run(items, rowsTogether) {
    if (!engine) return items.map(() => err({ fault: "load-failed", message: "no model is loaded", fatal: true }));
    const results = await engine.run(items, rowsTogether);
    const buffers = results.flatMap((result) => (result.ok ? result.value.outputs.map(({ data }) => data.buffer) : []));
    return transfer(results, [...new Set(buffers)] as ArrayBuffer[]);
  },
  generate: async () => err(notText),
  score: async () => err(notText),
  async cancel() {},
};

// ONNX Runtime's threads may load this very script; they bring their own message handler.
if (!self.name.startsWith("em-pthread")) expose(remote);
