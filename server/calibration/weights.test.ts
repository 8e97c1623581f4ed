import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readOnnx } from "../../models/onnx.ts";
import { root } from "../cli/ensure.mjs";
import { editWeights, findWeights } from "./weights.ts";

const fileOf = (id: string) => new Uint8Array(readFileSync(join(root, "models", id, "model.onnx")));

describe.each(["digits", "langid", "sentences", "shakespeare"])("weights of %s", (id) => {
  const file = fileOf(id);
  const weights = findWeights(file);

  it("are all the float32 elements that the graph reader counts", () => {
    const graph = readOnnx(file);
    const expected = graph.ok ? graph.value.weightElements.get(1) : null;
    expect(weights.reduce((sum, { elements }) => sum + elements, 0)).toBe(expected);
    for (const { dims, elements } of weights) expect(dims.reduce((a, b) => a * b, 1)).toBe(elements);
  });

  it("are edited in place: the rest of the file keeps its bytes", () => {
    const chosen = weights.filter(({ elements }) => elements > 64).slice(0, 1);
    const edited = editWeights(file, chosen, (values) => values.fill(0));
    expect(edited).toHaveLength(file.length);
    const [{ offset, elements }] = chosen as [(typeof chosen)[number]];
    expect(edited.subarray(offset, offset + 4 * elements).every((byte) => byte === 0)).toBe(true);
    expect(Buffer.compare(edited.subarray(0, offset), file.subarray(0, offset))).toBe(0);
    const end = offset + 4 * elements;
    expect(Buffer.compare(edited.subarray(end), file.subarray(end))).toBe(0);
    expect(Buffer.compare(fileOf(id), file)).toBe(0);
  });
});
