import { z } from "zod";
import { limits } from "./limits.ts";

/** Files and batches in OpenAI's shapes under `/v1`. Times are Unix seconds. */

const seconds = z.number().meta({ description: "Unix seconds" });

export const fileSchema = z.object({
  id: z.string(),
  object: z.literal("file"),
  bytes: z.number(),
  created_at: seconds,
  filename: z.string(),
  purpose: z.enum(["batch", "batch_output"]),
  status: z.literal("processed"),
});
export type FileReply = z.infer<typeof fileSchema>;
export const fileDeletedSchema = z.object({ id: z.string(), object: z.literal("file"), deleted: z.literal(true) });

const listOf = <Item extends z.ZodType>(item: Item) =>
  z.object({
    object: z.literal("list"),
    data: z.array(item),
    has_more: z.boolean(),
    first_id: z.string().nullable(),
    last_id: z.string().nullable(),
  });
export const filesSchema = listOf(fileSchema);
const after = z.string().max(limits.nameChars).optional();
export const filesQuerySchema = z.strictObject({
  limit: z.coerce.number().int().min(1).max(10_000).default(10_000),
  after,
  purpose: z.string().max(64).optional(),
  order: z.enum(["asc", "desc"]).default("desc"),
});

/** What a batch's lines may ask for. */
export const batchEndpoints = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"] as const;
export type BatchEndpoint = (typeof batchEndpoints)[number];

export const batchRequestSchema = z.strictObject({
  input_file_id: z.string().min(1).max(limits.nameChars),
  endpoint: z.enum(batchEndpoints),
  completion_window: z.literal("24h"),
  metadata: z
    .record(z.string().max(64), z.string().max(512))
    .refine((map) => Object.keys(map).length <= 16, "at most 16 entries")
    .nullish(),
});

/** A line of an input file. */
export const batchLineSchema = z.strictObject({
  custom_id: z.string().min(1).max(limits.nameChars),
  method: z.literal("POST"),
  url: z.string(),
  body: z.record(z.string(), z.unknown()),
});

export const batchSchema = z.object({
  id: z.string(),
  object: z.literal("batch"),
  endpoint: z.string(),
  errors: z
    .object({
      object: z.literal("list"),
      data: z.array(
        z.object({ code: z.string(), message: z.string(), param: z.string().nullable(), line: z.number().nullable() }),
      ),
    })
    .nullable(),
  input_file_id: z.string(),
  completion_window: z.literal("24h"),
  status: z.enum([
    "validating",
    "failed",
    "in_progress",
    "finalizing",
    "completed",
    "expired",
    "cancelling",
    "cancelled",
  ]),
  output_file_id: z.string().nullable(),
  error_file_id: z.string().nullable(),
  created_at: seconds,
  in_progress_at: seconds.nullable(),
  expires_at: seconds,
  finalizing_at: seconds.nullable(),
  completed_at: seconds.nullable(),
  failed_at: seconds.nullable(),
  expired_at: seconds.nullable(),
  cancelling_at: seconds.nullable(),
  cancelled_at: seconds.nullable(),
  request_counts: z.object({ total: z.number(), completed: z.number(), failed: z.number() }),
  metadata: z.record(z.string(), z.string()).nullable(),
});
export type BatchReply = z.infer<typeof batchSchema>;
export const batchesSchema = listOf(batchSchema);
export const batchesQuerySchema = z.strictObject({
  limit: z.coerce.number().int().min(1).max(100).default(20),
  after,
});
