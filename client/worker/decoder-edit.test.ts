import { readFile } from "node:fs/promises";
import * as ort from "onnxruntime-web/wasm";
import type { InferenceSession } from "onnxruntime-web/webgpu";
import { describe, expect, it } from "vitest";
import { logSumExp } from "../../shared/sampling.ts";
import { withChosenLogits } from "./decoder-edit.ts";
import { describeDecoder, KEEP_INPUT, SUMS_OUTPUT } from "./decoder-graph.ts";
import { fuseDecoder } from "./fused-decoder.ts";
import { editModel } from "./onnx-edit.ts";

const folder = new URL("../../models/shakespeare/", import.meta.url);
const integers = (values: number[], shape = [1, values.length]) =>
  new ort.Tensor("int64", BigInt64Array.from(values, BigInt), shape);

function feeds(session: ort.InferenceSession, tokens: number[], keep: number): Record<string, ort.Tensor> {
  const given: Record<string, ort.Tensor> = {
    input_ids: integers(tokens),
    attention_mask: integers(tokens.map(() => 1)),
    position_ids: integers(tokens.map((_, at) => at)),
  };
  for (const name of session.inputNames) {
    if (name === KEEP_INPUT) given[name] = integers([keep], [1]);
    else given[name] ??= new ort.Tensor("float32", new Float32Array(0), [1, 2, 0, 32]);
  }
  return given;
}

describe("an edited decoder", () => {
  it.each(["model.onnx", "model_quantized.onnx", "model_q4.onnx"])(
    "%s gives the same, and only what is asked",
    async (file) => {
      ort.env.wasm.numThreads = 1;
      const bytes = await readFile(new URL(file, folder));
      const edited = withChosenLogits(bytes, "logits");
      expect(edited).not.toBeNull();
      const before = await ort.InferenceSession.create(bytes);
      const after = await ort.InferenceSession.create(edited as Uint8Array);
      const tokens = [5, 6, 7, 300, 20];
      const whole = await before.run(feeds(before, tokens, 0));
      const logits = (whole.logits as ort.Tensor).data as Float32Array;
      for (const keep of [1, 3, 5, 2 ** 31]) {
        const part = await after.run(feeds(after, tokens, keep));
        const kept = Math.min(keep, 5);
        expect(part.logits?.dims).toEqual([1, kept, 1024]);
        const expected = logits.subarray(-kept * 1024);
        ((part.logits as ort.Tensor).data as Float32Array).forEach((value, at) => {
          if (Math.abs(value - (expected[at] as number)) > 1e-5) expect.fail(`logit ${at}: ${value}, ${expected[at]}`);
        });
        for (let row = 0; row < kept; row++) {
          const sum = (part[SUMS_OUTPUT] as ort.Tensor).data[row];
          expect(sum).toBeCloseTo(logSumExp(expected.slice(row * 1024, (row + 1) * 1024)), 4);
        }
      }
      await before.release();
      await after.release();
    },
  );

  it("is none where the graph is not of that shape", async () => {
    const bytes = await readFile(new URL("../../models/digits/model.onnx", import.meta.url));
    expect(withChosenLogits(bytes, "logits")).toBeNull();
  });
});

describe("a fused decoder", () => {
  it.each(["model.onnx", "model_quantized.onnx", "model_q4.onnx"])(
    "%s steps as the registered one does",
    async (file) => {
      ort.env.wasm.numThreads = 1;
      const bytes = new Uint8Array(await readFile(new URL(file, folder)));
      const before = await ort.InferenceSession.create(bytes);
      const graph = describeDecoder(before as unknown as InferenceSession, editModel(bytes).nodes);
      if (typeof graph === "string") return expect.fail(graph);
      const fused = fuseDecoder(bytes, graph);
      if (!fused) return expect.fail("not recognised");
      expect(editModel(fused).nodes.length).toBeLessThan(150);
      const after = await ort.InferenceSession.create(fused);
      const prompt = await before.run(feeds(before, [5, 6, 7, 300, 20], 0));
      const next: Record<string, ort.Tensor> = {
        ...feeds(before, [9], 0),
        attention_mask: integers([1, 1, 1, 1, 1, 1]),
        position_ids: integers([5]),
      };
      for (const { input, output } of graph.cache) next[input] = prompt[output] as ort.Tensor;
      const [expected, got] = [await before.run(next), await after.run(next)];
      for (const name of before.outputNames) {
        const [a, b] = [expected[name], got[name]] as [ort.Tensor, ort.Tensor];
        expect(b.dims).toEqual(a.dims);
        const far = (a.data as Float32Array).reduce(
          (most, value, at) => Math.max(most, Math.abs(value - (b.data[at] as number))),
          0,
        );
        expect(far).toBeLessThan(1e-3);
      }
      await before.release();
      await after.release();
    },
  );

  it("is none where keys and values are one tensor, or the layers are not recognised", () => {
    const graph = describeDecoder(
      {
        inputMetadata: [
          { name: "input_ids", isTensor: true, type: "int64", shape: ["b", "s"] },
          { name: "attention_mask", isTensor: true, type: "int64", shape: ["b", "t"] },
          { name: "past_0", isTensor: true, type: "float32", shape: [2, "b", 4, "p", 8] },
        ],
        outputNames: ["logits", "present_0"],
      } as unknown as InferenceSession,
      [],
    );
    if (typeof graph === "string") return expect.fail(graph);
    expect(graph.cache).toMatchObject([{ rowAxis: 1, tokenAxis: 3, shape: [2, 0, 4, 0, 8] }]);
    const empty = Uint8Array.of(0x3a, 0); // a graph without nodes
    expect(fuseDecoder(empty, graph)).toBeNull();
  });
});

describe("an editable model", () => {
  it("is the same file where nothing is changed, but for the order of fields", async () => {
    const bytes = new Uint8Array(await readFile(new URL("model_q4.onnx", folder)));
    const once = editModel(bytes);
    const again = editModel(once.bytes());
    expect(again.bytes()).toEqual(once.bytes());
    expect(again.nodes).toEqual(once.nodes);
    expect(Math.abs(once.bytes().length - bytes.length)).toBeLessThan(3 * once.nodes.length);
  });

  it("says what is no ONNX file", () => {
    expect(() => editModel(new TextEncoder().encode("no graph at all"))).toThrow(/not an ONNX file/);
    expect(() => editModel(new Uint8Array(0))).toThrow(/no graph/);
    expect(() => editModel(Uint8Array.of(0x3a, 0xff))).toThrow(/not an ONNX file/);
  });
});
