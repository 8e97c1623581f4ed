import "../miner/zod-jitless.ts";
import { expose, transfer } from "comlink";
import { err, type Result } from "../../shared/result.ts";
import type { EngineFault, GeneratedPart, InferenceRemote, Ran } from "./contract.ts";
import { loadTensorEngine, type TensorEngine } from "./tensor-engine.ts";
import { loadTextEngine, type TextEngine } from "./text-engine.ts";

let engine: TensorEngine | null = null;
let texts: TextEngine | null = null;
let onParts: (parts: GeneratedPart[]) => void = () => undefined;

const notText = { fault: "run-failed", message: "this model generates no text", fatal: false } as const;

/** Outputs change hands without a copy. */
function given<T extends Result<Ran, EngineFault>[]>(results: T): T {
  const buffers = results.flatMap((result) => (result.ok ? result.value.outputs.map(({ data }) => data.buffer) : []));
  return transfer(results, [...new Set(buffers)] as ArrayBuffer[]);
}

const remote: InferenceRemote = {
  async load(request) {
    const { text } = request;
    const created = text
      ? await loadTextEngine({ ...request, text }, (parts) => onParts(parts))
      : await loadTensorEngine(request);
    if (!created.ok) return created;
    engine = created.value;
    texts = "generate" in engine ? (engine as TextEngine) : null;
    return { ok: true, value: engine.loaded };
  },
  async run(items, rowsTogether) {
    if (!engine) return items.map(() => err({ fault: "load-failed", message: "no model is loaded", fatal: true }));
    return given(await engine.run(items, rowsTogether));
  },
  generate: async (job, inputs) => (texts ? texts.generate(job, inputs) : err(notText)),
  async listen(listener) {
    onParts = listener;
  },
  score: async (job, inputs) => (texts ? texts.score(job, inputs) : err(notText)),
  async cancel(job) {
    texts?.cancel(job);
  },
};

// ONNX Runtime's threads may load this very script; they bring their own message handler.
if (!self.name.startsWith("em-pthread")) expose(remote);
