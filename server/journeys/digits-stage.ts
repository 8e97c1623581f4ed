import { fileURLToPath } from "node:url";
import { drawDigit } from "../../models/digits/draw.ts";
import { seededRng } from "../../shared/random.ts";
import { assert } from "../../shared/result.ts";
import type { Tensor } from "../../shared/tensor.ts";
import { createReferenceNode } from "../reference/node.ts";
import { WireMiner, type WireMinerOptions } from "../sim/wire-miner.ts";

const graphPath = fileURLToPath(new URL("../../models/digits/model.onnx", import.meta.url));

/** What journeys on the built-in model `digits` share: miners with a runtime of their own, and pictures to ask about. */
export function openDigitsStage(seed: number) {
  const runtime = createReferenceNode();
  const rng = seededRng(seed);

  /** What an honest device answers. */
  async function compute(inputs: Tensor[]): Promise<Tensor[]> {
    const run = await runtime.run({ key: "digits@1", graphPath }, inputs, 60_000);
    assert(run.ok, "the model runs");
    return run.value.outputs;
  }

  return {
    compute,
    /** `answer`: what it says in place of what it computed. */
    miner: (
      url: string,
      { answer = (outputs) => outputs, ...options }: Partial<WireMinerOptions> & { answer?: Answer } = {},
    ) => new WireMiner({ url, compute: async (_, inputs) => answer(await compute(inputs)), ...options }),
    /** A request for `/v2/models/digits/infer`: a three that was never drawn before. */
    three: () => ({
      inputs: [{ name: "image", datatype: "FP32", shape: [1, 1, 28, 28], data: [...drawDigit(3, () => rng.next())] }],
    }),
    close: () => runtime.close(),
  };
}

type Answer = (outputs: Tensor[]) => Tensor[];

/** A wrong answer of the right shape. */
export const reversed = (tensor: Tensor): Tensor => {
  const values = new Float32Array(tensor.data.slice().buffer).reverse();
  return { ...tensor, data: new Uint8Array(values.buffer) };
};
