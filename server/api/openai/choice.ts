import type { TabgridError } from "../../../shared/errors.ts";
import { ok, type Result } from "../../../shared/result.ts";
import type { Gateway, TextAnswer, TextPart, TextRequest } from "../../gateway/gateway.ts";
import type { ModelText } from "../../text/model-text.ts";
import { enoughFinder } from "./enough.ts";
import { StopText } from "./stop-text.ts";
import { TokenTrack, type TokenView } from "./token-track.ts";
import type { ToolPlan } from "./tool-prompt.ts";
import { type Piece, textReader } from "./tool-text.ts";

/** One answer to generate, and how its text is read. */
export interface Choice {
  request: TextRequest;
  text: ModelText;
  stops: readonly string[];
  tools: ToolPlan | null;
  /** Whether log-probabilities are told. */
  logprobs: boolean;
}

/** What has come since the last time. */
export interface Progress {
  pieces: Piece[];
  tokens: TokenView[];
}

export interface ChoiceEnd {
  answer: TextAnswer;
  finish: "stop" | "length" | "tool_calls";
}

/**
 * Generates one answer. `onProgress` gets what may be told so far, and returns false when the caller has enough. A stop
 * string or the last allowed call ends the generation at the miner too, so that only what was delivered is charged.
 */
async function generateChoice(
  gateway: Pick<Gateway, "generate">,
  { request, text, stops, tools, logprobs }: Choice,
  onProgress: (progress: Progress) => boolean,
  signal: AbortSignal,
): Promise<Result<ChoiceEnd, TabgridError>> {
  const decoder = text.decoder();
  const stop = new StopText(stops);
  const reader = textReader(tools);
  const track = logprobs && !tools ? new TokenTrack(text) : null;
  const ends = new Set(request.settings.stopTokens);
  let called = false;
  let wanted = true;

  const tell = (released: string, rest: Piece[] = []): void => {
    const pieces = [...reader.push(released), ...rest];
    called ||= pieces.some(({ kind }) => kind === "call");
    const tokens = track?.release(released.length) ?? [];
    if (pieces.length > 0 || tokens.length > 0) wanted = onProgress({ pieces, tokens }) && wanted;
  };
  const onPart = (part: TextPart): boolean => {
    if (!wanted || stop.stopped || reader.enough) return false;
    let released = "";
    for (let index = 0; index < part.tokens.length && !stop.stopped; index++) {
      const token = part.tokens[index] as number;
      if (ends.has(token)) continue;
      const added = decoder.push([token]);
      track?.add(part, index, added.length);
      released += stop.push(added);
    }
    tell(released);
    return wanted && !stop.stopped && !reader.enough;
  };

  const enough = enoughFinder({ request, text, stops, tools });
  const answer = await gateway.generate({ ...request, enough }, onPart, signal);
  if (!answer.ok) return answer;
  const rest = stop.push(decoder.end()) + stop.end();
  tell(rest);
  const last = reader.end();
  if (last.length > 0) tell("", last);
  const { finish } = answer.value;
  const isWhole = finish !== "length" || stop.stopped || reader.enough;
  return ok({ answer: answer.value, finish: !isWhole ? "length" : called ? "tool_calls" : "stop" });
}

/**
 * All answers of one request at once. When one fails the others end: what they had delivered is charged, as with a caller
 * who hangs up.
 */
export async function generateAll(
  gateway: Pick<Gateway, "generate">,
  choices: readonly Choice[],
  onProgress: (index: number, progress: Progress) => boolean,
  signal: AbortSignal,
  onEnd: (index: number, end: ChoiceEnd) => void = () => {},
): Promise<Result<ChoiceEnd[], TabgridError>> {
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  let error: TabgridError | null = null;
  const ends = await Promise.all(
    choices.map(async (choice, index) => {
      const end = await generateChoice(gateway, choice, (progress) => onProgress(index, progress), either);
      if (end.ok) onEnd(index, end.value);
      else {
        error ??= end.error;
        failed.abort();
      }
      return end;
    }),
  );
  if (error) return { ok: false, error };
  return ok(ends.flatMap((end) => (end.ok ? [end.value] : [])));
}
