import { openAiErrorSchema } from "../../../shared/api.ts";
import { KIB } from "../../../shared/limits.ts";
import {
  type BatchReply,
  batchesQuerySchema,
  batchesSchema,
  batchRequestSchema,
  batchSchema,
} from "../../../shared/openai-batch-api.ts";
import type { BatchRecord, BatchStore } from "../../store/batch-store.ts";
import { customerOf } from "../auth.ts";
import { type Endpoint, segment } from "../endpoint.ts";
import { notFound, unwrap } from "../error-reply.ts";
import type { BatchRunner } from "./batch-runner.ts";
import { secondsOf } from "./context.ts";
import { listReply } from "./files.ts";
import { readBody, readParameters } from "./parameters.ts";
import { tag } from "./tag.ts";

const problem = { description: "problem", schema: openAiErrorSchema };

/** `/v1/batches`: many requests from a file, answered within a day; text at half the price. */
export function batches(runner: BatchRunner, store: BatchStore): Endpoint[] {
  return [
    {
      method: "post",
      path: "/v1/batches",
      tag,
      summary: "Run the requests of a file when nobody waits; text at half the price",
      access: "key",
      isBillable: true,
      body: { type: "application/json", limitBytes: 64 * KIB, tooLarge: "body-too-large", schema: batchRequestSchema },
      replies: {
        200: { description: "batch", schema: batchSchema },
        400: problem,
        401: problem,
        404: problem,
        429: problem,
      },
      handle: async (request, response) => {
        const { input_file_id, endpoint, metadata } = unwrap(readBody(batchRequestSchema, request.body));
        const asked = { endpoint, inputFile: input_file_id, metadata: metadata ?? null };
        response.json(batchReply(unwrap(await runner.create(customerOf(response), asked))));
      },
    },
    {
      method: "get",
      path: "/v1/batches",
      tag,
      summary: "Own batches, newest first",
      access: "key",
      query: batchesQuerySchema,
      replies: { 200: { description: "batches", schema: batchesSchema }, 400: problem, 401: problem },
      handle: async (request, response) => {
        const { limit, after = null } = unwrap(readParameters(batchesQuerySchema, request.query));
        const { data, hasMore } = await store.list(customerOf(response), { limit, after });
        response.json(listReply(data.map(batchReply), hasMore));
      },
    },
    {
      method: "get",
      path: "/v1/batches/:batch_id",
      tag,
      summary: "One own batch",
      access: "key",
      replies: { 200: { description: "batch", schema: batchSchema }, 401: problem, 404: problem },
      handle: async (request, response) => {
        const id = segment(request, "batch_id");
        const found = await store.get(id, customerOf(response));
        if (!found) throw notFound("unknown-batch", "batch_id", id.slice(0, 64));
        response.json(batchReply(found));
      },
    },
    {
      method: "post",
      path: "/v1/batches/:batch_id/cancel",
      tag,
      summary: "Cancel an own batch; what was answered is kept",
      access: "key",
      replies: { 200: { description: "batch", schema: batchSchema }, 401: problem, 404: problem, 409: problem },
      handle: async (request, response) => {
        const id = segment(request, "batch_id");
        response.json(batchReply(unwrap(await runner.cancel(id, customerOf(response)))));
      },
    },
  ];
}

function batchReply(batch: BatchRecord): BatchReply {
  const { enteredAt, errors } = batch;
  const at = (state: keyof typeof enteredAt) => (enteredAt[state] === undefined ? null : secondsOf(enteredAt[state]));
  return {
    id: batch.id,
    object: "batch",
    endpoint: batch.endpoint,
    errors: errors.length === 0 ? null : { object: "list", data: errors },
    input_file_id: batch.inputFile,
    completion_window: "24h",
    status: batch.state,
    output_file_id: batch.outputFile,
    error_file_id: batch.errorFile,
    created_at: secondsOf(batch.createdAt),
    in_progress_at: at("in_progress"),
    expires_at: secondsOf(batch.expiresAt),
    finalizing_at: at("finalizing"),
    completed_at: at("completed"),
    failed_at: at("failed"),
    expired_at: at("expired"),
    cancelling_at: at("cancelling"),
    cancelled_at: at("cancelled"),
    request_counts: batch.counts,
    metadata: batch.metadata,
  };
}
