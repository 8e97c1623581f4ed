import { z } from "zod";
import { limits } from "../shared/limits.ts";
import { dtypeNames } from "../shared/tensor.ts";

/**
 * A manifest is everything the network knows of one model version. Versions are immutable: the hash of the files is part
 * of what a receipt proves. Built-in manifests lie in `models/<id>/manifest.json`; registered ones in the store.
 */
const name = z.string().min(1).max(limits.nameChars);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "64 lower-case hex digits");

export const tensorSpecSchema = z.strictObject({
  name,
  dtype: z.enum(dtypeNames),
  /** A number is fixed; a string names a free dimension, equal names are equal sizes. */
  shape: z.array(z.union([z.int().nonnegative(), name])).max(limits.tensorRank),
});

export const inputSpecSchema = tensorSpecSchema.extend({
  /** Inclusive bounds of every element, where the model states them. */
  range: z.tuple([z.number(), z.number()]).optional(),
});

/** How two runs of this model are compared; starting values: ../shared/reference/verification.md section 5. */
export const comparatorSchema = z.discriminatedUnion("kind", [
  /** Scores over labels in the last axis: same top-1, or both within 2τ. */
  z.strictObject({ kind: z.literal("label"), output: name, tau: z.number().positive() }),
  z.strictObject({
    kind: z.literal("embedding"),
    output: name,
    cosinePass: z.number().max(1),
    cosineFail: z.number().max(1),
    normRelative: z.number().positive(),
  }),
  /** Every output, as numbers. `relL2*` on the whole tensor; 99.9 % of elements within abs + rel·|b|. */
  z.strictObject({
    kind: z.literal("dense"),
    relL2Pass: z.number().positive(),
    relL2Fail: z.number().positive(),
    abs: z.number().nonnegative(),
    rel: z.number().nonnegative(),
  }),
  z.strictObject({
    kind: z.literal("image"),
    output: name,
    peak: z.number().positive(),
    psnrPass: z.number(),
    psnrFail: z.number(),
  }),
  /** Raw outputs as `dense`; sampled texts by draws and log-probabilities, pooled (shared/text-agreement.ts). */
  z.strictObject({
    kind: z.literal("sampled-text"),
    output: name,
    relL2Pass: z.number().positive(),
    relL2Fail: z.number().positive(),
    abs: z.number().nonnegative(),
    rel: z.number().nonnegative(),
    tokens: z.int().positive(),
    meanPass: z.number().positive(),
    meanFail: z.number().positive(),
    tokenPass: z.number().positive(),
    tokenFail: z.number().positive(),
    greyShare: z.number().positive().max(1),
  }),
]);

export const manifestSchema = z.strictObject({
  schema: z.literal(1),
  id: z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, "lower-case letters, digits, '.', '_', '-', at most 64"),
  version: z.string().regex(/^[0-9A-Za-z][0-9A-Za-z._-]{0,31}$/),
  title: z.string().max(120),
  description: z.string().max(2000),
  task: z.enum(["tensor", "embedding", "text-generation"]),
  dtype: z.enum(["fp32", "fp16", "int8", "q4"]),
  /** ONNX Runtime implements 7 and later, and of older sets the operators that have not changed since. */
  opset: z.int().min(1),
  /** `graph` is the ONNX file; sizes and hashes are checked by hub and miner before anything is loaded. */
  files: z
    .array(
      z.strictObject({
        path: z
          .string()
          .regex(/^[A-Za-z0-9][A-Za-z0-9._/-]*$/)
          .refine((path) => !path.includes(".."), "no '..'"),
        role: z.enum(["graph", "weights", "tokenizer", "config", "labels"]),
        sha256,
        bytes: z.int().positive().max(limits.modelBytes),
      }),
    )
    .min(1),
  inputs: z.array(inputSpecSchema).max(limits.tensorsPerMessage),
  outputs: z.array(tensorSpecSchema).min(1).max(limits.tensorsPerMessage),
  batch: z.strictObject({
    /** Most rows in one run; 1 where rows are not shown to be independent. */
    limit: z.int().min(1).max(1024),
    /** The free dimension that counts rows, axis 0 of every input and output; null: the model has none. */
    dimension: z.string().nullable(),
    /** Shown at registration: a, b, [a;b] and [b;a] agree. Only such models are micro-batched across customers. */
    rowsIndependent: z.boolean(),
  }),
  comparator: comparatorSchema,
  /** FLOP at given sizes of the free dimensions, from `models/work.ts`; affine in the batch dimension where that holds. */
  work: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("affine"), base: z.int().nonnegative(), perRow: z.int().nonnegative() }),
    /**
     * Polynomials in the tokens n of a row, lowest power first: `fixed`(n) + rows · `perRow`(n). Borne out by runs at
     * sizes that it was not made from.
     */
    z.strictObject({
      kind: z.literal("by-length"),
      /** The free dimension that counts tokens. */
      dimension: name,
      fixed: z.tuple([z.int(), z.int(), z.int()]),
      perRow: z.tuple([z.int(), z.int(), z.int()]),
    }),
    /** Counted by an instrumented reference run per distinct shape, then remembered. */
    z.strictObject({ kind: z.literal("by-shape") }),
  ]),
  /** Of `text-generation` only. */
  text: z
    .strictObject({
      /** Tokens of prompt and output together. */
      contextLength: z.int().positive(),
      /** Rows of logits. */
      vocabulary: z.int().positive(),
      /** Put before a plain prompt; null: none. */
      bos: z.int().nonnegative().nullable(),
      /** Any of them ends a text. */
      eos: z.array(z.int().nonnegative()).max(16),
      /**
       * FLOP: one token costs `token`, and `pair` for each token that it attends to, itself included. A generation's work
       * is alpha · its prefill + its decode (../shared/money.md, "Work").
       */
      work: z.strictObject({
        token: z.int().positive(),
        pair: z.int().nonnegative(),
        alpha: z.number().positive().max(1),
      }),
    })
    .optional(),
  /** Of `embedding` only: what is done with the graph's hidden states, `[batch, sequence, width]` or pooled already. */
  embedding: z
    .strictObject({
      /** The graph's output that is pooled. */
      output: name,
      pooling: z.enum(["mean", "cls", "last", "none"]),
      normalize: z.boolean(),
      dimensions: z.int().positive(),
      /** Tokens of one text. */
      contextLength: z.int().positive(),
    })
    .optional(),
  /** Files plus what loading them and running the largest batch takes on the reference node's heap. */
  memoryBytes: z.int().positive(),
  nonFiniteOutputs: z.boolean().default(false),
  licence: z.string().max(200),
  creator: z.string().max(120),
  /** Share x of revenue, in hundredths of a per cent, fixed at mint. */
  royaltyBasisPoints: z.int().min(0).max(10_000),
});

export type Manifest = z.infer<typeof manifestSchema>;
export type Comparator = z.infer<typeof comparatorSchema>;
export type InputSpec = z.infer<typeof inputSpecSchema>;

/**
 * Known-answer vectors of one model: inputs made by the hub, outputs by the reference node (base64 little-endian data).
 * Only the inputs are ever sent to a miner. Built-in ones lie in `models/<id>/golden.json`.
 */
const goldenTensorSchema = tensorSpecSchema.extend({ shape: z.array(z.int().nonnegative()), data: z.base64() });
export const goldenSchema = z.strictObject({
  runtime: z.string(),
  /** Median milliseconds of one vector on the reference node that made the file. */
  referenceMs: z.number().nonnegative(),
  vectors: z
    .array(z.strictObject({ inputs: z.array(goldenTensorSchema), outputs: z.array(goldenTensorSchema) }))
    .max(limits.goldenVectors),
});
export type GoldenFile = z.infer<typeof goldenSchema>;
