import type { TabgridError } from "../../../shared/errors.ts";
import {
  type ChatRequest,
  type ChatRequestMessage,
  type ResponseInputItem,
  type ResponsesReply,
  type ResponsesRequest,
  responsesRequestSchema,
} from "../../../shared/openai-api.ts";
import { err, ok, type Result } from "../../../shared/result.ts";
import { openAiError } from "../error-reply.ts";
import { functionOf, prepareChat } from "./chat.ts";
import { type Call, type Handle, type HttpContext, type OpenAiContext, secondsOf } from "./context.ts";
import { readBody } from "./parameters.ts";
import { newItemId, type ResponseEvent, ResponseOutput } from "./response-events.ts";
import { type TextJob, textHandler } from "./text-handler.ts";

/** `POST /v1/responses`: a chat in the shapes of OpenAI's Responses, without a memory of earlier calls. */
export const responsesHandler = (context: HttpContext): Handle =>
  textHandler({
    context,
    read: (bytes) => readBody(responsesRequestSchema, bytes),
    prepare: (call) => prepareResponse(context, call),
    send: (stream, event: ResponseEvent) => stream.send(event, event.type),
    finish: () => {},
    // Where its events have begun, `response.failed` has said it.
    fail: (stream, error) => stream.fail(error, () => {}),
  });

export async function answerResponse(
  context: OpenAiContext,
  { signal, ...call }: Call<ResponsesRequest>,
): Promise<Result<ResponsesReply, TabgridError>> {
  const job = await prepareResponse(context, call);
  return job.ok ? job.value.run(signal, null) : job;
}

async function prepareResponse(
  context: OpenAiContext,
  { body, ...call }: Omit<Call<ResponsesRequest>, "signal">,
): Promise<Result<TextJob<ResponsesReply, ResponseEvent>, TabgridError>> {
  const chat = await prepareChat(context, { ...call, body: chatRequestOf(body) });
  if (!chat.ok) return inResponsesNames(chat.error);
  const { choices, run } = chat.value;
  return ok({
    choices,
    run: async (signal, onEvent) => {
      let sequence = 0;
      const output = new ResponseOutput((event) => onEvent?.({ ...event, sequence_number: sequence++ }) ?? true);
      const begun = emptyReply(body, secondsOf(context.clock.now()));
      const answered = await run(signal, (chunk) => {
        if (sequence === 0) output.begin({ ...begun, output: [] });
        return output.add(chunk);
      });
      if (!answered.ok) {
        const { code, message } = openAiError(answered.error).error;
        if (sequence > 0) output.finish({ ...begun, status: "failed", error: { code, message }, output: output.items });
        return inResponsesNames(answered.error);
      }
      const { usage, tabgrid, choices } = answered.value;
      const status = choices[0]?.finish_reason === "length" ? "incomplete" : "completed";
      output.end(status);
      const reply: ResponsesReply = {
        ...begun,
        status,
        incomplete_details: status === "incomplete" ? { reason: "max_output_tokens" } : null,
        output: output.items,
        usage: {
          input_tokens: usage.prompt_tokens,
          input_tokens_details: { cached_tokens: 0 },
          output_tokens: usage.completion_tokens,
          output_tokens_details: { reasoning_tokens: 0 },
          total_tokens: usage.total_tokens,
        },
        tabgrid,
      };
      output.finish(reply);
      return ok(reply);
    },
  });
}

/** The chat that a response is, in its own parameters' names. */
function chatRequestOf(body: ResponsesRequest): ChatRequest {
  const { model, temperature, top_p, user, metadata, service_level } = body;
  const { format } = body.text ?? {};
  const instructions: ChatRequestMessage[] = body.instructions ? [{ role: "system", content: body.instructions }] : [];
  const input: ChatRequestMessage[] =
    typeof body.input === "string" ? [{ role: "user", content: body.input }] : messagesOf(body.input);
  const choice = body.tool_choice;
  return {
    model,
    messages: [...instructions, ...input],
    temperature,
    top_p,
    user,
    metadata,
    service_level,
    max_completion_tokens: body.max_output_tokens,
    tools: body.tools?.map(({ type, ...tool }) => ({ type, function: { ...functionOf(tool) } })),
    tool_choice:
      choice == null || typeof choice === "string" ? choice : { type: "function", function: { name: choice.name } },
    parallel_tool_calls: body.parallel_tool_calls,
    response_format:
      format?.type === "json_schema"
        ? { type: "json_schema", json_schema: { name: format.name, schema: format.schema } }
        : format,
  };
}

/** Calls that follow one another, or an answer, are one message of the assistant. */
function messagesOf(items: readonly ResponseInputItem[]): ChatRequestMessage[] {
  const messages: ChatRequestMessage[] = [];
  for (const item of items) {
    if (item.type === "function_call_output") {
      const content = typeof item.output === "string" ? item.output : item.output.map(({ text }) => text).join("");
      messages.push({ role: "tool", tool_call_id: item.call_id, content });
    } else if (item.type === "function_call") {
      const call = {
        id: item.call_id,
        type: "function" as const,
        function: { name: item.name, arguments: item.arguments },
      };
      const last = messages.at(-1);
      if (last?.role === "assistant") last.tool_calls = [...(last.tool_calls ?? []), call];
      else messages.push({ role: "assistant", content: null, tool_calls: [call] });
    } else {
      const content = typeof item.content === "string" ? item.content : item.content.map(({ text }) => text).join("");
      messages.push({ role: item.role, content });
    }
  }
  return messages;
}

/** An error about the chat, in the words of the request that it was made from. */
function inResponsesNames(error: TabgridError): Result<never, TabgridError> {
  const { field = "" } = error;
  const name = field.replace(/^messages/, "input").replace(/^response_format(\.json_schema)?/, "text.format");
  return err({
    ...error,
    ...(error.field ? { field: name } : {}),
    message: error.message.replaceAll(field || "\0", name),
  });
}

const emptyReply = (body: ResponsesRequest, createdAt: number): ResponsesReply => ({
  id: newItemId("resp"),
  object: "response",
  created_at: createdAt,
  status: "in_progress",
  error: null,
  incomplete_details: null,
  instructions: body.instructions ?? null,
  max_output_tokens: body.max_output_tokens ?? null,
  model: body.model,
  output: [],
  parallel_tool_calls: body.parallel_tool_calls ?? true,
  previous_response_id: null,
  store: false,
  temperature: body.temperature ?? 1,
  text: { format: body.text?.format ?? { type: "text" } },
  tool_choice: body.tool_choice ?? "auto",
  tools: body.tools ?? [],
  top_p: body.top_p ?? 1,
  truncation: "disabled",
  usage: null,
  metadata: body.metadata ?? {},
});
