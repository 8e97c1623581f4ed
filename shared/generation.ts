import { err, ok, type Result } from "./result.ts";
import type { Tensor } from "./tensor.ts";
import { tensorOf } from "./tensor.ts";
import { type FinishReason, textTensors, tokensIn, tokenTensor } from "./text-generation.ts";
import { outputSoFar, readTextInputs, samplerOf, type TextBounds, type TextJob, tokensFault } from "./text-job.ts";
import { topTokens } from "./top-tokens.ts";

/** A text being made: `generate` of shared/text-generation.ts. */
export interface Generation extends TextJob {
  /** Tokens drawn here, after the prefix; their index in the whole output begins at `prefixLength`. */
  readonly drawn: number;
  readonly prefixLength: number;
  readonly finished: FinishReason | null;
  /** Tokens and log-probabilities of those drawn from `start` on, for who streams them. */
  since(start: number): { tokens: Int32Array<ArrayBuffer>; logProbabilities: Float32Array<ArrayBuffer> };
}

/** @returns what is wrong with the inputs where something is */
export function startGeneration(tensors: readonly Tensor[], bounds: TextBounds): Result<Generation, string> {
  const read = readTextInputs(tensors, bounds);
  if (typeof read === "string") return err(read);
  const { prompt, settings, grammar } = read;
  const prefix = tokensIn(tensors, textTensors.prefix);
  const fault = tokensFault(textTensors.prefix, prefix, bounds.vocabulary);
  if (fault !== null) return err(fault);
  const begun = prompt.length + prefix.length;
  if (begun > bounds.contextLength)
    return err(`prompt: expected at most ${bounds.contextLength} tokens with the prefix, got ${begun}`);

  const most = Math.min(prompt.length + settings.maxTokens, bounds.contextLength);
  const buffer = new Int32Array(Math.max(most, begun));
  buffer.set(prompt);
  buffer.set(prefix, prompt.length);
  let length = begun;
  const logProbabilities = new Float32Array(Math.max(0, most - begun));
  const sampler = samplerOf(settings);
  const output = outputSoFar(grammar);
  for (const token of prefix) output.push(token);
  const top = topTokens(settings.topLogProbabilities);
  const stops = new Set(settings.stopTokens);
  const ending = (): FinishReason | null =>
    length > prompt.length && stops.has(buffer[length - 1] as number) ? "stop" : length >= most ? "length" : null;
  let finished = ending();
  let wanted = 0;

  return ok({
    get text() {
      return buffer.subarray(0, length);
    },
    get reusable() {
      return length - 1;
    },
    get drawn() {
      return length - begun;
    },
    prefixLength: prefix.length,
    get finished() {
      return finished;
    },
    next(cached, atMost) {
      if (finished) return null;
      const end = Math.min(length, cached + atMost);
      wanted = end === length ? 1 : 0;
      return { tokens: buffer.subarray(cached, end), wanted };
    },
    accept(logits, sums) {
      if (wanted === 0) return null;
      const sum = sums?.[0];
      const place = { position: output.length, counts: output.counts, allows: output.allows, logSumExp: sum };
      const draw = sampler.draw(logits, place);
      if (!draw && output.isComplete && stops.size === 0) {
        finished = "stop"; // nothing could end it, and nothing may follow
        return null;
      }
      if (!draw) return "no token can be drawn: the grammar allows none, or a logit is NaN or infinite";
      top.push(logits, sum);
      logProbabilities[length - begun] = draw.logProbability;
      buffer[length++] = draw.token;
      output.push(draw.token);
      finished = ending();
      return null;
    },
    since: (start) => ({
      tokens: buffer.slice(begun + start, length),
      logProbabilities: logProbabilities.slice(start, length - begun),
    }),
    outputs: () => [
      tokenTensor(textTensors.tokens, buffer.slice(begun, length)),
      tensorOf(textTensors.logProbabilities, "float32", [length - begun], logProbabilities.slice(0, length - begun)),
      ...top.outputs(),
    ],
  });
}
