import { failure, type TabgridError } from "../../../shared/errors.ts";
import { limits } from "../../../shared/limits.ts";
import type { Nano } from "../../../shared/money.ts";
import {
  type EmbeddingReply,
  type EmbeddingRequest,
  embeddingRequestSchema,
  type QuoteReply,
} from "../../../shared/openai-api.ts";
import { err, ok, type Result } from "../../../shared/result.ts";
import { type Tensor, viewOf } from "../../../shared/tensor.ts";
import type { InferAnswer, InferRequest, ModelStatus } from "../../gateway/gateway.ts";
import { embeddingInputs } from "../../registry/embedding-task.ts";
import type { ModelText } from "../../text/model-text.ts";
import { customerOf } from "../auth.ts";
import { fault, unwrap } from "../error-reply.ts";
import { hangUpSignal } from "../hang-up.ts";
import { microText } from "../price-text.ts";
import type { Call, Handle, HttpContext, OpenAiContext } from "./context.ts";
import { findModel, readBody } from "./parameters.ts";
import { countsOf, receiptsOf, setReceiptHeaders } from "./usage.ts";

/** `POST /v1/embeddings`. */
export function embeddingHandler(context: HttpContext): Handle {
  return async (request, response) => {
    const customer = customerOf(response);
    const body = unwrap(readBody(embeddingRequestSchema, request.body));
    const job = unwrap(await prepare(context, { customer, body }));
    if (body.dry_run) {
      response.json(unwrap(await quote(context, body.model, job)));
      return;
    }
    await context.tokens.take(response, job.tokens);
    const answered = await run(context, body, job, hangUpSignal(response));
    if (!answered.ok) await context.tokens.giveBack(response, job.tokens);
    const reply = unwrap(answered);
    setReceiptHeaders(response, reply.tabgrid);
    response.json(reply);
  };
}

export async function answerEmbedding(
  context: OpenAiContext,
  { signal, ...call }: Call<EmbeddingRequest>,
): Promise<Result<EmbeddingReply, TabgridError>> {
  const job = await prepare(context, call);
  return job.ok ? run(context, call.body, job.value, signal) : job;
}

interface EmbeddingJob {
  /** Each computes some rows; `rows` are their places among the inputs. */
  tasks: { request: InferRequest; rows: number[] }[];
  inputs: number;
  tokens: number;
  dimensions: number;
}

/** Padded tokens of one task: what it reads is kept small, so that several miners share a long list. */
const TASK_TOKENS = 4_096;
/** A token that any vocabulary has; masked tokens count for nothing. */
const PAD = 0;
/** Tasks of one request that are under way at once. */
const TASKS_AT_ONCE = 8;

async function prepare(
  { gateway }: OpenAiContext,
  { customer, body, preemptible = false }: Omit<Call<EmbeddingRequest>, "signal">,
): Promise<Result<EmbeddingJob, TabgridError>> {
  const model = findModel(gateway, body.model, "embedding", "makes embeddings");
  if (!model.ok) return model;
  const { manifest } = model.value;
  const most = manifest.embedding?.dimensions ?? 0;
  if (body.dimensions != null && body.dimensions > most) {
    return fault("value-out-of-range", "dimensions", `at most ${most}`, String(body.dimensions));
  }
  const text = await gateway.modelText(manifest.id, manifest.version);
  if (!text.ok) return text;
  const inputs = tokensOf(body.input, text.value, model.value);
  if (!inputs.ok) return inputs;
  const tokens = inputs.value.reduce((sum, one) => sum + one.length, 0);
  if (tokens > limits.embeddingTokensMax) {
    return fault("invalid-request", "input", `at most ${limits.embeddingTokensMax} tokens`, String(tokens));
  }
  const tasks = groups(inputs.value, manifest.batch.limit).map((rows) => ({
    rows,
    request: {
      customer,
      model: manifest.id,
      version: manifest.version,
      inputs: tensorsOf(
        rows.map((row) => inputs.value[row] as Int32Array),
        model.value,
      ),
      outputs: ["embedding"],
      level: body.service_level ?? null,
      deadlineMs: preemptible ? limits.deadlineMaxMs : null,
      id: null,
      preemptible,
    },
  }));
  return ok({ tasks, inputs: inputs.value.length, tokens, dimensions: body.dimensions ?? most });
}

/** Each input as tokens, checked against what the model can take. */
function tokensOf(
  given: EmbeddingRequest["input"],
  text: ModelText,
  { manifest }: ModelStatus,
): Result<Int32Array[], TabgridError> {
  const isOne = typeof given === "string" || typeof given[0] === "number";
  const many = (isOne ? [given] : given) as (string | number[])[];
  if (many.length > limits.embeddingInputsMax) {
    return fault("invalid-request", "input", `at most ${limits.embeddingInputsMax} inputs`, String(many.length));
  }
  const contextLength = manifest.embedding?.contextLength ?? text.contextLength;
  const [, highest] = manifest.inputs.find(({ name }) => name === "input_ids")?.range ?? [0, Number.POSITIVE_INFINITY];
  const inputs: Int32Array[] = [];
  for (const [index, one] of many.entries()) {
    const field = isOne ? "input" : `input[${index}]`;
    if (one.length === 0) return fault("invalid-request", field, "text or tokens", "none");
    const tokens = typeof one === "string" ? text.encode(one, { addSpecial: true }) : one;
    const wrong = typeof one === "string" ? -1 : one.findIndex((token) => token > highest);
    if (wrong >= 0) return fault("value-out-of-range", `${field}[${wrong}]`, `0 to ${highest}`, String(one[wrong]));
    if (tokens.length > contextLength) {
      const message = `this model reads ${contextLength} tokens at once, but ${field} has ${tokens.length}`;
      const detail = { field, expected: `at most ${contextLength} tokens`, got: String(tokens.length) };
      return err(failure("context-length-exceeded", message, detail));
    }
    inputs.push(Int32Array.from(tokens));
  }
  return ok(inputs);
}

/** Rows that one task computes: of like length, as the longest decides how long each is. */
function groups(inputs: readonly Int32Array[], batchLimit: number): number[][] {
  const byLength = inputs.map((_, row) => row).sort((a, b) => lengthOf(inputs, a) - lengthOf(inputs, b));
  const made: number[][] = [];
  for (const row of byLength) {
    const last = made.at(-1);
    const padded = ((last?.length ?? 0) + 1) * lengthOf(inputs, row);
    if (last && last.length < batchLimit && padded <= TASK_TOKENS) last.push(row);
    else made.push([row]);
  }
  return made;
}

const lengthOf = (inputs: readonly Int32Array[], row: number): number => inputs[row]?.length ?? 0;

/** As the graph's inputs want them; the mask is 0 where a row is padded. */
function tensorsOf(rows: readonly Int32Array[], { manifest }: ModelStatus): Tensor[] {
  const longest = Math.max(...rows.map((row) => row.length));
  const fixed = manifest.inputs[0]?.shape[1];
  const length = typeof fixed === "number" ? fixed : longest;
  return embeddingInputs(
    manifest.inputs,
    rows.map((row) => [...row]),
    length,
    PAD,
  );
}

async function quote(
  { gateway }: OpenAiContext,
  model: string,
  { tasks, tokens }: EmbeddingJob,
): Promise<Result<QuoteReply, TabgridError>> {
  let price: Nano = 0n;
  let work = 0n;
  for (const { request } of tasks) {
    const quoted = await gateway.quote(request);
    if (!quoted.ok) return quoted;
    price += quoted.value.price;
    work += quoted.value.work;
  }
  const usage = countsOf(tokens, 0);
  return ok({ object: "quote", dry_run: true, model, price: microText(price), work: String(work), usage });
}

async function run(
  { gateway }: OpenAiContext,
  body: EmbeddingRequest,
  { tasks, inputs, tokens, dimensions }: EmbeddingJob,
  signal: AbortSignal,
): Promise<Result<EmbeddingReply, TabgridError>> {
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const answers: InferAnswer[] = [];
  const vectors: Float32Array<ArrayBuffer>[] = Array.from({ length: inputs });
  let error: TabgridError | null = null;
  const waiting = tasks.entries();
  const lane = async () => {
    for (const [index, { request, rows }] of waiting) {
      if (error) return;
      const answer = await gateway.infer(request, either);
      if (!answer.ok) {
        error ??= answer.error;
        failed.abort();
        return;
      }
      answers[index] = answer.value;
      const output = answer.value.outputs[0] as Tensor;
      const values = viewOf(output) as Float32Array<ArrayBuffer>;
      const width = values.length / rows.length;
      for (const [at, row] of rows.entries()) vectors[row] = values.slice(at * width, (at + 1) * width);
    }
  };
  await Promise.all(Array.from({ length: TASKS_AT_ONCE }, lane));
  if (error) return err(error);
  return ok({
    object: "list",
    model: body.model,
    data: vectors.map((vector, index) => {
      const shown = vector.length > dimensions ? unit(vector.subarray(0, dimensions)) : vector;
      return { object: "embedding", index, embedding: body.encoding_format === "base64" ? base64(shown) : [...shown] };
    }),
    usage: { prompt_tokens: tokens, total_tokens: tokens },
    tabgrid: receiptsOf(answers),
  });
}

/** Of length one again; a vector of zeros stays. */
export function unit(vector: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const norm = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  return norm === 0 ? vector : vector.map((value) => value / norm);
}

const base64 = (vector: Float32Array): string =>
  Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString("base64");
