import type { z } from "zod";
import type { Manifest } from "../../../models/manifest.ts";
import { failure, type TabgridError } from "../../../shared/errors.ts";
import type { CompletionRequest } from "../../../shared/openai-api.ts";
import { err, ok, type Result } from "../../../shared/result.ts";
import type { GenerationSettings } from "../../../shared/text-generation.ts";
import type { Gateway, ModelStatus } from "../../gateway/gateway.ts";
import { fault } from "../error-reply.ts";
import { parseJson } from "../json-text.ts";
import { check } from "../validation.ts";

/** Reads what OpenAI's clients send; a parameter that is not known, or cannot be honoured, is refused by its name. */

export function readBody<Schema extends z.ZodType>(
  schema: Schema,
  bytes: Uint8Array,
): Result<z.output<Schema>, TabgridError> {
  const json = parseJson(bytes);
  return json.ok ? readParameters(schema, json.value) : json;
}

export function readParameters<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
): Result<z.output<Schema>, TabgridError> {
  const checked = check(schema, value, "body", "unsupported-parameter");
  if (checked.ok) return checked;
  const { field = "" } = checked.error;
  return unsupportedValues.test(field) ? err({ ...checked.error, code: "unsupported-parameter" }) : checked;
}

/** Parameters of OpenAI's that have one value here, and the kinds of content, tools and formats there are. */
const unsupportedValues =
  /^(store|background|truncation|previous_response_id|conversation|echo|best_of|suffix|stream_options\.include_obfuscation)$|(^|\.)(type|audio|refusal|function_call)$/;

/** The model that a request names, `id` or `id@version`, if it does what is asked of it. */
export function findModel(
  gateway: Gateway,
  asked: string,
  task: Manifest["task"],
  what: string,
): Result<ModelStatus, TabgridError> {
  const [id = "", version] = asked.split("@");
  const found = gateway.model(id, version);
  if (!found) {
    return err(failure("unknown-model", `the model ${asked} does not exist`, { field: "model", got: asked }));
  }
  if (found.manifest.task === task) return ok(found);
  return fault("invalid-request", "model", `a model that ${what}`, `${asked}, whose task is ${found.manifest.task}`);
}

type Sampling = Pick<
  CompletionRequest,
  "temperature" | "top_p" | "top_k" | "presence_penalty" | "frequency_penalty" | "logit_bias"
>;

/** The settings of a generation but for what its prompt decides. */
export function settingsOf(
  body: Partial<Sampling>,
  { text }: Manifest,
  maxTokens: number,
  more: Pick<GenerationSettings, "grammar" | "topLogProbabilities" | "stopTokens">,
): Result<Omit<GenerationSettings, "seed">, TabgridError> {
  const bias: [number, number][] = [];
  for (const [token, value] of Object.entries(body.logit_bias ?? {})) {
    if (text && Number(token) >= text.vocabulary) {
      return fault("value-out-of-range", `logit_bias.${token}`, `a token below ${text.vocabulary}`, token);
    }
    bias.push([Number(token), value]);
  }
  if (bias.length > 1_024) return fault("invalid-request", "logit_bias", "at most 1024 tokens", String(bias.length));
  return ok({
    maxTokens,
    temperature: body.temperature ?? 1,
    topP: body.top_p ?? 1,
    topK: body.top_k ?? 0,
    presencePenalty: body.presence_penalty ?? 0,
    frequencyPenalty: body.frequency_penalty ?? 0,
    bias,
    ...more,
  });
}

/**
 * How many tokens a prompt of this length may be answered with: what was asked for, or `unasked` where nothing was and the
 * context leaves as many. The prompt and its answer share the context.
 */
export function tokensToGenerate(
  promptTokens: number,
  contextLength: number,
  asked: number | null | undefined,
  unasked: number,
  field: string,
): Result<number, TabgridError> {
  const left = contextLength - promptTokens;
  if (left < 1 || (asked ?? 1) > left) {
    const wanted = asked
      ? `${promptTokens} of the ${field} and ${asked} to generate`
      : `${promptTokens} of the ${field}`;
    const message = `this model's context is ${contextLength} tokens, but ${promptTokens + (asked ?? 1)} were asked for: ${wanted}`;
    const detail = { field, expected: `at most ${contextLength} tokens`, got: String(promptTokens + (asked ?? 1)) };
    return err(failure("context-length-exceeded", message, detail));
  }
  return ok(asked ?? Math.min(left, unasked));
}

export const stopStrings = (stop: string | string[] | null | undefined): string[] =>
  stop == null ? [] : typeof stop === "string" ? [stop] : stop;

/** `stream_options` means nothing without a stream. */
export function checkStreamOptions(body: Pick<CompletionRequest, "stream" | "stream_options">): TabgridError | null {
  if (body.stream || !body.stream_options) return null;
  return failure("invalid-request", "stream_options: expected nothing, as stream is not true, got an object", {
    field: "stream_options",
  });
}

export const requestSeedOf = (seed: number | null | undefined): bigint | null => (seed == null ? null : BigInt(seed));
