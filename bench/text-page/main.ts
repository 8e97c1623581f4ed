import { proxy } from "comlink";
import { superviseWorker } from "../../client/miner/supervised-worker.ts";
import type { GeneratedPart, InferenceRemote, LoadRequest } from "../../client/worker/contract.ts";
import { assert } from "../../shared/result.ts";
import type { Tensor } from "../../shared/tensor.ts";
import {
  type GenerationSettings,
  settingsTensor,
  textTensors,
  tokensIn,
  tokenTensor,
} from "../../shared/text-generation.ts";

/** What bench/text.ts, bench/identity.ts and the browser test ask of the page: texts by the miner's own worker. */
export interface TextPage {
  /** Loads a decoder into a fresh worker under this name. */
  load(name: string, model: PageModel): Promise<number>;
  /** One text per entry, all at once. */
  generate(name: string, asked: PageText[]): Promise<PageTexts>;
  score(name: string, asked: PageText, tokens: number[], from: number): Promise<PageScore>;
  /** Cancels a text once it has shown so many tokens. */
  cancelAfter(name: string, asked: PageText, tokens: number): Promise<number[]>;
  /** The graph's plain run. */
  run(name: string, inputs: PlainTensor[]): Promise<PlainTensor[]>;
}

export interface PageModel {
  runtime: "webgpu" | "wasm";
  /** The graph, base64. */
  graph: string;
  text: NonNullable<LoadRequest["text"]>["facts"];
}

export interface PageText {
  prompt: number[];
  prefix?: number[];
  settings: GenerationSettings;
}

export interface PageTexts {
  tokens: number[][];
  logProbabilities: number[][];
  /** From the first request to the last text's end. */
  ms: number;
  /** To the first token of each. */
  firstMs: number[];
}

export interface PageScore {
  logProbabilities: number[];
  margins: number[];
  ms: number;
}

export interface PlainTensor {
  name: string;
  dtype: Tensor["dtype"];
  shape: number[];
  data: number[];
}

const DEADLINE_MS = 600_000;
type Worker_ = ReturnType<typeof superviseWorker<InferenceRemote>>;
const workers = new Map<string, Worker_>();
let jobs = 0;
/** Who hears how many tokens a job has. */
const heard = new Map<string, (job: string, count: number) => void>();

const hear = (parts: GeneratedPart[]) => {
  for (const { job, position, tokens } of parts) heard.get(job)?.(job, position + tokens.length);
};

const workerOf = (name: string): Worker_ => {
  const worker = workers.get(name);
  assert(worker, `${name} is loaded`);
  return worker;
};

const inputsOf = ({ prompt, prefix, settings }: PageText): Tensor[] => [
  tokenTensor(textTensors.prompt, prompt),
  settingsTensor(settings),
  ...(prefix ? [tokenTensor(textTensors.prefix, prefix)] : []),
];

const numbers = (tensors: readonly Tensor[], name: string): number[] => {
  const tensor = tensors.find((one) => one.name === name);
  return tensor ? [...new Float32Array(tensor.data.slice().buffer)] : [];
};

async function generateOne(name: string, asked: PageText, onTokens: (job: string, count: number) => void) {
  const job = `job ${jobs++}`;
  heard.set(job, onTokens);
  const called = await workerOf(name).call(DEADLINE_MS, async (remote) => remote.generate(job, inputsOf(asked)));
  heard.delete(job);
  assert(called.ok, called.ok ? "" : JSON.stringify(called.error));
  assert(called.value.ok, called.value.ok ? "" : called.value.error.message);
  return called.value.value.outputs;
}

const page: TextPage = {
  async load(name, { runtime, graph, text }) {
    const script = new Worker(new URL("../../client/worker/inference.worker.ts", import.meta.url), { type: "module" });
    const worker = superviseWorker<InferenceRemote>(script);
    const bytes = await (await fetch(`data:application/octet-stream;base64,${graph}`)).blob();
    const loaded = await worker.call(DEADLINE_MS, async (remote) => {
      await remote.listen(proxy(hear));
      return remote.load({
        runtime,
        acceptSoftware: true,
        graph: bytes,
        weights: [],
        text: { facts: text, tokenizer: null },
      });
    });
    assert(loaded.ok, loaded.ok ? "" : JSON.stringify(loaded.error));
    assert(loaded.value.ok, loaded.value.ok ? "" : loaded.value.error.message);
    workers.set(name, worker);
    return loaded.value.value.loadMs;
  },

  async generate(name, asked) {
    const startedAt = performance.now();
    const firstMs = asked.map(() => 0);
    const outputs = await Promise.all(
      asked.map((one, at) =>
        generateOne(name, one, () => {
          firstMs[at] ||= performance.now() - startedAt;
        }),
      ),
    );
    return {
      ms: performance.now() - startedAt,
      firstMs,
      tokens: outputs.map((tensors) => [...tokensIn(tensors, textTensors.tokens)]),
      logProbabilities: outputs.map((tensors) => numbers(tensors, textTensors.logProbabilities)),
    };
  },

  async score(name, asked, tokens, from) {
    const inputs = [...inputsOf(asked), tokenTensor(textTensors.tokens, tokens), tokenTensor(textTensors.from, [from])];
    const startedAt = performance.now();
    const called = await workerOf(name).call(DEADLINE_MS, async (remote) => remote.score(`job ${jobs++}`, inputs));
    const ms = performance.now() - startedAt;
    assert(called.ok && called.value.ok, JSON.stringify(called));
    const { outputs } = called.value.value;
    return {
      logProbabilities: numbers(outputs, textTensors.logProbabilities),
      margins: numbers(outputs, textTensors.margins),
      ms,
    };
  },

  async cancelAfter(name, asked, tokens) {
    const outputs = await generateOne(name, asked, (job, count) => {
      if (count >= tokens) void workerOf(name).call(DEADLINE_MS, async (remote) => remote.cancel(job));
    });
    return [...tokensIn(outputs, textTensors.tokens)];
  },

  async run(name, inputs) {
    const tensors = inputs.map(({ name: input, dtype, shape, data }): Tensor => {
      const values = dtype === "int64" ? BigInt64Array.from(data, BigInt) : Float32Array.from(data);
      return { name: input, dtype, shape, data: new Uint8Array(values.buffer) };
    });
    const called = await workerOf(name).call(DEADLINE_MS, async (remote) => remote.run([tensors], 1));
    const ran = called.ok ? called.value[0] : null;
    assert(ran?.ok, JSON.stringify(called));
    return ran.value.outputs.map((output) => ({
      name: output.name,
      dtype: output.dtype,
      shape: output.shape,
      data: [...new Float32Array(output.data.slice().buffer)],
    }));
  },
};
Object.assign(globalThis, { page });
