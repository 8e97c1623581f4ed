import { expect, it } from "vitest";
import { limits } from "../../shared/limits.ts";
import { type Tensor, tensorOf } from "../../shared/tensor.ts";
import { textTensors, tokenTensor } from "../../shared/text-generation.ts";
import type { ModelText } from "../text/model-text.ts";
import { exchangeOf, KeptAnswers } from "./kept-answers.ts";
import type { LiveTask } from "./live-task.ts";

const bytes = (count: number): Tensor => tensorOf("x", "uint8", [count], new Uint8Array(count));
const task = (name: string, inputs: Tensor[], text?: object) =>
  ({ spec: { task: `t_${name}`, inputs, ...(text && { text }) }, endedAt: null }) as unknown as LiveTask;
const idOf = (name: string) => `t_${name}` as never;

/** Spells token 97 as "a". */
const letters: Pick<ModelText, "decoder"> = {
  decoder: () => ({ push: (tokens) => String.fromCharCode(...Array.from(tokens)), end: () => "" }),
};

it("gives up the oldest where the bytes run out, what is a day old, and what is too large", () => {
  let now = 0;
  const answers = new KeptAnswers({ now: () => now });
  const count = limits.keptAnswersBytes / limits.keptAnswerBytes;
  for (let n = 0; n <= count; n++) answers.delivered(task(`${n}`, [bytes(limits.keptAnswerBytes)]), []);
  expect(answers.of(idOf("0"))).toBeNull();
  expect(answers.of(idOf("1"))).not.toBeNull();
  answers.delivered(task("large", [bytes(limits.keptAnswerBytes)]), [bytes(1)]);
  expect(answers.of(idOf("large"))).toBeNull();
  now = limits.keptAnswersMs - 1;
  expect(answers.of(idOf("1"))).not.toBeNull();
  now++;
  expect(answers.of(idOf("1"))).toBeNull();
});

it("shows a text as text, also one that its caller left, and as tokens where nobody can spell it", () => {
  const answers = new KeptAnswers({ now: () => 0 });
  const asked = [tokenTensor(textTensors.prompt, [104, 105])];
  for (const name of ["whole", "left"]) {
    for (const tokens of [[97, 98], [99]]) {
      answers.part(idOf(name), { tokens: Int32Array.from(tokens), logProbabilities: new Float32Array(), top: [] });
    }
  }
  answers.delivered(task("whole", asked, {}), []);
  answers.committed({
    tasks: new Set([
      { ...task("left", asked, {}), endedAt: 1 },
      { ...task("other", asked), endedAt: 1 },
    ]),
  });
  const expected = { kind: "text", prompt: "hi", output: "abc", tokens: 3 };
  for (const name of ["whole", "left"]) {
    const kept = answers.of(idOf(name));
    if (!kept) throw new Error(`${name} is kept`);
    expect(exchangeOf(kept, letters as ModelText)).toEqual(expected);
    expect(exchangeOf(kept, null)).toMatchObject({
      kind: "tensors",
      outputs: [{ name: "tokens", values: [97, 98, 99] }],
    });
  }
  expect(answers.of(idOf("other"))).toBeNull();
});

it("shows at most 1,024 numbers of a tensor, and those that JSON has not as words", () => {
  const numbers = Float32Array.from({ length: 2_000 }, (_, i) => (i === 1 ? Number.NaN : i));
  const kept = { inputs: [tensorOf("x", "float32", [2_000], numbers)], outputs: [], isText: false };
  const exchange = exchangeOf(kept, null);
  if (exchange.kind !== "tensors") throw new Error("tensors");
  expect(exchange.inputs[0]).toMatchObject({ elements: 2_000, shape: [2_000] });
  expect(exchange.inputs[0]?.values).toHaveLength(1_024);
  expect(exchange.inputs[0]?.values.slice(0, 3)).toEqual([0, "NaN", 2]);
});
