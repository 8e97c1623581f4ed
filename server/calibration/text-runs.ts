import type { Manifest } from "../../models/manifest.ts";
import { nextInt, seededRng } from "../../shared/random.ts";
import { type Tensor, viewOf } from "../../shared/tensor.ts";
import { deltaOf, type TokenEvidence } from "../../shared/text-agreement.ts";
import type { Control } from "./controls.ts";
import type { LoadedModel } from "./devices.ts";
import type { ControlRun, Honest, Measures } from "./record.ts";
import { addTo, emptySketch, type Sketch } from "./sketch.ts";
import type { Effort, Loaded } from "./tensors.ts";
import { beginning, checkTexts, generate, restate, type Texts } from "./texts.ts";

/** Honest and dishonest makers of texts against one check, at each temperature. */
export const temperatures = [0, 0.7, 1] as const;
export const POOL_TOKENS = 512;
const BATCH = 16;
const LENGTH = 64;
/** Prompts are the model's own: a beginning from its known answers, and so many tokens drawn after it. */
const DRAWN_PROMPT = 12;
const PROMPTS = 256;
/** Nothing is cut off at these settings, so no edge needs a tolerance yet. */
const EPSILON = 0;
/** Of each edition at each temperature: 2,048 tokens, four pools. */
const CONTROL_BATCHES = 2;

const sampling = (temperature: number) => ({ temperature, topK: 0, topP: 1, ...noPenalties });
const noPenalties = { bias: new Map<number, number>(), presencePenalty: 0, frequencyPenalty: 0 };

export async function makePrompts(
  model: LoadedModel,
  manifest: Manifest,
  golden: readonly { inputs: Tensor[] }[],
  count = PROMPTS,
): Promise<number[][]> {
  const starts = golden.flatMap(({ inputs }) => {
    const isStart = inputs.some(({ name, shape }) => name === "past_key_values.0.key" && shape[2] === 0);
    const ids = inputs.find(({ name }) => name === "input_ids");
    return isStart && ids ? [Array.from(viewOf(ids) as BigInt64Array, Number)] : [];
  });
  const length = Math.min(...starts.map((start) => start.length));
  const prompts: number[][] = [];
  while (prompts.length < count) {
    const batch = Array.from({ length: BATCH }, (_, i) => (starts[i % starts.length] as number[]).slice(0, length));
    const seeds = batch.map((_, i) => BigInt(1_000_000 + prompts.length + i));
    const { tokens } = await generate(model, manifest, batch, seeds, sampling(1), DRAWN_PROMPT);
    prompts.push(...batch.map((start, i) => [...start, ...(tokens[i] as number[])]));
  }
  return prompts;
}

/** The same batch for whoever asks: prompts and seeds by number. */
function batchOf(prompts: readonly number[][], number: number): { prompts: number[][]; seeds: bigint[] } {
  const rng = seededRng(number);
  return {
    prompts: Array.from({ length: BATCH }, (_, i) => prompts[(number * BATCH + i) % prompts.length] as number[]),
    seeds: Array.from({ length: BATCH }, () => (BigInt(nextInt(rng, 2 ** 31)) << 32n) | BigInt(nextInt(rng, 2 ** 31))),
  };
}

/** Collects evidence into sketches: tokens one by one, and means of pools. */
function collector(): { add(texts: readonly TokenEvidence[][]): void; measures: Measures } {
  const measures = { token: emptySketch(), mean: emptySketch() } satisfies Record<string, Sketch>;
  let [tokens, sum] = [0, 0];
  return {
    measures,
    add(texts) {
      for (const evidence of texts.flat()) {
        const delta = deltaOf(evidence);
        addTo(measures.token, Math.max(delta, evidence.margin));
        sum += delta;
        tokens += 1;
        if (tokens < POOL_TOKENS) continue;
        addTo(measures.mean, sum / tokens);
        [tokens, sum] = [0, 0];
      }
    },
  };
}

export async function measureHonestTexts(
  maker: Loaded,
  checker: Loaded,
  manifest: Manifest,
  prompts: readonly number[][],
  temperature: number,
  effort: Effort,
): Promise<Honest> {
  const { add, measures } = collector();
  const until = performance.now() + effort.seconds * 1000;
  let pairs = 0;
  for (let number = 0; pairs < effort.pairs && (pairs === 0 || performance.now() < until); number++) {
    const { prompts: batch, seeds } = batchOf(prompts, number);
    const texts = await generate(maker.model, manifest, batch, seeds, sampling(temperature), LENGTH);
    add(await checkTexts(checker.model, manifest, texts, seeds, sampling(temperature), EPSILON));
    pairs += batch.length;
  }
  const hardware = maker.device.hardware || checker.device.hardware;
  return {
    maker: maker.device.what,
    checker: checker.device.what,
    hardware,
    of: `text ${temperature}`,
    pairs,
    measures,
  };
}

/** Who is told apart only in many tokens is measured, but no model is refused for it. */
export const prefillAttack = "int8 with true log-probabilities";

export async function measureTextControls(
  { device, model }: Loaded,
  controls: readonly Control[],
  manifest: Manifest,
  prompts: readonly number[][],
  effort: Effort,
): Promise<ControlRun[]> {
  const runs: ControlRun[] = [];
  const batches = Math.max(1, Math.min(CONTROL_BATCHES, Math.ceil(effort.pairs / BATCH)));
  const editions = [];
  for (const { name, files } of controls) editions.push({ name, model: await device.load(files) });
  for (const temperature of temperatures) {
    const settings = sampling(temperature);
    const found = new Map<string, ReturnType<typeof collector>>();
    const judge = async (name: string, texts: Texts, seeds: readonly bigint[]) => {
      const into = found.get(name) ?? collector();
      found.set(name, into);
      into.add(await checkTexts(model, manifest, texts, seeds, settings, EPSILON));
    };
    for (let number = 0; number < batches; number++) {
      const { prompts: batch, seeds } = batchOf(prompts, number);
      const make = (maker: LoadedModel, by: readonly bigint[]) =>
        generate(maker, manifest, batch, by, settings, LENGTH);
      for (const edition of editions) {
        const texts = await make(edition.model, seeds);
        await judge(edition.name, texts, seeds);
        if (edition.name === "int8") await judge(prefillAttack, await restate(model, manifest, texts), seeds);
      }
      const honest = await make(model, seeds);
      const turned = <T>(rows: T[]) => [...rows.slice(1), ...rows.slice(0, 1)];
      const { tokens, logProbabilities } = honest;
      await judge(
        "stale output",
        { prompts: batch, tokens: turned(tokens), logProbabilities: turned(logProbabilities) },
        seeds,
      );
      if (temperature > 0) {
        const others = seeds.map((seed) => seed ^ 1n);
        await judge("wrong seed", await make(model, others), seeds);
      }
    }
    for (const [name, { measures }] of found) {
      runs.push({ name, of: `text ${temperature}`, pairs: batches * BATCH, measures });
    }
  }
  for (const edition of editions) await edition.model.release();
  return runs;
}

/** Inputs for the tensors of a text model: a prompt as a whole, and one more token after a prompt, by turns. */
export async function textInputs(
  model: LoadedModel,
  manifest: Manifest,
  prompts: readonly number[][],
): Promise<(seed: number) => Tensor[]> {
  const wholes = prompts.map((prompt) => beginning(manifest, [prompt.slice(0, -1)]));
  const caches = (await model.run(wholes, 1)).map((outputs) =>
    outputs
      .filter(({ name }) => name.startsWith("present."))
      .map((tensor) => ({ ...tensor, name: tensor.name.replace("present.", "past_key_values.") })),
  );
  const steps = prompts.map((prompt, i) => {
    const single = beginning(manifest, [prompt]).filter(({ name }) => !name.startsWith("past_key_values."));
    return [...single.map(lastOf), ...(caches[i] as Tensor[])];
  });
  return (seed) => {
    const i = (seed >> 1) % prompts.length;
    return (seed % 2 === 0 ? wholes[i] : steps[i]) as Tensor[];
  };
}

/** The last entry of `input_ids` and `position_ids`; the mask stays whole. */
function lastOf(tensor: Tensor): Tensor {
  if (tensor.name === "attention_mask") return tensor;
  return { ...tensor, shape: [1, 1], data: tensor.data.slice(-8) };
}
