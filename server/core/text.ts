import { failure, type TabgridError } from "../../shared/errors.ts";
import type { AssignmentId } from "../../shared/ids.ts";
import type { AssignmentMode } from "../../shared/protocol.ts";
import { assert } from "../../shared/result.ts";
import { matchSpecs, type Tensor, tensorOf, viewOf } from "../../shared/tensor.ts";
import { type FinishReason, textTensors, tokensIn, tokenTensor } from "../../shared/text-generation.ts";
import type { Millis } from "../../shared/time.ts";
import type { Role } from "./queue.ts";
import type { Assignment } from "./roster.ts";
import type { OpenTask, Run } from "./state.ts";
import type { TextTerms } from "./text-terms.ts";

/**
 * A text request as a task. One miner makes it (`generate`), and where it leaves another goes on after its tokens: each part
 * is a run of its own, the tokens of `span`. Checks are `score` runs over all of it, and are compared with it alone
 * (text-evidence.ts); everything else about the task is as for a tensor.
 */
export interface TextProgress {
  /** Who makes it now; null between two makers and at the end. */
  maker: Maker | null;
  /** All of them, of all makers, authenticated but perhaps not checked. */
  tokens: number[];
  /** As their makers state them. */
  logProbabilities: number[];
  /** Per token; only where asked for. */
  top: TopToken[][];
  /** Tokens that the caller has. */
  released: number;
  /** Set once no more tokens come. */
  finish: FinishReason | null;
  /** Makers that left in its middle. */
  left: number;
  /** A stream that goes on is alive whatever its deadline was. */
  aliveUntil: Millis;
  /** A check that follows the stream (text-chunks.ts). */
  scoring: Scoring | null;
}

export interface TopToken {
  token: number;
  logProbability: number;
}

export interface Maker {
  /** Null: the reference node. */
  assignment: AssignmentId | null;
  /** Index of its first token. */
  from: number;
  /** Its tokens go to the caller as they come. */
  isTrusted: boolean;
}

/** Scores of one checker so far: of the tokens before `run.span.to`. */
export interface Scoring {
  run: Run;
  /** Null: the reference node. */
  session: Assignment["session"] | null;
  /** A further part of it is with the checker. */
  isOut: boolean;
  /** Which one, of the reference node. */
  asked?: Span;
}

/** Tokens [from, to) of a text. */
export interface Span {
  from: number;
  to: number;
}

/** From so many new tokens on a check follows a stream that waits for it. */
export const CHUNK = 64;
/** A stream is alive for so long after its last tokens. */
export const STREAM_LEASE_MS = 10_000;

/** And what of it is made waits so long for a check. */
export const CHECK_PATIENCE_MS = 30_000;

/** When a caller is told that it waited in vain. */
export const deadlineOf = ({ spec, text }: OpenTask): Millis => Math.max(spec.deadlineAt, text?.aliveUntil ?? 0);

export const freshText = (): TextProgress => ({
  maker: null,
  tokens: [],
  logProbabilities: [],
  top: [],
  released: 0,
  finish: null,
  left: 0,
  aliveUntil: 0,
  scoring: null,
});

/** Terms of a text task. */
export function termsOf({ spec }: OpenTask): TextTerms {
  assert(spec.text, `${spec.task} is no text`);
  return spec.text;
}

/** What a miner is asked to do for a task in a role. */
export function workOf(task: OpenTask, role: Role, from = 0): { mode: AssignmentMode; inputs: Tensor[] } {
  const { spec, text } = task;
  if (!text) return { mode: spec.mode ?? "run", inputs: spec.inputs };
  if (role === "check" || role === "third") return { mode: "score", inputs: scoreInputs(task, from) };
  const prefix = text.tokens.length > 0 ? [tokenTensor(textTensors.prefix, text.tokens)] : [];
  return { mode: "generate", inputs: [...spec.inputs, ...prefix] };
}

export const scoreInputs = ({ spec, text }: OpenTask, from: number): Tensor[] => [
  ...spec.inputs,
  tokenTensor(textTensors.tokens, text?.tokens ?? []),
  tokenTensor(textTensors.from, [from]),
];

/** Why these tokens cannot be the next ones of the text, or null. */
export function tokensProblem(
  { stopTokens, maxTokens, vocabulary }: TextTerms,
  known: number,
  tokens: Int32Array,
  logProbabilities: Float32Array,
): TabgridError | null {
  const wrong = (field: string, message: string, expected: string, got: unknown) =>
    failure("wrong-outputs", `${field}: ${message}`, { field, expected, got: String(got) });
  if (known + tokens.length > maxTokens)
    return wrong("tokens", "more than were asked for", `at most ${maxTokens}`, known + tokens.length);
  const alien = tokens.find((token) => token < 0 || token >= vocabulary);
  if (alien !== undefined) return wrong("tokens", "not in the vocabulary", `0 to ${vocabulary - 1}`, alien);
  const stop = tokens.findIndex((token) => stopTokens.includes(token));
  if (stop >= 0 && stop < tokens.length - 1)
    return wrong("tokens", "the text ended before", `nothing after token ${tokens[stop]}`, tokens.length - stop - 1);
  // A probability is at most 1; its logarithm may be rounded up to a little more than 0.
  const odd = logProbabilities.find((value) => !Number.isFinite(value) || value > 1e-3);
  if (odd !== undefined)
    return wrong("log_probabilities", "not the logarithm of a probability", "finite, at most 0", odd);
  return null;
}

/** Whether the text ends here by itself. */
export function endOf({ stopTokens, maxTokens }: TextTerms, tokens: readonly number[]): FinishReason | null {
  const last = tokens.at(-1);
  if (last !== undefined && stopTokens.includes(last)) return "stop";
  return tokens.length >= maxTokens ? "length" : null;
}

/** After how many of its tokens the caller has enough, or null. */
export const enoughOf = (task: OpenTask, { tokens }: TextProgress): number | null =>
  termsOf(task).enough?.(tokens) ?? null;

/** Names, dtypes and shapes that a result of this mode must have. */
export function textOutputsProblem(
  mode: AssignmentMode,
  count: number | null,
  top: number,
  outputs: readonly Tensor[],
): TabgridError | null {
  const rows = count ?? "tokens";
  const tops =
    top === 0
      ? []
      : [
          { name: textTensors.topTokens, dtype: "int32" as const, shape: [rows, top] },
          { name: textTensors.topLogProbabilities, dtype: "float32" as const, shape: [rows, top] },
        ];
  const first =
    mode === "score"
      ? { name: textTensors.margins, dtype: "float32" as const, shape: [rows] }
      : { name: textTensors.tokens, dtype: "int32" as const, shape: [rows] };
  const second = { name: textTensors.logProbabilities, dtype: "float32" as const, shape: [rows] };
  const matched = matchSpecs(outputs, [first, second, ...tops], "outputs");
  return matched.ok ? null : { ...matched.error, code: "wrong-outputs" };
}

export const floatsIn = (tensors: readonly Tensor[], name: string): Float32Array => {
  const tensor = tensors.find((one) => one.name === name);
  return tensor ? (viewOf(tensor) as Float32Array) : new Float32Array(0);
};

/** The alternatives of each token in a result; none where none were asked for. */
export function topIn(tensors: readonly Tensor[], count: number): TopToken[][] {
  const tokens = tokensIn(tensors, textTensors.topTokens);
  const values = floatsIn(tensors, textTensors.topLogProbabilities);
  if (count === 0) return [];
  return Array.from({ length: tokens.length / count }, (_, row) =>
    Array.from({ length: count }, (_, at) => ({
      token: tokens[row * count + at] as number,
      logProbability: values[row * count + at] as number,
    })),
  );
}

export function append(
  text: TextProgress,
  tokens: ArrayLike<number>,
  logProbabilities: ArrayLike<number>,
  top: readonly TopToken[][] = [],
): void {
  for (let at = 0; at < tokens.length; at++) {
    text.tokens.push(tokens[at] as number);
    text.logProbabilities.push(logProbabilities[at] as number);
  }
  text.top.push(...top);
}

/** The text's tokens from there on, as outputs of a `generate`. */
export function outputsOf(text: TextProgress, { from, to }: Span): Tensor[] {
  const tokens = Int32Array.from(text.tokens.slice(from, to));
  const values = Float32Array.from(text.logProbabilities.slice(from, to));
  return [
    tokenTensor(textTensors.tokens, tokens),
    tensorOf(textTensors.logProbabilities, "float32", [values.length], values),
  ];
}

/** Leaves only the first `count` tokens; runs that made none of them are taken out. */
export function truncate(task: OpenTask, text: TextProgress, count: number): void {
  text.tokens.length = Math.min(text.tokens.length, count);
  text.logProbabilities.length = text.tokens.length;
  text.top.length = Math.min(text.top.length, count);
  for (const run of task.runs) {
    if (run.span && run.span.to > count) run.span.to = count;
  }
  // Scores of more than there is are scores of another text.
  if ((text.scoring?.run.span?.to ?? 0) > count) text.scoring = null;
  task.runs = task.runs.filter(({ span }) => !span || span.from < span.to);
}

/** What a maker, or a score, says of the tokens that a score is about, and what that score says. */
export function besideEachOther(
  text: TextProgress,
  run: Pick<Run, "outputs" | "span" | "role">,
  truth: { outputs: readonly Tensor[] },
): { outputs: Tensor[]; reference: Tensor[] } {
  const { from, to } = run.span ?? { from: 0, to: text.tokens.length };
  const stated =
    run.role === "primary" ? text.logProbabilities : [...floatsIn(run.outputs, textTensors.logProbabilities)];
  const one = (values: readonly number[]): Tensor[] => {
    const part = Float32Array.from(values.slice(from, to));
    return [tensorOf(textTensors.logProbabilities, "float32", [part.length], part)];
  };
  return { outputs: one(stated), reference: one([...floatsIn(truth.outputs, textTensors.logProbabilities)]) };
}

export const isMaker = (run: Run): boolean => run.role === "primary" || run.role === "hedge";

/** Those whose answer the others are compared with: of a tensor the first run, of a text all that made it. */
export const makersOf = (task: OpenTask): Run[] => (task.text ? task.runs.filter(isMaker) : task.runs.slice(0, 1));
