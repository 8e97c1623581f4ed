import { z } from "zod";
import { limits } from "./limits.ts";
import { serviceLevels } from "./pricing.ts";

/**
 * Requests and replies in OpenAI's shapes under `/v1`. What is not of OpenAI: `top_k`, `service_level` and `dry_run` in
 * requests, `tabgrid` in replies. Prices are µUSDC in decimal, times Unix seconds.
 */

const micro = z.string().meta({ description: "µUSDC" });
const seconds = z.number().meta({ description: "Unix seconds" });
const model = z.string().min(1).max(limits.nameChars).meta({ description: "`id` or `id@version`" });
const metadata = z.record(z.string().max(64), z.string().max(512)).nullish();
/** Checked by the grammar that is made from it. */
const jsonSchema = z.record(z.string(), z.unknown());

const sampling = {
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  user: z.string().max(limits.nameChars).nullish(),
  metadata,
  service_level: z
    .enum(serviceLevels)
    .nullish()
    .meta({ description: "`fast` if absent, or the least of the model's domain" }),
  dry_run: z.boolean().nullish().meta({ description: "only say what it would cost at most" }),
};
const generation = {
  ...sampling,
  model,
  top_k: z.int().nonnegative().max(1_000_000).nullish().meta({ description: "0 or absent: all tokens" }),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  logit_bias: z.record(z.string().regex(/^\d{1,9}$/, "a token's number"), z.number().min(-100).max(100)).nullish(),
  seed: z.int().nullish(),
  n: z.int().min(1).max(limits.choicesMax).nullish(),
  stop: z
    .union([
      z.string().min(1).max(limits.stopStringChars),
      z.array(z.string().min(1).max(limits.stopStringChars)).max(limits.stopStringsMax),
    ])
    .nullish(),
  stream: z.boolean().nullish(),
  stream_options: z
    .strictObject({ include_usage: z.boolean().nullish(), include_obfuscation: z.literal(false).nullish() })
    .nullish(),
};
const maxTokens = z.int().min(1).nullish();
const functionName = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, "letters, digits, '_' and '-', at most 64");

/** `text` of a message, whole or in parts; there is nothing but text. */
const textParts = <Type extends string>(...types: [Type, ...Type[]]) =>
  z.union([z.string(), z.array(z.strictObject({ type: z.enum(types), text: z.string() })).max(limits.messagesMax)]);
const content = textParts("text");
const toolCallSchema = z.strictObject({
  id: z.string().max(limits.nameChars),
  type: z.literal("function"),
  function: z.strictObject({ name: functionName, arguments: z.string() }),
});
const chatRoles = ["system", "developer", "user", "assistant", "tool"];
const chatMessageSchema = z.discriminatedUnion(
  "role",
  [
    z.strictObject({ role: z.enum(["system", "developer", "user"]), content, name: z.string().max(64).nullish() }),
    z.strictObject({
      role: z.literal("assistant"),
      content: content.nullish(),
      name: z.string().max(64).nullish(),
      tool_calls: z.array(toolCallSchema).max(limits.toolsMax).nullish(),
      refusal: z.null().optional(),
      annotations: z.array(z.never()).nullish(),
      audio: z.null().optional(),
      function_call: z.null().optional(),
    }),
    z.strictObject({ role: z.literal("tool"), content, tool_call_id: z.string().max(limits.nameChars) }),
  ],
  { error: `Invalid input: expected one of "${chatRoles.join('"|"')}"` },
);
export type ChatRequestMessage = z.infer<typeof chatMessageSchema>;

const functionFields = {
  name: functionName,
  description: z.string().nullish(),
  parameters: jsonSchema.nullish(),
  strict: z.boolean().nullish(),
};
const jsonSchemaFormat = {
  name: functionName,
  description: z.string().nullish(),
  schema: jsonSchema,
  strict: z.boolean().nullish(),
};

export const chatRequestSchema = z.strictObject({
  ...generation,
  messages: z.array(chatMessageSchema).min(1).max(limits.messagesMax),
  max_tokens: maxTokens,
  max_completion_tokens: maxTokens,
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(20).nullish(),
  tools: z
    .array(z.strictObject({ type: z.literal("function"), function: z.strictObject(functionFields) }))
    .max(limits.toolsMax)
    .nullish(),
  tool_choice: z
    .union([
      z.enum(["none", "auto", "required"]),
      z.strictObject({ type: z.literal("function"), function: z.strictObject({ name: functionName }) }),
    ])
    .nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  response_format: z
    .discriminatedUnion(
      "type",
      [
        z.strictObject({ type: z.literal("text") }),
        z.strictObject({ type: z.literal("json_object") }),
        z.strictObject({ type: z.literal("json_schema"), json_schema: z.strictObject(jsonSchemaFormat) }),
      ],
      { error: 'Invalid input: expected one of "text"|"json_object"|"json_schema"' },
    )
    .nullish(),
  store: z.literal(false).nullish(),
});
export type ChatRequest = z.infer<typeof chatRequestSchema>;

const tokenIds = z.array(z.int().nonnegative());
export const completionRequestSchema = z.strictObject({
  ...generation,
  prompt: z
    .union([z.string(), z.array(z.string()).min(1).max(limits.choicesMax), tokenIds.min(1), z.array(tokenIds).min(1)])
    .meta({ description: "text, or tokens; of an array each gets its answers" }),
  max_tokens: maxTokens,
  logprobs: z.int().min(0).max(20).nullish(),
  echo: z.literal(false).nullish(),
  best_of: z.literal(1).nullish(),
  suffix: z.null().optional(),
});
export type CompletionRequest = z.infer<typeof completionRequestSchema>;

/** What is not OpenAI's: which task made which answer, on what ground it stands, and what it cost. */
export const receiptsSchema = z.object({
  price: micro,
  answers: z.array(
    z.object({
      index: z.number(),
      task: z.string(),
      receipt: z.string(),
      basis: z.enum(["checked", "reference", "unchecked", "pending"]),
      service_level: z.enum(serviceLevels),
      price: micro,
      model: z.string().meta({ description: "`id@version`" }),
      seed: z.string().optional(),
    }),
  ),
});
export type Receipts = z.infer<typeof receiptsSchema>;

export const usageSchema = z.object({
  prompt_tokens: z.number().meta({ description: "the prompt counts once for each answer, as each is computed" }),
  completion_tokens: z.number(),
  total_tokens: z.number(),
});
export type Usage = z.infer<typeof usageSchema>;

export const quoteSchema = z.object({
  object: z.literal("quote"),
  dry_run: z.literal(true),
  model: z.string(),
  price: micro.meta({ description: "µUSDC; of text the most it can cost, at its most tokens" }),
  work: z.string().meta({ description: "FLOP" }),
  usage: usageSchema.meta({ description: "with the most tokens that may be generated" }),
});
export type QuoteReply = z.infer<typeof quoteSchema>;

const finishReason = z.enum(["stop", "length", "tool_calls"]);
const tokenLogprob = { token: z.string(), logprob: z.number(), bytes: z.array(z.number()) };
export const chatLogprobsSchema = z.object({
  content: z.array(z.object({ ...tokenLogprob, top_logprobs: z.array(z.object(tokenLogprob)) })),
});
export type ChatLogprobs = z.infer<typeof chatLogprobsSchema>;

export const chatReplySchema = z.object({
  id: z.string(),
  object: z.literal("chat.completion"),
  created: seconds,
  model: z.string(),
  choices: z.array(
    z.object({
      index: z.number(),
      message: z.object({
        role: z.literal("assistant"),
        content: z.string().nullable(),
        refusal: z.null(),
        tool_calls: z.array(toolCallSchema).optional(),
      }),
      logprobs: chatLogprobsSchema.nullable(),
      finish_reason: finishReason,
    }),
  ),
  usage: usageSchema,
  tabgrid: receiptsSchema,
});
export type ChatReply = z.infer<typeof chatReplySchema>;

export const chatChunkSchema = z.object({
  id: z.string(),
  object: z.literal("chat.completion.chunk"),
  created: seconds,
  model: z.string(),
  choices: z.array(
    z.object({
      index: z.number(),
      delta: z.object({
        role: z.literal("assistant").optional(),
        content: z.string().optional(),
        tool_calls: z
          .array(
            z.object({
              index: z.number(),
              id: z.string().optional(),
              type: z.literal("function").optional(),
              function: z.object({ name: z.string().optional(), arguments: z.string() }),
            }),
          )
          .optional(),
      }),
      logprobs: chatLogprobsSchema.nullable(),
      finish_reason: finishReason.nullable(),
    }),
  ),
  usage: usageSchema.nullish(),
  tabgrid: receiptsSchema.optional().meta({ description: "on each choice's last chunk" }),
});
export type ChatChunk = z.infer<typeof chatChunkSchema>;

export const completionLogprobsSchema = z.object({
  tokens: z.array(z.string()),
  token_logprobs: z.array(z.number()),
  top_logprobs: z.array(z.record(z.string(), z.number())).nullable(),
  text_offset: z.array(z.number()),
});
export type CompletionLogprobs = z.infer<typeof completionLogprobsSchema>;

export const completionReplySchema = z.object({
  id: z.string(),
  object: z.literal("text_completion"),
  created: seconds,
  model: z.string(),
  choices: z.array(
    z.object({
      index: z.number(),
      text: z.string(),
      logprobs: completionLogprobsSchema.nullable(),
      finish_reason: z.enum(["stop", "length"]).nullable().meta({ description: "null while it streams" }),
    }),
  ),
  usage: usageSchema.nullish(),
  tabgrid: receiptsSchema.optional(),
});
export type CompletionReply = z.infer<typeof completionReplySchema>;

export const embeddingRequestSchema = z.strictObject({
  model,
  input: z.union([z.string(), z.array(z.string()).min(1), tokenIds.min(1), z.array(tokenIds).min(1)]),
  encoding_format: z.enum(["float", "base64"]).nullish(),
  dimensions: z.int().min(1).nullish().meta({ description: "the first so many, made a unit vector again" }),
  user: z.string().max(limits.nameChars).nullish(),
  service_level: z
    .enum(serviceLevels)
    .nullish()
    .meta({ description: "`verified` if absent, or the least of the model's domain" }),
  dry_run: z.boolean().nullish(),
});
export type EmbeddingRequest = z.infer<typeof embeddingRequestSchema>;

export const embeddingReplySchema = z.object({
  object: z.literal("list"),
  model: z.string(),
  data: z.array(
    z.object({
      object: z.literal("embedding"),
      index: z.number(),
      embedding: z.union([z.array(z.number()), z.string()]).meta({ description: "base64: float32, little-endian" }),
    }),
  ),
  usage: z.object({ prompt_tokens: z.number(), total_tokens: z.number() }),
  tabgrid: receiptsSchema,
});
export type EmbeddingReply = z.infer<typeof embeddingReplySchema>;

export const openAiModelSchema = z.object({
  id: z.string(),
  object: z.literal("model"),
  created: seconds,
  owned_by: z.string(),
  version: z.string(),
  task: z.enum(["tensor", "embedding", "text-generation"]),
  context_length: z.number().nullable().meta({ description: "tokens; of text and embedding models" }),
  dimensions: z.number().nullable().meta({ description: "of an embedding" }),
  online_miners: z.number(),
  price: z
    .object({ fast: micro, verified: micro })
    .nullable()
    .meta({ description: "µUSDC of one row; null where only a dry run can tell" }),
  token_price: z
    .object({ input: micro, output: micro })
    .nullable()
    .meta({ description: "µUSDC of a million tokens in a short context at `fast`; attention adds to it" }),
});
export type OpenAiModel = z.infer<typeof openAiModelSchema>;
export const openAiModelsSchema = z.object({ object: z.literal("list"), data: z.array(openAiModelSchema) });

const responseToolChoice = z.union([
  z.enum(["none", "auto", "required"]),
  z.strictObject({ type: z.literal("function"), name: functionName }),
]);
const inputItemSchema = z.union([
  z.strictObject({
    type: z.literal("message").optional(),
    id: z.string().nullish(),
    status: z.string().nullish(),
    role: z.enum(["system", "developer", "user", "assistant"]),
    content: z.union([
      z.string(),
      z.array(
        z.strictObject({
          type: z.enum(["input_text", "output_text"]),
          text: z.string(),
          annotations: z.array(z.unknown()).nullish(),
          logprobs: z.array(z.unknown()).nullish(),
        }),
      ),
    ]),
  }),
  z.strictObject({
    type: z.literal("function_call"),
    id: z.string().nullish(),
    status: z.string().nullish(),
    call_id: z.string().max(limits.nameChars),
    name: functionName,
    arguments: z.string(),
  }),
  z.strictObject({
    type: z.literal("function_call_output"),
    id: z.string().nullish(),
    status: z.string().nullish(),
    call_id: z.string().max(limits.nameChars),
    output: z.union([z.string(), z.array(z.strictObject({ type: z.literal("input_text"), text: z.string() }))]),
  }),
]);
export type ResponseInputItem = z.infer<typeof inputItemSchema>;

/** The stateless part of OpenAI's Responses: what would need a memory of earlier calls is refused. */
export const responsesRequestSchema = z.strictObject({
  ...sampling,
  model,
  input: z.union([z.string(), z.array(inputItemSchema).min(1).max(limits.messagesMax)]),
  instructions: z.string().nullish(),
  max_output_tokens: maxTokens,
  stream: z.boolean().nullish(),
  stream_options: z.strictObject({ include_obfuscation: z.literal(false).nullish() }).nullish(),
  text: z
    .strictObject({
      format: z
        .discriminatedUnion(
          "type",
          [
            z.strictObject({ type: z.literal("text") }),
            z.strictObject({ type: z.literal("json_object") }),
            z.strictObject({ type: z.literal("json_schema"), ...jsonSchemaFormat }),
          ],
          { error: 'Invalid input: expected one of "text"|"json_object"|"json_schema"' },
        )
        .nullish(),
    })
    .nullish(),
  tools: z
    .array(z.strictObject({ type: z.literal("function"), ...functionFields }))
    .max(limits.toolsMax)
    .nullish(),
  tool_choice: responseToolChoice.nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  store: z.literal(false).nullish(),
  background: z.literal(false).nullish(),
  truncation: z.literal("disabled").nullish(),
  previous_response_id: z.null().optional(),
  conversation: z.null().optional(),
});
export type ResponsesRequest = z.infer<typeof responsesRequestSchema>;

const outputText = z.object({
  type: z.literal("output_text"),
  text: z.string(),
  annotations: z.array(z.never()),
  logprobs: z.array(z.never()),
});
const itemStatus = z.enum(["in_progress", "completed", "incomplete"]);
export const responseItemSchema = z.union([
  z.object({
    type: z.literal("message"),
    id: z.string(),
    status: itemStatus,
    role: z.literal("assistant"),
    content: z.array(outputText),
  }),
  z.object({
    type: z.literal("function_call"),
    id: z.string(),
    status: itemStatus,
    call_id: z.string(),
    name: z.string(),
    arguments: z.string(),
  }),
]);
export type ResponseItem = z.infer<typeof responseItemSchema>;

export const responsesReplySchema = z.object({
  id: z.string(),
  object: z.literal("response"),
  created_at: seconds,
  status: z.enum(["in_progress", "completed", "incomplete", "failed"]),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
  incomplete_details: z.object({ reason: z.literal("max_output_tokens") }).nullable(),
  instructions: z.string().nullable(),
  max_output_tokens: z.number().nullable(),
  model: z.string(),
  output: z.array(responseItemSchema),
  parallel_tool_calls: z.boolean(),
  previous_response_id: z.null(),
  store: z.literal(false),
  temperature: z.number(),
  text: z.object({ format: z.record(z.string(), z.unknown()) }),
  tool_choice: responseToolChoice,
  tools: z.array(z.record(z.string(), z.unknown())),
  top_p: z.number(),
  truncation: z.literal("disabled"),
  usage: z
    .object({
      input_tokens: z.number(),
      input_tokens_details: z.object({ cached_tokens: z.number() }),
      output_tokens: z.number(),
      output_tokens_details: z.object({ reasoning_tokens: z.number() }),
      total_tokens: z.number(),
    })
    .nullable(),
  metadata: z.record(z.string(), z.string()),
  tabgrid: receiptsSchema.optional(),
});
export type ResponsesReply = z.infer<typeof responsesReplySchema>;
