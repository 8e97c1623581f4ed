import type { OwnerId } from "../../shared/ids.ts";
import type { Tensor } from "../../shared/tensor.ts";
import {
  addTokens,
  compareText,
  emptyTextPool,
  mergeTextPools,
  type TextPool,
  type TextTolerance,
  type TokenEvidence,
} from "../../shared/text-agreement.ts";
import { textTensors } from "../../shared/text-generation.ts";
import type { Comparison } from "../../shared/tolerance.ts";
import { groundOf } from "./checkers.ts";
import type { CoreModel, Standing } from "./events.ts";
import type { OpenTask, Run, Step } from "./state.ts";
import { floatsIn, isMaker, type TextProgress } from "./text.ts";
import { groundKey } from "./trust.ts";

/**
 * How the runs of a text compare (../shared/policy.md, "Agreement", Text): who made it with who scored it, token by token,
 * pooled with the owner's earlier texts on the same ground; and two scores with each other. One text may fail by itself, and
 * where it says too little its tokens still count in the pool.
 */

/** Where a model states no tolerance of texts: the starting values of ../shared/reference/verification.md section 5. */
const startingTolerance: TextTolerance = {
  kind: "sampled-text",
  tokens: 512,
  meanPass: 4e-4,
  meanFail: 2e-3,
  tokenPass: 1e-3,
  tokenFail: 5e-3,
  greyShare: 0.0078125,
};

export const textToleranceOf = ({ comparator }: CoreModel): TextTolerance =>
  comparator.kind === "sampled-text" ? comparator : startingTolerance;

/** A pool starts anew once it has so many times the tokens that it needs, so that an old habit does not hide a new one. */
const POOL_SPAN = 2;

/** Device classes are made of what a miner returns: a forger must not grow its standing without end. */
const POOLS_KEPT = 64;

const poolOf = (standing: Standing | undefined, ground: string): TextPool => standing?.pools?.[ground] ?? emptyTextPool;

/** The part of a text that one run made, by the score of another. */
export function evidenceOf(model: CoreModel, text: TextProgress, made: Run, score: Run): TextPool {
  const logProbabilities = floatsIn(score.outputs, textTensors.logProbabilities);
  const margins = floatsIn(score.outputs, textTensors.margins);
  const tokens: TokenEvidence[] = [];
  const { from, to } = made.span ?? { from: 0, to: text.tokens.length };
  const scoredFrom = score.span?.from ?? 0;
  for (let at = from; at < to; at++) {
    tokens.push({
      claimedLogProbability: text.logProbabilities[at] as number,
      logProbability: logProbabilities[at - scoredFrom] ?? Number.NaN,
      margin: margins[at - scoredFrom] ?? Number.POSITIVE_INFINITY,
    });
  }
  return addTokens(emptyTextPool, tokens, textToleranceOf(model));
}

/** Two scores of the same tokens. */
export function compareScores(model: CoreModel, a: readonly Tensor[], b: readonly Tensor[]): Comparison {
  const [ours, theirs] = [a, b].map((outputs) => floatsIn(outputs, textTensors.logProbabilities));
  const [margins, others] = [a, b].map((outputs) => floatsIn(outputs, textTensors.margins));
  const tokens: TokenEvidence[] = Array.from({ length: Math.max(ours?.length ?? 0, theirs?.length ?? 0) }, (_, at) => {
    const [one, other] = [margins?.[at] ?? Number.NaN, others?.[at] ?? Number.NaN];
    return {
      claimedLogProbability: ours?.[at] ?? Number.NaN,
      logProbability: theirs?.[at] ?? Number.NaN,
      margin: one === other ? 0 : Math.abs(one - other), // both may be infinite
    };
  });
  const tolerance = textToleranceOf(model);
  return enough(tolerance, addTokens(emptyTextPool, tokens, tolerance));
}

/** Too few tokens to say more than that nothing is wrong with them: no reason for a further run. */
function enough(tolerance: TextTolerance, pool: TextPool): Comparison {
  const found = compareText(tolerance, pool);
  return found.agreement === "GREY" && pool.tokens < tolerance.tokens ? { ...found, agreement: "PASS" } : found;
}

/** A run that made a part of a text, or scored it, with a score of it. */
export function compareWithScore(step: Step, model: CoreModel, task: OpenTask, run: Run, score: Run): Comparison {
  const { text } = task;
  const isReference = run.by === "reference";
  if (!text || (isReference && !isMaker(run))) return { agreement: "PASS", distance: 0, what: "the reference node's" };
  if (!isMaker(run)) return compareScores(model, run.outputs, score.outputs);
  if (run.contradicts)
    return { agreement: "FAIL", distance: Number.POSITIVE_INFINITY, what: "the result is not what was streamed" };
  const tolerance = textToleranceOf(model);
  const evidence = evidenceOf(model, text, run, score);
  const alone = compareText(tolerance, evidence);
  if (alone.agreement === "FAIL") return alone;
  const standing = isReference ? undefined : step.state.roster.standings.get(run.by as OwnerId);
  return enough(tolerance, mergeTextPools(poolOf(standing, groundKey(groundOf(task, run))), evidence));
}

/** The verdict is in: what the score says of this run stays with its owner. */
export function keepEvidence(step: Step, model: CoreModel, task: OpenTask, run: Run, score: Run): void {
  const standing = run.by === "reference" ? undefined : step.state.roster.standings.get(run.by);
  if (!task.text || !standing || !isMaker(run)) return;
  const ground = groundKey(groundOf(task, run));
  const pool = mergeTextPools(poolOf(standing, ground), evidenceOf(model, task.text, run, score));
  const isFull = pool.tokens >= POOL_SPAN * textToleranceOf(model).tokens;
  const { [ground]: _, ...others } = standing.pools ?? {};
  const kept = Object.entries(others).slice(-(POOLS_KEPT - 1));
  standing.pools = { ...Object.fromEntries(kept), [ground]: isFull ? emptyTextPool : pool };
}
