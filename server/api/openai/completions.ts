import { randomBytes } from "node:crypto";
import type { TabgridError } from "../../../shared/errors.ts";
import { limits } from "../../../shared/limits.ts";
import {
  type CompletionLogprobs,
  type CompletionReply,
  type CompletionRequest,
  completionRequestSchema,
} from "../../../shared/openai-api.ts";
import { err, ok, type Result } from "../../../shared/result.ts";
import type { ModelStatus } from "../../gateway/gateway.ts";
import type { ModelText } from "../../text/model-text.ts";
import { fault } from "../error-reply.ts";
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
import type { TokenView } from "./token-track.ts";
import { receiptsOf, usageOf } from "./usage.ts";

/** `POST /v1/completions`: text goes on from a prompt. Its chunks have the shape of its reply. */
export const completionHandler = (context: HttpContext): Handle =>
  textHandler({
    context,
    read: (bytes) => readBody(completionRequestSchema, bytes),
    prepare: (call) => prepareCompletion(context, call),
    send: (stream, chunk: CompletionReply) => stream.send(chunk),
    finish: (stream) => stream.send("[DONE]"),
  });

export async function answerCompletion(
  context: OpenAiContext,
  { signal, ...call }: Call<CompletionRequest>,
): Promise<Result<CompletionReply, TabgridError>> {
  const job = await prepareCompletion(context, call);
  return job.ok ? job.value.run(signal, null) : job;
}

async function prepareCompletion(
  context: OpenAiContext,
  call: Omit<Call<CompletionRequest>, "signal">,
): Promise<Result<TextJob<CompletionReply, CompletionReply>, TabgridError>> {
  const { body } = call;
  const misplaced = checkStreamOptions(body);
  if (misplaced) return err(misplaced);
  const model = findModel(context.gateway, body.model, "text-generation", "generates text");
  if (!model.ok) return model;
  const { manifest } = model.value;
  const text = await context.gateway.modelText(manifest.id, manifest.version);
  if (!text.ok) return text;
  const prompts = promptsOf(body.prompt, text.value, model.value);
  if (!prompts.ok) return prompts;
  const n = body.n ?? 1;
  if (prompts.value.length * n > limits.choicesMax) {
    return fault("invalid-request", "n", `at most ${limits.choicesMax} answers`, String(prompts.value.length * n));
  }
  const choices: Choice[] = [];
  for (const prompt of prompts.value) {
    const { contextLength } = text.value;
    const most = tokensToGenerate(
      prompt.length,
      contextLength,
      body.max_tokens,
      limits.completionTokensDefault,
      "prompt",
    );
    if (!most.ok) return most;
    const settings = settingsOf(body, manifest, most.value, {
      stopTokens: [...text.value.eos],
      topLogProbabilities: body.logprobs ?? 0,
      grammar: null,
    });
    if (!settings.ok) return settings;
    for (let choice = 0; choice < n; choice++) {
      choices.push({
        request: {
          customer: call.customer,
          model: manifest.id,
          version: manifest.version,
          prompt,
          settings: settings.value,
          requestSeed: requestSeedOf(body.seed),
          choice,
          level: body.service_level ?? null,
          deadlineMs: call.preemptible ? limits.deadlineMaxMs : null,
          preemptible: call.preemptible ?? false,
        },
        text: text.value,
        stops: stopStrings(body.stop),
        tools: null,
        logprobs: body.logprobs != null,
      });
    }
  }
  return ok({ choices, run: (signal, onEvent) => runCompletion(context, body, choices, signal, onEvent) });
}

/** One prompt or several, each as text or as tokens. */
function promptsOf(
  given: CompletionRequest["prompt"],
  text: ModelText,
  { manifest }: ModelStatus,
): Result<Int32Array<ArrayBuffer>[], TabgridError> {
  const many = (typeof given === "string" || typeof given[0] === "number" ? [given] : given) as (string | number[])[];
  const vocabulary = manifest.text?.vocabulary ?? Number.POSITIVE_INFINITY;
  const prompts: Int32Array<ArrayBuffer>[] = [];
  for (const [index, one] of many.entries()) {
    const field = many.length > 1 ? `prompt[${index}]` : "prompt";
    if (typeof one === "string") {
      prompts.push(text.encode(one, { addSpecial: true }));
    } else {
      const wrong = one.findIndex((token) => token >= vocabulary);
      if (wrong >= 0)
        return fault("value-out-of-range", `${field}[${wrong}]`, `below ${vocabulary}`, String(one[wrong]));
      prompts.push(Int32Array.from(one));
    }
    if (prompts.at(-1)?.length === 0) return fault("invalid-request", field, "at least one token", "none");
  }
  return ok(prompts);
}

async function runCompletion(
  { gateway, clock }: OpenAiContext,
  body: CompletionRequest,
  choices: readonly Choice[],
  signal: AbortSignal,
  onChunk: ((chunk: CompletionReply) => boolean) | null,
): Promise<Result<CompletionReply, TabgridError>> {
  const id = `cmpl-${randomBytes(18).toString("base64url")}`;
  const head = { id, object: "text_completion" as const, created: secondsOf(clock.now()), model: body.model };
  const answers = choices.map(() => ({ text: "", tokens: [] as TokenView[] }));
  const usage = body.stream_options?.include_usage ? { usage: null } : {};
  const withTop = (body.logprobs ?? 0) > 0;
  const logprobs = (tokens: TokenView[]) => (body.logprobs == null ? null : logprobsOf(tokens, withTop));
  const onProgress = (index: number, { pieces, tokens }: Progress): boolean => {
    const answer = answers[index] as (typeof answers)[number];
    const text = pieces.map((piece) => (piece.kind === "text" ? piece.text : "")).join("");
    answer.text += text;
    answer.tokens.push(...tokens);
    const choice = { index, text, logprobs: logprobs(tokens), finish_reason: null };
    return onChunk?.({ ...head, choices: [choice], ...usage }) ?? true;
  };
  const ends = await generateAll(gateway, choices, onProgress, signal, (index, { finish, answer }) => {
    const last = { index, text: "", logprobs: null, finish_reason: finishOf(finish) };
    onChunk?.({ ...head, choices: [last], ...usage, tabgrid: receiptsOf([answer], index) });
  });
  if (!ends.ok) return ends;
  const made = ends.value.map(({ answer }) => answer);
  const reply: CompletionReply = {
    ...head,
    choices: ends.value.map(({ finish }, index) => {
      const { text, tokens } = answers[index] as (typeof answers)[number];
      return { index, text, logprobs: logprobs(tokens), finish_reason: finishOf(finish) };
    }),
    usage: usageOf(made),
    tabgrid: receiptsOf(made),
  };
  if (body.stream_options?.include_usage) onChunk?.({ ...head, choices: [], usage: reply.usage });
  return ok(reply);
}

const finishOf = (finish: "stop" | "length" | "tool_calls"): "stop" | "length" =>
  finish === "length" ? "length" : "stop";

function logprobsOf(tokens: readonly TokenView[], withTop: boolean): CompletionLogprobs {
  const top = tokens.map((token) => Object.fromEntries(token.top.map((one) => [one.text, one.logProbability])));
  return {
    tokens: tokens.map(({ text }) => text),
    token_logprobs: tokens.map(({ logProbability }) => logProbability),
    top_logprobs: withTop ? top : null,
    text_offset: tokens.map(({ at }) => at),
  };
}
