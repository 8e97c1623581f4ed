import { failure, type TabgridError } from "../../shared/errors.ts";
import type { ModelKey, OwnerId } from "../../shared/ids.ts";
import type { AssignmentMode } from "../../shared/protocol.ts";
import { nextInt, type Rng } from "../../shared/random.ts";
import { dtypes, matchSpecs, type Tensor, toNumbers } from "../../shared/tensor.ts";
import { settingsTensor, textTensors, tokenTensor } from "../../shared/text-generation.ts";
import { compareResults } from "../../shared/tolerance.ts";
import type { CoreModel } from "./events.ts";

/**
 * Inputs whose answer the hub knows, sent as ordinary work: canaries, and the fresh golden vectors that tell a device's
 * fault from a person's. Made by the hub and answered by the reference node ahead of need; never given twice to one owner.
 */
export interface KnownAnswer {
  model: ModelKey;
  /** What is done with the inputs. */
  mode: AssignmentMode;
  inputs: Tensor[];
  inputHash: string;
  outputs: Tensor[];
  commitment: string;
  referenceMs: number;
  givenTo: Set<OwnerId>;
}

/** Why these outputs do not admit a session to the model, or null where every known answer matches. */
export function mismatchOf(model: CoreModel, outputs: readonly Tensor[][]): TabgridError | null {
  const wrong = (what: string) => failure("wrong-outputs", `${model.key}: ${what}`, { field: "outputs" });
  for (const [index, vector] of model.golden.entries()) {
    const answer = outputs[index];
    if (!answer) return wrong(`known answer ${index + 1} is missing`);
    const matched = matchSpecs(answer, model.outputs, `outputs[${index}]`);
    if (!matched.ok) return wrong(matched.error.message);
    const { agreement, what } = compareResults(model.comparator, answer, vector.outputs);
    if (agreement !== "PASS") return wrong(`known answer ${index + 1} does not match: ${what}`);
  }
  return null;
}

const KEPT = 8;
/** After so many owners an input is no longer fresh to the network as a whole. */
const OWNERS_PER_ANSWER = 64;

export class KnownAnswers {
  #byModel = new Map<ModelKey, KnownAnswer[]>();

  add(known: KnownAnswer): void {
    const list = this.#byModel.get(known.model) ?? [];
    this.#byModel.set(known.model, list);
    list.push(known);
    if (list.length > KEPT) list.shift();
  }

  /** One that the owner has not seen; it counts as seen from now on. */
  take(model: ModelKey, owner: OwnerId): KnownAnswer | null {
    const list = this.#byModel.get(model);
    const found = list?.find((known) => !known.givenTo.has(owner));
    if (!list || !found) return null;
    found.givenTo.add(owner);
    if (found.givenTo.size >= OWNERS_PER_ANSWER) list.splice(list.indexOf(found), 1);
    return found;
  }
}

/**
 * What a miner is asked whose answer the hub wants to know: of a text model a text to be scored, which looks like any other
 * check, else inputs of the graph. Null where the model has no golden vectors.
 */
export function freshQuestion(model: CoreModel, rng: Rng): { mode: AssignmentMode; inputs: Tensor[] } | null {
  const inputs = freshInputs(model, rng);
  if (!inputs) return null;
  const text = model.text ? freshText(inputs, model.text, rng) : null;
  return text ? { mode: "score", inputs: text } : { mode: "run", inputs };
}

const TEXT_TOKENS = 96;

/** Prompt and output out of the token ids of graph inputs, by a sampling and a seed of their own. */
function freshText(
  inputs: readonly Tensor[],
  { contextLength, vocabulary }: NonNullable<CoreModel["text"]>,
  rng: Rng,
): Tensor[] | null {
  const ids = inputs.find(({ name }) => name === "input_ids");
  const row = ids ? toNumbers(ids).slice(0, ids.shape.at(-1)) : new Float64Array(0);
  const known = [...row].filter((token) => token >= 0 && token < vocabulary);
  if (known.length < 2) return null;
  // Over and over from another place each time: as long as the texts that people ask for.
  const tokens: number[] = [];
  const length = Math.min(TEXT_TOKENS, contextLength);
  while (tokens.length < length) tokens.push(...known.slice(nextInt(rng, known.length)));
  tokens.length = length;
  const cut = 1 + nextInt(rng, Math.min(32, length - 1));
  const seed = Array.from({ length: 16 }, () => nextInt(rng, 16).toString(16)).join("");
  return [
    tokenTensor(textTensors.prompt, tokens.slice(0, cut)),
    settingsTensor({
      seed,
      maxTokens: length - cut,
      stopTokens: [],
      temperature: [0, 0.7, 1][nextInt(rng, 3)] as number,
      topK: 0,
      topP: 1,
      bias: [],
      presencePenalty: 0,
      frequencyPenalty: 0,
      topLogProbabilities: 0,
      grammar: null,
    }),
    tokenTensor(textTensors.tokens, tokens.slice(cut)),
    tokenTensor(textTensors.from, [0]),
  ];
}

/**
 * New inputs out of a model's golden vectors: the beginning of one and the end of another, so that every value is one the
 * model has seen at that place. Null where the model has no golden vectors.
 */
export function freshInputs(model: CoreModel, rng: Rng): Tensor[] | null {
  const one = model.golden[nextInt(rng, model.golden.length)];
  if (!one) return null;
  const alike = model.golden.filter((other) => other !== one && sameShapes(one.inputs, other.inputs));
  const other = alike[nextInt(rng, alike.length)];
  return one.inputs.map((tensor, index) => {
    const tail = other?.inputs[index] ?? tensor;
    return tensor.data.byteLength > dtypes[tensor.dtype] ? spliced(tensor, tail, rng) : scaled(tensor, rng);
  });
}

const sameShapes = (a: readonly Tensor[], b: readonly Tensor[]): boolean =>
  a.length === b.length && a.every((tensor, index) => tensor.shape.join() === b[index]?.shape.join());

/**
 * Joins the head of one tensor to the tail of another, between the first and the last element in which they differ, so that
 * it is neither of them: their answers are known to all. Of itself, it is turned round.
 */
function spliced(head: Tensor, tail: Tensor, rng: Rng): Tensor {
  const size = dtypes[head.dtype];
  const length = head.data.byteLength / size;
  const data = new Uint8Array(head.data.byteLength);
  const drawn = rng.next();
  if (head === tail) {
    const at = (1 + Math.floor(drawn * (length - 1))) * size;
    data.set(head.data.subarray(at), 0);
    data.set(head.data.subarray(0, at), head.data.byteLength - at);
    return { ...head, data };
  }
  const differs = (byte: number, index: number): boolean => byte !== tail.data[index];
  const first = Math.floor(head.data.findIndex(differs) / size);
  const last = Math.floor(head.data.findLastIndex(differs) / size);
  const at = (first + 1 + Math.floor(drawn * (last - first))) * size;
  data.set(head.data.subarray(0, at), 0);
  data.set(tail.data.subarray(at), at);
  return { ...head, data };
}

/** A single number: of a float another of its size. */
function scaled(tensor: Tensor, rng: Rng): Tensor {
  const factor = 0.5 + rng.next();
  const data = tensor.data.slice();
  if (tensor.dtype === "float32")
    new Float32Array(data.buffer)[0] = (new Float32Array(data.buffer)[0] as number) * factor;
  if (tensor.dtype === "float64")
    new Float64Array(data.buffer)[0] = (new Float64Array(data.buffer)[0] as number) * factor;
  return { ...tensor, data };
}
