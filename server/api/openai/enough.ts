import type { Choice } from "./choice.ts";
import { StopText } from "./stop-text.ts";
import { textReader } from "./tool-text.ts";

/**
 * Says after how many tokens a text is all that was asked for: at the token that completes a stop string or the last allowed
 * call. The hub ends and charges the text there, however far its maker has come. Null where nothing but the model's own end
 * or the limit ends it.
 */
export function enoughFinder({
  request,
  text,
  stops,
  tools,
}: Pick<Choice, "request" | "text" | "stops" | "tools">): ((tokens: readonly number[]) => number | null) | null {
  if (stops.length === 0 && !tools) return null;
  const ends = new Set(request.settings.stopTokens);
  const fresh = () => ({
    seen: [] as number[],
    decoder: text.decoder(),
    stop: new StopText(stops),
    reader: textReader(tools),
    found: null as number | null,
  });
  let state = fresh();
  return (tokens) => {
    // Where a maker was refuted, others write on from before.
    const isLonger = state.seen.length <= tokens.length && state.seen.every((token, at) => token === tokens[at]);
    if (!isLonger) state = fresh();
    for (let at = state.seen.length; at < tokens.length && state.found === null; at++) {
      const token = tokens[at] as number;
      state.seen.push(token);
      if (ends.has(token)) continue;
      state.reader.push(state.stop.push(state.decoder.push([token])));
      if (state.stop.stopped || state.reader.enough) state.found = at + 1;
    }
    return state.found;
  };
}
