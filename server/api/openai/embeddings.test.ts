import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { failure } from "../../../shared/errors.ts";
import { embeddingReplySchema, quoteSchema } from "../../../shared/openai-api.ts";
import { bearer, keys, startApi, type TestApi } from "../scripted-gateway.ts";
import { bard, vectors } from "../scripted-text.ts";

let api: TestApi;
beforeAll(async () => {
  api = await startApi({}, [bard, vectors]);
});
afterAll(() => api.close());
beforeEach(() => {
  api.script.inferred.length = 0;
});

const post = (body: object) =>
  api.fetch("/v1/embeddings", {
    method: "POST",
    headers: bearer(keys.ann),
    body: JSON.stringify({ model: "vectors", ...body }),
  });
const embed = async (body: object) => {
  const response = await post(body);
  return embeddingReplySchema.strict().parse(await response.json());
};
/** Length, first and last token, 1: what the scripted model makes of a text. */
const told = (text: string) => [text.length, text.charCodeAt(0), text.charCodeAt(text.length - 1), 1];

describe("embeddings", () => {
  it("are one vector for a text, with its price and receipt", async () => {
    const reply = await embed({ input: "hello" });
    expect(reply.data).toEqual([{ object: "embedding", index: 0, embedding: told("hello") }]);
    expect(reply.usage).toEqual({ prompt_tokens: 5, total_tokens: 5 });
    expect(reply.tabgrid).toMatchObject({ price: "1.5", answers: [{ receipt: "r_ann", basis: "checked" }] });
  });

  it("come in the order of the inputs, though tasks hold texts of like length", async () => {
    const input = ["a", "long enough", "bb", "the longest of them all", "ccc", "d"];
    const reply = await embed({ input });
    expect(reply.data.map(({ embedding }) => embedding)).toEqual(input.map(told));
    expect(reply.data.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5]);
    // Four rows a task: [a, d, bb, ccc] and the two long ones, padded and masked.
    const shapes = api.script.inferred.map(({ inputs }) => inputs[0]?.shape);
    expect(shapes).toEqual([
      [4, 3],
      [2, 23],
    ]);
    const { inputs } = api.script.inferred[0] as (typeof api.script.inferred)[number];
    expect(inputs.map(({ name, dtype }) => `${name} ${dtype}`)).toEqual([
      "input_ids int64",
      "attention_mask int64",
      "token_type_ids int64",
    ]);
    expect(reply.tabgrid.answers).toHaveLength(2);
    expect(reply.tabgrid.price).toBe("3");
  });

  it("take tokens, one list or several", async () => {
    expect((await embed({ input: [104, 105] })).data[0]?.embedding).toEqual(told("hi"));
    const many = await embed({ input: [[104, 105], [97]] });
    expect(many.data.map(({ embedding }) => embedding)).toEqual([told("hi"), told("a")]);
  });

  it("come as base64 of little-endian float32", async () => {
    const { embedding } = (await embed({ input: "hello", encoding_format: "base64" })).data[0] ?? {};
    const bytes = Buffer.from(embedding as string, "base64");
    expect([...new Float32Array(bytes.buffer, bytes.byteOffset, 4)]).toEqual(told("hello"));
  });

  it("are cut to fewer dimensions, of length one again", async () => {
    const [vector] = (await embed({ input: "hello", dimensions: 2 })).data;
    const [x = 0, y = 0, ...rest] = (vector?.embedding ?? []) as number[];
    expect(rest).toEqual([]);
    expect(Math.hypot(x, y)).toBeCloseTo(1);
    expect(y / x).toBeCloseTo(104 / 5);
    expect((await embed({ input: "hello", dimensions: 4 })).data[0]?.embedding).toEqual(told("hello"));
  });

  it("say what they would cost, and compute nothing", async () => {
    const quoted = quoteSchema.strict().parse(await (await post({ input: ["a", "bb"], dry_run: true })).json());
    expect(quoted).toMatchObject({ object: "quote", price: "2", usage: { prompt_tokens: 3 } });
    expect(api.script.inferred).toEqual([]);
  });

  it("fail as a whole where one task fails, and the others end", async () => {
    const signals: AbortSignal[] = [];
    api.script.infer = (_request, signal) => {
      signals.push(signal);
      const broken = { ok: false, error: failure("execution-failed", "broke") } as const;
      if (signals.length === 2) return Promise.resolve(broken);
      return new Promise((resolve) => signal.addEventListener("abort", () => resolve(broken)));
    };
    const response = await post({ input: Array.from({ length: 12 }, (_, index) => "x".repeat(index + 1)) });
    api.script.infer = null;
    expect(response.status).toBe(502);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true, true]);
  });
});
