import * as ort from "onnxruntime-web/wasm";
import { assert } from "../shared/result.ts";
import { createSampler, plainSampling } from "../shared/sampling.ts";

/**
 * The reference that an engine's texts are compared with, as plain as can be: ONNX Runtime's WASM build in Node, the whole
 * text run anew for each token, no cache, no padding, no edit of the graph.
 */
export interface NaiveTexts {
  /** Texts of one length; each by its own seed. */
  generate(
    prompts: readonly number[][],
    seeds: readonly bigint[],
    tokens: number,
    temperature: number,
  ): Promise<Naive[]>;
  close(): Promise<void>;
}

export interface Naive {
  tokens: number[];
  /** By how much each token won, in logits. */
  margins: number[];
  logProbabilities: number[];
}

export async function openNaive(graph: Uint8Array): Promise<NaiveTexts> {
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(graph);
  return {
    close: () => session.release(),
    async generate(prompts, seeds, count, temperature) {
      const samplers = seeds.map((seed) => createSampler({ ...plainSampling, seed, temperature }));
      const made = prompts.map((): Naive => ({ tokens: [], margins: [], logProbabilities: [] }));
      const texts = prompts.map((prompt) => [...prompt]);
      for (let position = 0; position < count; position++) {
        const columns = texts[0]?.length as number;
        const { data, width } = await run(session, texts);
        for (const [row, text] of texts.entries()) {
          const end = (row + 1) * columns * width;
          const draw = samplers[row]?.draw(data.subarray(end - width, end), { position, counts: new Map() });
          assert(draw, "finite logits give a token");
          text.push(draw.token);
          made[row]?.tokens.push(draw.token);
          made[row]?.margins.push(draw.margin);
          made[row]?.logProbabilities.push(draw.logProbability);
        }
      }
      return made;
    },
  };
}

async function run(session: ort.InferenceSession, texts: readonly number[][]) {
  const shape = [texts.length, texts[0]?.length as number];
  const integers = (values: readonly number[]) => new ort.Tensor("int64", BigInt64Array.from(values, BigInt), shape);
  const feeds: Record<string, ort.Tensor> = {
    input_ids: integers(texts.flat()),
    attention_mask: integers(texts.flat().map(() => 1)),
    position_ids: integers(texts.flatMap((text) => text.map((_, at) => at))),
  };
  for (const name of session.inputNames)
    feeds[name] ??= new ort.Tensor("float32", new Float32Array(0), [texts.length, 2, 0, 32]);
  const { logits } = await session.run(feeds, ["logits"]);
  assert(logits, "a decoder gives logits");
  return { data: logits.data as Float32Array, width: logits.dims[2] as number };
}
