import { z } from "zod";
import { taskStates, timelineEntrySchema } from "./console-protocol.ts";
import { errorCodes } from "./errors.ts";
import { limits } from "./limits.ts";
import { serviceLevels } from "./pricing.ts";
import type { Dtype } from "./tensor.ts";

/**
 * Requests and replies of the HTTP API: `/v2` (Open Inference Protocol), `/v1` (OpenAI's shapes) and `/api/v1`. The hub
 * checks requests by these schemas, the tests check replies by them, and `/openapi.json` is made from them.
 * Money is nano-USDC as a decimal string unless a name says otherwise; times are Unix milliseconds.
 */

/** The Open Inference Protocol's names of our element types. */
export const datatypes = {
  bool: "BOOL",
  uint8: "UINT8",
  int8: "INT8",
  uint16: "UINT16",
  int16: "INT16",
  float16: "FP16",
  uint32: "UINT32",
  int32: "INT32",
  float32: "FP32",
  uint64: "UINT64",
  int64: "INT64",
  float64: "FP64",
} as const satisfies Record<Dtype, string>;
export type Datatype = (typeof datatypes)[Dtype];
export const dtypeOf = Object.fromEntries(Object.entries(datatypes).map(([dtype, name]) => [name, dtype])) as Record<
  Datatype,
  Dtype
>;

const name = z.string().min(1).max(limits.nameChars);
const nano = z.string().regex(/^-?\d+$/);
const micro = z.string().meta({ description: "µUSDC" });
const millis = z.number().meta({ description: "Unix milliseconds" });
const datatype = z.enum(Object.values(datatypes) as [Datatype, ...Datatype[]]);
const dims = z.array(z.int().nonnegative()).max(limits.tensorRank);
/** Elements, flat or nested as the shape says, row by row; server/api/json-tensors.ts reads them. */
const elements = z.unknown().meta({
  type: "array",
  description:
    "Row-major, flat or nested as `shape` says. BOOL: true, false. 64-bit integers beyond 2^53: strings of digits. FP16: binary only.",
});

export const inferInputSchema = z.strictObject({
  name,
  datatype,
  shape: dims,
  data: elements.optional(),
  parameters: z
    .strictObject({ binary_data_size: z.int().nonnegative().optional() })
    .optional()
    .meta({ description: "`binary_data_size`: this input's bytes follow the JSON, in the order of the inputs" }),
});

export const inferRequestSchema = z.strictObject({
  id: z.string().max(limits.nameChars).optional().meta({ description: "echoed in the reply" }),
  parameters: z
    .strictObject({
      service_level: z.enum(serviceLevels).optional(),
      deadline_ms: z
        .number()
        .optional()
        .meta({ description: `above 0, at most ${limits.deadlineMaxMs}` }),
      dry_run: z.boolean().optional().meta({ description: "only say what it would cost" }),
      binary_data_output: z
        .boolean()
        .optional()
        .meta({ description: "all outputs in binary unless they say otherwise" }),
    })
    .optional(),
  inputs: z.array(inferInputSchema).max(limits.tensorsPerMessage),
  outputs: z
    .array(z.strictObject({ name, parameters: z.strictObject({ binary_data: z.boolean().optional() }).optional() }))
    .max(limits.tensorsPerMessage)
    .optional(),
});
export type InferBody = z.infer<typeof inferRequestSchema>;

export const inferReplySchema = z.object({
  model_name: z.string(),
  model_version: z.string(),
  id: z.string().optional(),
  parameters: z.union([
    z.object({
      task: z.string(),
      receipt: z.string(),
      basis: z.enum(["checked", "reference", "unchecked", "pending"]),
      service_level: z.enum(serviceLevels),
      price: micro,
    }),
    z.object({ dry_run: z.literal(true), price: micro, work: z.string().meta({ description: "FLOP" }) }),
  ]),
  outputs: z.array(
    z.object({
      name: z.string(),
      datatype,
      shape: dims,
      data: elements.optional(),
      parameters: z.object({ binary_data_size: z.number() }).optional(),
    }),
  ),
});

const tensorMetadataSchema = z.object({
  name: z.string(),
  datatype,
  shape: z.array(z.int()).meta({ description: "-1: any size" }),
});
export const modelMetadataSchema = z.object({
  name: z.string(),
  versions: z.array(z.string()).meta({ description: "newest first" }),
  platform: z.literal("onnx"),
  inputs: z.array(tensorMetadataSchema),
  outputs: z.array(tensorMetadataSchema),
  parameters: z.object({
    version: z.string(),
    title: z.string(),
    task: z.string(),
    licence: z.string(),
    comparator: z.string(),
    batch_limit: z.number(),
    miners_ready: z.number(),
    queued: z.number(),
    reference_serves: z.boolean(),
    price_fast: micro.optional().meta({ description: "µUSDC of one row; absent where only a dry run can tell" }),
    price_verified: micro.optional(),
  }),
});
export const serverMetadataSchema = z.object({
  name: z.literal("tabgrid"),
  version: z.string(),
  extensions: z.array(z.string()),
});

const errorFieldsSchema = z.object({
  code: z.enum(Object.keys(errorCodes) as [string, ...string[]]),
  field: z.string().optional(),
  expected: z.string().optional(),
  got: z.string().optional(),
});
/** RFC 9457, everywhere but under /v1 and /v2. */
export const problemSchema = errorFieldsSchema.extend({
  type: z.literal("about:blank"),
  title: z.string(),
  status: z.number(),
  detail: z.string(),
  instance: z.string().meta({ description: "the request's id" }),
});
export const openAiErrorSchema = z.object({
  error: z.object({ message: z.string(), type: z.string(), param: z.string().nullable(), code: z.string() }),
});
export const inferenceErrorSchema = z.object({ error: z.string() });

const listOf = <Item extends z.ZodType>(item: Item) => z.object({ data: z.array(item), has_more: z.boolean() });
export const pageQuerySchema = z.strictObject({
  limit: z.coerce.number().int().min(1).max(100).default(20),
  after: z.string().max(limits.nameChars).optional().meta({ description: "the last item of the page before" }),
});

export const taskSchema = z.object({
  task: z.string(),
  model: z.string(),
  service_level: z.enum(serviceLevels),
  state: z.enum(taskStates),
  basis: z.enum(["checked", "reference", "unchecked"]).nullable(),
  price: nano,
  submitted_at: millis,
  ended_at: millis.nullable(),
  position: z.number().nullable().meta({ description: "place in the queue, only while queued" }),
  eta_ms: z.number().nullable(),
  error: errorFieldsSchema.extend({ message: z.string() }).nullable(),
  receipt: z.string().nullable(),
  timeline: z.array(timelineEntrySchema),
});

const receiptProofSchema = z.object({
  receipt: z.string(),
  leaf: z.string().meta({ description: "JSON text; SHA-256 of 0x00 and this text is the leaf of the tree" }),
  path: z.array(z.string()).meta({ description: "siblings from leaf to root, hex (RFC 9162, section 2.1.3)" }),
  index: z.number(),
  size: z.number(),
  root: z.string(),
  signature: z.string().meta({ description: "Ed25519, base64url" }),
});
export const receiptSchema = receiptProofSchema.extend({
  hub_key: z.string(),
  revisions: z
    .array(receiptProofSchema)
    .meta({ description: "what was found out later, oldest first, each a signed leaf of its own" }),
  epoch: z
    .object({
      epoch: z.number(),
      index: z.number(),
      size: z.number(),
      path: z.array(z.string()),
      root: z.string(),
      signature: z.string(),
    })
    .nullable()
    .optional()
    .meta({ description: "where `root` stands under that of its epoch, once that is closed" }),
});
export const receiptPendingSchema = z.object({ receipt: z.string(), status: z.literal("pending") });

export const accountSchema = z.object({
  account: z.string(),
  asset: z.enum(["USDC", "DN"]),
  balance: nano,
  entries: z.number(),
});
export const accountsSchema = listOf(accountSchema);
export const entrySchema = z.object({
  seq: z.string(),
  /** For `after` of the next page. */
  cursor: z.string(),
  transfer: z.string(),
  kind: z.string(),
  at: millis,
  task: z.string().nullable(),
  legs: z.array(z.object({ account: z.string(), asset: z.string(), amount: nano })),
  hash: z.string(),
});
export const entriesSchema = listOf(entrySchema);
export const entriesQuerySchema = pageQuerySchema.extend({
  account: z.string().max(limits.nameChars).optional(),
  task: z.string().max(limits.nameChars).optional(),
});
export const imbalanceSchema = z.object({ USDC: nano, DN: nano });

export const networkSchema = z.object({
  miners: z.number(),
  working: z.number(),
  attested: z.number().meta({ description: "miners that a validator found here within the last two intervals" }),
  queued: z.number(),
  in_flight: z.number(),
  verified: z.number(),
  per_second: z.number(),
});

export const healthSchema = z.object({ status: z.literal("ok") });
export const readinessSchema = z.object({
  status: z.enum(["ready", "unready"]),
  dependencies: z.record(z.string(), z.string()).meta({ description: "`ok`, or what is wrong" }),
});

export const modelStatusSchema = z.object({
  manifest: z.record(z.string(), z.unknown()).meta({ description: "models/manifest.ts" }),
  published_at: millis,
  miners: z.number().meta({ description: "that passed its known answers and accept work now" }),
  queued: z.number(),
  reference_serves: z.boolean(),
});
export const modelStatusesSchema = listOf(modelStatusSchema);

/** Beside these, `dim.<name>` gives the size of a free dimension to try at registration. */
export const registerQuerySchema = z.strictObject({
  id: z.string(),
  version: z.string(),
  title: z.string().max(120).optional().meta({ description: "the id, if absent" }),
  description: z.string().max(2000).default(""),
  licence: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .meta({ description: "under which it may be served; of a source what its repository states, if absent" }),
  creator: z.string().min(1).max(120),
  royalty_basis_points: z.coerce.number().int().min(0).max(10_000).default(0),
  domain: z.string().max(64).default("commons").meta({ description: "where it is published" }),
  comparator: z
    .string()
    .optional()
    .meta({ description: "JSON, `comparator` of a manifest; chosen by the hub if absent" }),
  task: z
    .enum(["tensor", "embedding", "text-generation"])
    .optional()
    .meta({ description: "what an imported model is for; read from its files if absent" }),
  source: z
    .string()
    .max(300)
    .optional()
    .meta({ description: "`hf:ORG/NAME[@REVISION]`: the hub fetches the files itself, and the body stays empty" }),
  dtype: z
    .enum(["fp32", "fp16", "int8", "q4"])
    .optional()
    .meta({ description: "of the source's ONNX files; the first of these that it has if absent" }),
});
