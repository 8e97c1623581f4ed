import { failure, type TabgridError } from "../../shared/errors.ts";
import { err, ok, type Result } from "../../shared/result.ts";

/** Longer texts are not searched for the place of a fault: the parser's own words quote its surroundings. */
const SEARCH_CHARS = 1024 * 1024;

/** Parses JSON; the error says at which character, line and column it stops being JSON. */
export function parseJson(bytes: Uint8Array, field = "body"): Result<unknown, TabgridError> {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return err(failure("malformed-json", `${field}: expected UTF-8`, { field, expected: "UTF-8", got: "other bytes" }));
  }
  const parsed = parse(text);
  if (parsed.ok) return parsed;
  const reason = parsed.error;
  const position = positionOf(text, reason);
  if (position === null) {
    return err(failure("malformed-json", `${field}: ${reason}`, { field, expected: "JSON", got: reason }));
  }
  const before = text.slice(0, position).split("\n");
  const place = `position ${position} (line ${before.length}, column ${(before.at(-1) ?? "").length + 1})`;
  const got = position < text.length ? JSON.stringify(text.slice(position, position + 10)) : "the end";
  return err(
    failure("malformed-json", `${field}: not JSON at ${place}: ${got}`, {
      field,
      expected: "JSON",
      got: `${got} at ${place}`,
    }),
  );
}

function parse(text: string): Result<unknown, string> {
  try {
    return ok(JSON.parse(text));
  } catch (error) {
    return err((error as SyntaxError).message);
  }
}

/** V8 gives the place of some faults only; of the others it is where the longest prefix ends that merely lacks its end. */
function positionOf(text: string, reason: string): number | null {
  const said = / at position (\d+)/.exec(reason);
  if (said) return Number(said[1]);
  if (text.length > SEARCH_CHARS) return null;
  const lacksItsEnd = (length: number): boolean => {
    const prefix = parse(text.slice(0, length));
    if (prefix.ok || /end of JSON/.test(prefix.error)) return true;
    return Number(/ at position (\d+)/.exec(prefix.error)?.[1]) >= length;
  };
  let good = 0;
  let bad = text.length + 1;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (lacksItsEnd(middle)) good = middle;
    else bad = middle;
  }
  return Math.min(good, text.length);
}
