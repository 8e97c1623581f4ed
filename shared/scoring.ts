import { err, ok, type Result } from "./result.ts";
import type { Tensor } from "./tensor.ts";
import { tensorOf } from "./tensor.ts";
import { textTensors, tokensIn } from "./text-generation.ts";
import { outputSoFar, readTextInputs, samplerOf, type TextBounds, type TextJob, tokensFault } from "./text-job.ts";
import { topTokens } from "./top-tokens.ts";

/**
 * Logits of maker and checker that differ by less put other tokens at the edge of top-k and top-p (policy, "Agreement"); the
 * distance that calibration found between honest devices, `tokenPass` of the built-in model.
 */
const EDGE_EPSILON = 1e-3;

/**
 * A text being judged that somebody else made: `score` of shared/text-generation.ts. It runs prompt and output once, in
 * chunks, and checks each draw by the logits before it.
 *
 * @returns what is wrong with the inputs where something is
 */
export function startScoring(
  tensors: readonly Tensor[],
  bounds: TextBounds,
  epsilon = EDGE_EPSILON,
): Result<TextJob, string> {
  const read = readTextInputs(tensors, bounds);
  if (typeof read === "string") return err(read);
  const { prompt, settings, grammar } = read;
  const tokens = tokensIn(tensors, textTensors.tokens);
  const [from = 0] = tokensIn(tensors, textTensors.from);
  const fault = tokensFault(textTensors.tokens, tokens, bounds.vocabulary);
  if (fault !== null) return err(fault);
  if (from < 0 || from >= tokens.length)
    return err(`from: expected 0 to ${tokens.length - 1}, an index of tokens, got ${from}`);
  const length = prompt.length + tokens.length;
  if (length > bounds.contextLength)
    return err(`tokens: expected at most ${bounds.contextLength} with the prompt, got ${length}`);

  // The last token's successor is nobody's claim.
  const text = new Int32Array(length - 1);
  text.set(prompt);
  text.set(tokens.subarray(0, -1), prompt.length);
  const firstJudge = prompt.length + from - 1;
  const sampler = samplerOf(settings);
  const output = outputSoFar(grammar);
  for (const token of tokens.subarray(0, from)) output.push(token);
  const logProbabilities = new Float32Array(tokens.length - from);
  const margins = new Float32Array(tokens.length - from);
  const top = topTokens(settings.topLogProbabilities);
  let wanted = 0;

  return ok({
    text,
    reusable: firstJudge,
    next(cached, most) {
      const judged = output.length - from;
      if (judged === logProbabilities.length) return null;
      const end = Math.min(text.length, cached + most);
      wanted = Math.max(0, end - Math.max(cached, firstJudge));
      return { tokens: text.subarray(cached, end), wanted };
    },
    accept(logits, sums) {
      const width = logits.length / wanted;
      for (let row = 0; row < wanted; row++) {
        const position = output.length;
        const token = tokens[position] as number;
        const values = logits.subarray(row * width, (row + 1) * width);
        const sum = sums?.[row];
        const place = { position, counts: output.counts, allows: output.allows, logSumExp: sum };
        const check = sampler.check(values, token, place, epsilon);
        if (!Number.isFinite(check.logProbability)) return "a log-probability is not a finite number";
        logProbabilities[position - from] = check.logProbability;
        margins[position - from] = check.margin;
        top.push(values, sum);
        output.push(token);
      }
      return null;
    },
    outputs() {
      const judged = output.length - from;
      return [
        tensorOf(textTensors.logProbabilities, "float32", [judged], logProbabilities.slice(0, judged)),
        tensorOf(textTensors.margins, "float32", [judged], margins.slice(0, judged)),
        ...top.outputs(),
      ];
    },
  });
}
