import type { Response } from "express";
import type { TabgridError } from "../../../shared/errors.ts";
import type { Nano } from "../../../shared/money.ts";
import type { QuoteReply, Receipts, Usage } from "../../../shared/openai-api.ts";
import { ok, type Result } from "../../../shared/result.ts";
import type { Gateway, InferAnswer, TextAnswer, TextRequest } from "../../gateway/gateway.ts";
import { microText } from "../price-text.ts";

/** What a request used and cost, as it is charged. */

export function usageOf(answers: readonly TextAnswer[]): Usage {
  return countsOf(sum(answers, "promptTokens"), sum(answers, "outputTokens"));
}

export const countsOf = (prompt: number, completion: number): Usage => ({
  prompt_tokens: prompt,
  completion_tokens: completion,
  total_tokens: prompt + completion,
});

const sum = (answers: readonly TextAnswer[], field: "promptTokens" | "outputTokens"): number =>
  answers.reduce((total, answer) => total + answer[field], 0);

/** `first` is the index of the first answer. */
export function receiptsOf(answers: readonly (TextAnswer | InferAnswer)[], first = 0): Receipts {
  return {
    price: microText(answers.reduce((total, { price }) => total + price, 0n)),
    answers: answers.map((answer, index) => ({
      index: first + index,
      task: answer.task,
      receipt: answer.receipt,
      basis: answer.basis,
      service_level: answer.level,
      price: microText(answer.price),
      model: `${answer.model.id}@${answer.model.version}`,
      ...("seed" in answer ? { seed: answer.seed } : {}),
    })),
  };
}

/** The same in headers; of several answers the values in their order. */
export function setReceiptHeaders(response: Response, { price, answers }: Receipts): void {
  response.set({
    "x-tabgrid-receipt": answers.map(({ receipt }) => receipt).join(", "),
    "x-tabgrid-basis": answers.map(({ basis }) => basis).join(", "),
    "x-tabgrid-price": price,
  });
}

export async function quoteTexts(
  gateway: Gateway,
  model: string,
  requests: readonly TextRequest[],
): Promise<Result<QuoteReply, TabgridError>> {
  let price: Nano = 0n;
  let work = 0n;
  for (const request of requests) {
    const quoted = await gateway.quoteText(request);
    if (!quoted.ok) return quoted;
    price += quoted.value.price;
    work += quoted.value.work;
  }
  const prompt = requests.reduce((total, request) => total + request.prompt.length, 0);
  const most = requests.reduce((total, { settings }) => total + settings.maxTokens, 0);
  return ok({
    object: "quote",
    dry_run: true,
    model,
    price: microText(price),
    work: String(work),
    usage: countsOf(prompt, most),
  });
}
