import { randomBytes } from "node:crypto";
import type { TabgridError } from "../../../shared/errors.ts";
import { compileGrammar } from "../../../shared/grammar/json-schema.ts";
import { limits } from "../../../shared/limits.ts";
import {
  type ChatChunk,
  type ChatReply,
  type ChatRequest,
  type ChatRequestMessage,
  chatRequestSchema,
} from "../../../shared/openai-api.ts";
import { err, ok, type Result } from "../../../shared/result.ts";
import type { TextGrammar } from "../../../shared/text-generation.ts";
import type { TextRequest } from "../../gateway/gateway.ts";
import type { ChatMessage, ModelText } from "../../text/model-text.ts";
import { fault } from "../error-reply.ts";
import { ChatAnswer } from "./chat-answer.ts";
import { type Choice, generateAll, type Progress } from "./choice.ts";
import { type Call, type Handle, type HttpContext, type OpenAiContext, secondsOf } from "./context.ts";
import {
  checkStreamOptions,
  findModel,
  readBody,
  requestSeedOf,
  settingsOf,
  stopStrings,
  tokensToGenerate,
} from "./parameters.ts";
import { type TextJob, textHandler } from "./text-handler.ts";
import { describeTools, grammarOf, planTools, type ToolPlan } from "./tool-prompt.ts";
import { receiptsOf, usageOf } from "./usage.ts";

export type ChatEvent = ChatChunk;

/** `POST /v1/chat/completions`. */
export const chatHandler = (context: HttpContext): Handle =>
  textHandler({
    context,
    read: (bytes) => readBody(chatRequestSchema, bytes),
    prepare: (call) => prepareChat(context, call),
    send: (stream, event: ChatEvent) => stream.send(event),
    finish: (stream) => stream.send("[DONE]"),
  });

/**
 * Answers a conversation, for callers in this process. With `onChunk` it also tells the answer as it comes, in the chunks
 * that a stream has; `onChunk` returns false when the caller has enough.
 */
export async function answerChat(
  context: OpenAiContext,
  { signal, ...call }: Call<ChatRequest>,
  onChunk: ((chunk: ChatChunk) => boolean) | null = null,
): Promise<Result<ChatReply, TabgridError>> {
  const job = await prepareChat(context, call);
  return job.ok ? job.value.run(signal, onChunk) : job;
}

export async function prepareChat(
  context: OpenAiContext,
  call: Omit<Call<ChatRequest>, "signal">,
): Promise<Result<TextJob<ChatReply, ChatChunk>, TabgridError>> {
  const { body } = call;
  const misplaced = checkStreamOptions(body);
  if (misplaced) return err(misplaced);
  const asAgent = context.agents?.(call);
  if (asAgent) return asAgent;
  const model = findModel(context.gateway, body.model, "text-generation", "generates text");
  if (!model.ok) return model;
  const { manifest } = model.value;
  const plan = planTools(
    (body.tools ?? []).map((tool) => functionOf(tool.function)),
    body.tool_choice == null || typeof body.tool_choice === "string"
      ? (body.tool_choice ?? null)
      : body.tool_choice.function,
    body.parallel_tool_calls ?? true,
  );
  if (!plan.ok) return plan;
  const format = grammarFor(body.response_format, plan.value);
  if (!format.ok) return format;
  if (body.top_logprobs != null && !body.logprobs) {
    return fault("invalid-request", "top_logprobs", "nothing unless logprobs is true", String(body.top_logprobs));
  }
  const text = await context.gateway.modelText(manifest.id, manifest.version);
  if (!text.ok) return text;
  const prompt = promptOf(text.value, body.messages, plan.value);
  if (!prompt.ok) return prompt;
  const asked = body.max_completion_tokens ?? body.max_tokens;
  const { contextLength } = text.value;
  const most = tokensToGenerate(prompt.value.length, contextLength, asked, limits.chatTokensDefault, "messages");
  if (!most.ok) return most;
  const settings = settingsOf(body, manifest, most.value, {
    stopTokens: [...text.value.eos],
    topLogProbabilities: body.logprobs ? (body.top_logprobs ?? 0) : 0,
    grammar: format.value,
  });
  if (!settings.ok) return settings;
  const request: Omit<TextRequest, "choice"> = {
    customer: call.customer,
    model: manifest.id,
    version: manifest.version,
    prompt: prompt.value,
    settings: settings.value,
    requestSeed: requestSeedOf(body.seed),
    level: body.service_level ?? null,
    deadlineMs: call.preemptible ? limits.deadlineMaxMs : null,
    preemptible: call.preemptible ?? false,
  };
  const choices = Array.from({ length: body.n ?? 1 }, (_, choice) => ({
    request: { ...request, choice },
    text: text.value,
    stops: stopStrings(body.stop),
    tools: plan.value,
    logprobs: body.logprobs ?? false,
  }));
  return ok({ choices, run: (signal, onEvent) => runChat(context, body, choices, signal, onEvent) });
}

export const functionOf = (given: { name: string; description?: string | null; parameters?: object | null }) => ({
  name: given.name,
  ...(given.description ? { description: given.description } : {}),
  ...(given.parameters ? { parameters: given.parameters as Record<string, unknown> } : {}),
});

/** What the whole text must be: as `response_format` says, or a call that is forced. */
function grammarFor(
  format: ChatRequest["response_format"],
  plan: ToolPlan | null,
): Result<TextGrammar | null, TabgridError> {
  if (!format || format.type === "text") {
    const forced = plan && grammarOf(plan);
    return forced
      ? servable(forced, typeof plan.choice === "object" ? `the parameters of ${plan.choice.name}` : "tools")
      : ok(null);
  }
  if (plan) {
    return fault(
      "unsupported-parameter",
      "response_format",
      "text, as the answer may be a call of a function",
      format.type,
    );
  }
  if (format.type === "json_object") return ok({ kind: "json-schema", schema: { type: "object" } });
  return servable({ kind: "json-schema", schema: format.json_schema.schema }, "response_format.json_schema.schema");
}

/** Refuses now what no miner could hold a text to; the field is a path within `where`. */
function servable(grammar: TextGrammar, where: string): Result<TextGrammar, TabgridError> {
  const compiled = compileGrammar(grammar);
  if (compiled.ok) return ok(grammar);
  const { field = "", message } = compiled.error;
  const place = `${where}${field.replace(/^schema/, "")}`;
  return err({ ...compiled.error, field: place, message: message.replace(field, place) });
}

/** The tokens of a conversation, with the functions told in the way that the model knows. */
function promptOf(text: ModelText, messages: readonly ChatRequestMessage[], plan: ToolPlan | null) {
  const told = messages.map(messageOf);
  if (text.templateKnowsTools) return text.encodeChat(told, plan?.tools ?? []);
  return text.encodeChat(describeTools(told, plan), []);
}

function messageOf(message: ChatRequestMessage): ChatMessage {
  const content = plainText(message.content);
  if (message.role === "tool") return { role: "tool", content, toolCallId: message.tool_call_id };
  const name = message.name ? { name: message.name } : {};
  if (message.role !== "assistant" || !message.tool_calls?.length) return { role: message.role, content, ...name };
  const toolCalls = message.tool_calls.map(({ id, function: called }) => ({ id, ...called }));
  return { role: "assistant", content, ...name, toolCalls };
}

export const plainText = (content: string | { text: string }[] | null | undefined): string =>
  typeof content === "string" ? content : (content ?? []).map(({ text }) => text).join("");

async function runChat(
  { gateway, clock }: OpenAiContext,
  body: ChatRequest,
  choices: readonly Choice[],
  signal: AbortSignal,
  onChunk: ((chunk: ChatChunk) => boolean) | null,
): Promise<Result<ChatReply, TabgridError>> {
  const head = { id: newChatId(), created: secondsOf(clock.now()), model: body.model };
  const answers = choices.map(() => new ChatAnswer());
  const usage = body.stream_options?.include_usage ? { usage: null } : {};
  const chunk = (choices: ChatChunk["choices"], more: Partial<ChatChunk> = {}): boolean =>
    onChunk?.({ ...head, object: "chat.completion.chunk", choices, ...usage, ...more }) ?? true;
  const onProgress = (index: number, progress: Progress) =>
    (answers[index] as ChatAnswer)
      .add(progress)
      .map(({ delta, logprobs }) => chunk([{ index, delta, logprobs, finish_reason: null }]))
      .every(Boolean);
  const ends = await generateAll(gateway, choices, onProgress, signal, (index, { finish, answer }) => {
    // An answer without a text has said nothing yet.
    const delta = (answers[index] as ChatAnswer).opening();
    chunk([{ index, delta, logprobs: null, finish_reason: finish }], { tabgrid: receiptsOf([answer], index) });
  });
  if (!ends.ok) return ends;
  const made = ends.value.map(({ answer }) => answer);
  const reply: ChatReply = {
    ...head,
    object: "chat.completion",
    choices: ends.value.map((end, index) =>
      (answers[index] as ChatAnswer).choice(index, end, choices[index] as Choice),
    ),
    usage: usageOf(made),
    tabgrid: receiptsOf(made),
  };
  // A chunk without choices comes only where it was asked for: many clients read the first choice unseen.
  if (body.stream_options?.include_usage) chunk([], { usage: reply.usage });
  return ok(reply);
}

export const newChatId = (): string => `chatcmpl-${randomBytes(18).toString("base64url")}`;
