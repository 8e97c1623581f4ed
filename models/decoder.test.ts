import { expect, test } from "vitest";
import type { TensorSpec } from "../shared/tensor.ts";
import { toNumbers } from "../shared/tensor.ts";
import { cacheBytes, type Decoder, decoderStep, describeDecoder } from "./decoder.ts";

const ids: TensorSpec = { name: "input_ids", dtype: "int64", shape: ["b", "s"] };
const mask: TensorSpec = { name: "attention_mask", dtype: "int64", shape: ["b", "past + s"] };
const past = (name: string): TensorSpec => ({ name, dtype: "float32", shape: ["b", 2, "past", 4] });
const outputs = ["logits", "present.0.key", "present.0.value"].map((name) => ({ name }));
const described = (inputs: TensorSpec[], made = outputs) => describeDecoder(inputs, made);

test("a graph as Optimum exports it: steps that go on from one another", () => {
  const decoder = described([ids, mask, past("past_key_values.0.key"), past("past_key_values.0.value")]) as Decoder;
  expect(decoder).toMatchObject({ logits: "logits", positions: null });
  expect(cacheBytes(decoder, 3)).toBe(2 * 2 * 3 * 4 * 4);
  const first = decoderStep(decoder, [5, 6], null);
  expect(first.map(({ name, shape }) => [name, shape])).toEqual([
    ["input_ids", [1, 2]],
    ["attention_mask", [1, 2]],
    ["past_key_values.0.key", [1, 2, 0, 4]],
    ["past_key_values.0.value", [1, 2, 0, 4]],
  ]);
  const after = decoder.cache.map(({ output }) => ({
    ...{ name: output, dtype: "float32" as const, shape: [1, 2, 2, 4] },
    data: new Uint8Array(64),
  }));
  const second = decoderStep(decoder, [7], after);
  expect(second[1]?.shape).toEqual([1, 3]);
  expect(second[2]).toMatchObject({ name: "past_key_values.0.key", shape: [1, 2, 2, 4] });
  expect([...toNumbers(second[0] as never)]).toEqual([7]);
});

test("an older one, with keys and values in one tensor", () => {
  const both: TensorSpec = { name: "past_0", dtype: "float32", shape: [2, "b", 4, "past", 8] };
  const decoder = described([{ ...ids, dtype: "int32" }, both], [{ name: "output" }, { name: "present_0" }]) as Decoder;
  expect(decoder).toMatchObject({ logits: "output", cache: [{ output: "present_0", rowAxis: 1, tokenAxis: 3 }] });
  expect(decoderStep(decoder, [1], null)[1]?.shape).toEqual([2, 1, 4, 0, 8]);
});

test.each([
  ["no tokens go in", [mask], "input_ids"],
  ["there is no cache", [ids, mask], "no key-value cache"],
  ["something unknown is asked for", [ids, { ...mask, name: "pixel_values" }], "pixel_values"],
  ["a cache has one free size", [ids, { ...past("past_0"), shape: ["b", 2, 8, 4] }], "two free sizes"],
])("refused where %s", (_, inputs, reason) => {
  expect(described(inputs as TensorSpec[], [...outputs, { name: "present_0" }])).toContain(reason);
});
