import type { Nano } from "../../shared/money.ts";
import { executionsPriced, priceOfWork, type ServiceLevel, type Tariff } from "../../shared/pricing.ts";
import { checkWork, decodeWork, generationWork, prefillWork, type TextWork } from "../../shared/text-work.ts";

/** What the hub knows of a text request beside its tensors: enough to follow its stream and to price what came of it. */
export interface TextTerms {
  promptTokens: number;
  maxTokens: number;
  stopTokens: readonly number[];
  /** It may end without a stop token, where its grammar lets nothing follow. */
  endsByGrammar: boolean;
  /** Rows of logits: every token is below. */
  vocabulary: number;
  /** After how many of its tokens, all that there are so far, the caller has enough; null while it wants more. Pure. */
  enough: ((tokens: readonly number[]) => number | null) | null;
  /** How many alternatives each token has to name. */
  topLogProbabilities: number;
  work: TextWork;
  tariff: Tariff;
  /** Of the request, decimal: what it gave or the hub drew; shown on the receipt. */
  requestSeed: string;
  /** Batch work: waits for whoever pays the whole price, and pays half. */
  preemptible: boolean;
}

/** A text and one check of it, FLOP. */
export interface TextCost {
  generation: bigint;
  check: bigint;
}

export const costOf = ({ work, promptTokens }: TextTerms, tokens: number): TextCost => ({
  generation: generationWork(work, promptTokens, tokens),
  check: checkWork(work, promptTokens, tokens),
});

/** What a maker did of it: whoever began also read the prompt. */
export const makingWork = ({ work, promptTokens }: TextTerms, { from, to }: { from: number; to: number }): bigint =>
  (from === 0 ? prefillWork(work, promptTokens) : 0n) + decodeWork(work, promptTokens + from, to - from);

/** `fast` pays the text, every other level also its checks, each by its own work (../shared/money.md, "Units and prices"). */
export function textPrice(terms: TextTerms, level: ServiceLevel, tokens: number): Nano {
  const { generation, check } = costOf(terms, tokens);
  return priced(terms, generation + check * BigInt(executionsPriced(level) - 1));
}

/** What one check alone is worth, where nobody has paid it. */
export const checkPrice = (terms: TextTerms, tokens: number): Nano => priced(terms, costOf(terms, tokens).check);

const priced = ({ tariff, preemptible }: TextTerms, work: bigint): Nano => priceOfWork(work, tariff, preemptible);

/** A check's share of the work of making the text. */
export function checkCostOf(terms: TextTerms, tokens: number): number {
  const { generation, check } = costOf(terms, tokens);
  return generation > 0n ? Number(check) / Number(generation) : 1;
}
