import { createHmac, randomBytes } from "node:crypto";
import { failure, type TabgridError } from "../../shared/errors.ts";
import { compileGrammar } from "../../shared/grammar/json-schema.ts";
import { modelKey, receiptOf } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { executionsPriced } from "../../shared/pricing.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import {
  type FinishReason,
  type GenerationSettings,
  generationSettingsSchema,
  settingsTensor,
  textTensors,
  tokenTensor,
} from "../../shared/text-generation.ts";
import type { Clock } from "../../shared/time.ts";
import type { TaskSpec } from "../core/events.ts";
import { costOf, type TextTerms, textPrice } from "../core/text-terms.ts";
import { levelIn } from "../economy/verification-terms.ts";
import type { RegisteredModel } from "../registry/files.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { checksUnder, type DomainMap } from "../settlement/domain-map.ts";
import { commitmentOf } from "../sockets/identity.ts";
import { newTaskId } from "../store/task-id.ts";
import type { Gateway, TextAnswer, TextPart, TextRequest } from "./gateway.ts";

/** Text requests: prompt and settings become a task whose parts go to the caller as the core releases them. */

export interface TextGatewayParts {
  find(id: string, version?: string): Result<RegisteredModel, TabgridError>;
  runtime: Pick<Runtime, "submit" | "report">;
  domains: DomainMap;
  clock: Clock;
  /** Known to this hub alone. */
  seedKey: Uint8Array;
}

/** A request whose text was refuted before anyone saw a token of it is made again, by others. */
const TRIES = 3;

export function createTextGateway({
  find,
  runtime,
  domains,
  clock,
  seedKey,
}: TextGatewayParts): Pick<Gateway, "generate" | "quoteText"> {
  function specOf(request: TextRequest): Result<TaskSpec & { text: TextTerms }, TabgridError> {
    const model = find(request.model, request.version);
    if (!model.ok) return model;
    const { manifest } = model.value;
    const { text } = manifest;
    if (manifest.task !== "text-generation" || !text) {
      const message = `${manifest.id} generates no text`;
      return err(
        failure("invalid-request", message, {
          field: "model",
          expected: "a text-generation model",
          got: manifest.task,
        }),
      );
    }
    const key = modelKey(manifest.id, manifest.version);
    const domain = domains.settingsOf(key);
    const asked = levelIn(domain.verification, request.level, "fast");
    if (!asked.ok) return asked;
    const requestSeed = request.requestSeed ?? randomBytes(8).readBigUInt64BE();
    const seed = createHmac("sha256", seedKey)
      .update(`${request.customer}\n${key}\n${requestSeed}\n${request.choice}`)
      .digest("hex")
      .slice(0, 16);
    const settings: GenerationSettings = { ...request.settings, seed };
    const problem = faultOf(request, settings, text);
    if (problem) return err(problem);
    const inputs = [tokenTensor(textTensors.prompt, request.prompt), settingsTensor(settings)];
    const terms: TextTerms = {
      promptTokens: request.prompt.length,
      maxTokens: settings.maxTokens,
      stopTokens: settings.stopTokens,
      endsByGrammar: settings.grammar !== null && settings.stopTokens.length === 0,
      enough: request.enough ?? null,
      vocabulary: text.vocabulary,
      topLogProbabilities: settings.topLogProbabilities,
      work: text.work,
      tariff: domain.tariff,
      requestSeed: requestSeed.toString(),
      preemptible: request.preemptible === true,
    };
    const level = asked.value;
    const { generation, check } = costOf(terms, settings.maxTokens);
    return ok({
      task: newTaskId(clock.now()),
      customer: request.customer,
      model: key,
      inputs,
      inputHash: commitmentOf(inputs).toString("hex"),
      rows: 1,
      dims: {},
      work: generation + check * BigInt(executionsPriced(level) - 1),
      price: textPrice(terms, level, settings.maxTokens),
      level,
      checks: checksUnder(domain),
      deadlineAt: clock.now() + (request.deadlineMs ?? limits.deadlineDefaultMs),
      text: terms,
    });
  }

  async function attempt(
    spec: TaskSpec & { text: TextTerms },
    onPart: (part: TextPart) => boolean,
    signal: AbortSignal,
  ): Promise<{ result: Awaited<ReturnType<Runtime["submit"]>>; ended: FinishReason | null; taken: number }> {
    let taken = 0;
    let ended: FinishReason | null = null;
    const end = (finish: FinishReason) => {
      if (ended) return;
      ended = finish;
      const text = { delivered: taken, finish };
      runtime.report({ kind: "task.cancelled", at: clock.now(), task: spec.task, text });
    };
    const take = (part: TextPart) => {
      if (ended) return;
      taken += part.tokens.length;
      if (!onPart(part)) end("stop");
    };
    const abort = () => end("cancelled");
    const submitted = runtime.submit(spec, take);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
    const result = await submitted;
    signal.removeEventListener("abort", abort);
    return { result, ended, taken };
  }

  return {
    async quoteText(request) {
      const spec = specOf(request);
      return spec.ok ? ok({ price: spec.value.price, work: spec.value.work }) : spec;
    },

    async generate(request, onPart, signal) {
      for (let tries = 1; ; tries++) {
        const built = specOf(request);
        if (!built.ok) return built;
        const spec = built.value;
        const { result, ended, taken } = await attempt(spec, onPart, signal);
        if (!result.ok) {
          if (result.again && taken === 0 && !ended && tries < TRIES) continue;
          return err(result.error);
        }
        return ok(answerOf(spec, result, ended));
      }
    },
  };
}

function answerOf(
  spec: TaskSpec & { text: TextTerms },
  result: Extract<Awaited<ReturnType<Runtime["submit"]>>, { ok: true }>,
  ended: FinishReason | null,
): TextAnswer {
  const at = spec.model.lastIndexOf("@");
  return {
    task: spec.task,
    receipt: receiptOf(spec.task),
    basis: result.basis,
    level: spec.level,
    price: result.text?.price ?? spec.price,
    model: { id: spec.model.slice(0, at), version: spec.model.slice(at + 1) },
    finish: ended ?? result.text?.finish ?? "length",
    promptTokens: spec.text.promptTokens,
    outputTokens: result.text?.tokens ?? 0,
    seed: spec.text.requestSeed,
  };
}

/** What is wrong with a text request, its first fault. */
function faultOf(
  { prompt, deadlineMs }: TextRequest,
  settings: GenerationSettings,
  { contextLength, vocabulary }: { contextLength: number; vocabulary: number },
): TabgridError | null {
  const invalid = (field: string, expected: string, got: unknown) =>
    failure("invalid-request", `${field}: expected ${expected}, got ${got}`, { field, expected, got: String(got) });
  if (deadlineMs !== null && deadlineMs <= 0) {
    const detail = { field: "deadlineMs", expected: "more than 0", got: String(deadlineMs) };
    return failure("deadline-expired", "the deadline has passed already", detail);
  }
  if (prompt.length === 0) return invalid("prompt", "at least one token", 0);
  const alien = prompt.find((token) => token < 0 || token >= vocabulary);
  if (alien !== undefined) return invalid("prompt", `tokens of 0 to ${vocabulary - 1}`, alien);
  if (!(settings.maxTokens >= 1)) return invalid("maxTokens", "at least 1", settings.maxTokens);
  const count = prompt.length + settings.maxTokens;
  if (count > contextLength) {
    const asked = `${prompt.length} of the prompt and ${settings.maxTokens} of the answer`;
    return failure(
      "context-length-exceeded",
      `this model's context is ${contextLength} tokens, but ${count} were asked for: ${asked}`,
      { field: "prompt", expected: `at most ${contextLength} tokens`, got: String(count) },
    );
  }
  const parsed = generationSettingsSchema.safeParse(settings);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const field = issue?.path.join(".") ?? "settings";
    return invalid(field, issue?.message ?? "valid settings", JSON.stringify(at(settings, issue?.path ?? [])));
  }
  if (settings.grammar) {
    const grammar = compileGrammar(settings.grammar);
    if (!grammar.ok) return grammar.error;
  }
  return null;
}

const at = (value: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>((held, key) => (held as Record<PropertyKey, unknown> | undefined)?.[key], value);
