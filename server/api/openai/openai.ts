import { join } from "node:path";
import type { Logger } from "pino";
import { z } from "zod";
import { openAiErrorSchema } from "../../../shared/api.ts";
import { failure, type TabgridError } from "../../../shared/errors.ts";
import { limits } from "../../../shared/limits.ts";
import {
  chatReplySchema,
  chatRequestSchema,
  completionReplySchema,
  completionRequestSchema,
  embeddingReplySchema,
  embeddingRequestSchema,
  quoteSchema,
  responsesReplySchema,
  responsesRequestSchema,
} from "../../../shared/openai-api.ts";
import type { BatchEndpoint } from "../../../shared/openai-batch-api.ts";
import { err, type Result } from "../../../shared/result.ts";
import type { Clock } from "../../../shared/time.ts";
import { agentPrefix, prepareAgentChat } from "../../agents/conversation.ts";
import type { AgentDesk } from "../../agents/desk.ts";
import type { Gateway } from "../../gateway/gateway.ts";
import type { Store } from "../../store/store.ts";
import type { Endpoint } from "../endpoint.ts";
import type { TokenLimit } from "../rate-limit.ts";
import { BatchRunner } from "./batch-runner.ts";
import { batches } from "./batches.ts";
import { answerChat, chatHandler } from "./chat.ts";
import { answerCompletion, completionHandler } from "./completions.ts";
import type { Call, Handle, OpenAiContext } from "./context.ts";
import { answerEmbedding, embeddingHandler } from "./embeddings.ts";
import { FileShelf } from "./file-shelf.ts";
import { files } from "./files.ts";
import { models } from "./models.ts";
import { readParameters } from "./parameters.ts";
import { answerResponse, responsesHandler } from "./responses.ts";
import { tag } from "./tag.ts";

export interface OpenAiParts {
  gateway: Gateway;
  store: Pick<Store, "files" | "batches">;
  /** Absolute; contents of files lie in `files` there. */
  dataDir: string;
  clock: Clock;
  log: Pick<Logger, "error">;
  /** Left out, there are none. */
  agents?: AgentDesk;
  /** Of a batch; a day if absent. */
  windowMs?: number;
}

/** All of `/v1`, and the batches that run behind it. */
export interface OpenAi {
  /** For callers in this process. */
  context: OpenAiContext;
  shelf: FileShelf;
  runner: BatchRunner;
  endpoints(tokens: TokenLimit): Endpoint[];
  /** Opens the folder of files and goes on with open batches. */
  start(): Promise<void>;
  close(): Promise<void>;
}

export function createOpenAi({ gateway, store, dataDir, clock, log, agents, windowMs }: OpenAiParts): OpenAi {
  const plain: OpenAiContext = { gateway, clock };
  const context: OpenAiContext = {
    ...plain,
    // An agent's own model is never an agent.
    agents: (call) =>
      agents && call.body.model.startsWith(agentPrefix) ? prepareAgentChat(plain, agents, call) : null,
  };
  const shelf = new FileShelf(join(dataDir, "files"), store.files, clock);
  const answer = (endpoint: BatchEndpoint, call: Call<Record<string, unknown>>) => answerLine(context, endpoint, call);
  const runner = new BatchRunner({ batches: store.batches, shelf, clock, log, answer, windowMs });
  return {
    context,
    shelf,
    runner,
    endpoints: (tokens) => {
      const http = { ...context, tokens };
      return [
        ...models(gateway, agents ?? null),
        post("/v1/chat/completions", "Answer a conversation", chatHandler(http), chatRequestSchema, chatReplySchema),
        post(
          "/v1/completions",
          "Go on with a text",
          completionHandler(http),
          completionRequestSchema,
          completionReplySchema,
        ),
        post(
          "/v1/embeddings",
          "Vectors of texts",
          embeddingHandler(http),
          embeddingRequestSchema,
          embeddingReplySchema,
        ),
        post(
          "/v1/responses",
          "Answer, without a memory of earlier calls",
          responsesHandler(http),
          responsesRequestSchema,
          responsesReplySchema,
        ),
        ...files(shelf),
        ...batches(runner, store.batches),
      ];
    },
    start: async () => {
      await shelf.open();
      await runner.start();
    },
    close: () => runner.close(),
  };
}

const problem = { description: "problem", schema: openAiErrorSchema };
const problems = Object.fromEntries(
  [400, 401, 402, 404, 409, 413, 422, 429, 502, 503, 504].map((status) => [status, problem]),
);

const post = (path: string, summary: string, handle: Handle, request: z.ZodType, reply: z.ZodType): Endpoint => ({
  method: "post",
  path,
  tag,
  summary,
  access: "key",
  isBillable: true,
  body: { type: "application/json", limitBytes: limits.textBodyBytes, tooLarge: "body-too-large", schema: request },
  replies: {
    200: {
      description: "answer, or with dry_run the price; a stream of events where asked for",
      schema: z.union([reply, quoteSchema]),
    },
    ...problems,
  },
  handle,
});

/** A line of a batch, as its endpoint would answer it. */
async function answerLine(
  context: OpenAiContext,
  endpoint: BatchEndpoint,
  call: Call<Record<string, unknown>>,
): Promise<Result<object, TabgridError>> {
  const misplaced = ["stream", "dry_run"].find((name) => call.body[name]);
  if (misplaced) {
    const message = `${misplaced}: expected nothing, as a batch has no use for it, got true`;
    return err(failure("unsupported-parameter", message, { field: misplaced }));
  }
  const run = async <Schema extends z.ZodType>(
    schema: Schema,
    answer: (context: OpenAiContext, call: Call<z.output<Schema>>) => Promise<Result<object, TabgridError>>,
  ): Promise<Result<object, TabgridError>> => {
    const body = readParameters(schema, call.body);
    return body.ok ? answer(context, { ...call, body: body.value }) : body;
  };
  switch (endpoint) {
    case "/v1/chat/completions":
      return run(chatRequestSchema, answerChat);
    case "/v1/completions":
      return run(completionRequestSchema, answerCompletion);
    case "/v1/embeddings":
      return run(embeddingRequestSchema, answerEmbedding);
    case "/v1/responses":
      return run(responsesRequestSchema, answerResponse);
  }
}
