import type { z } from "zod";
import { type ErrorCode, failure, type TabgridError } from "../../shared/errors.ts";
import { err, ok, type Result } from "../../shared/result.ts";

/** Checks a value; the error names the first field that is wrong, what was expected there and what came. */
export function check<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  at = "body",
  unknownField: ErrorCode = "invalid-request",
): Result<z.output<Schema>, TabgridError> {
  const parsed = schema.safeParse(value, { reportInput: true });
  if (parsed.success) return ok(parsed.data);
  const issue = innermost(parsed.error.issues[0] as z.core.$ZodIssue);
  const unknownKey = issue.code === "unrecognized_keys" ? issue.keys[0] : undefined;
  const field = fieldPath(unknownKey === undefined ? issue.path : [...issue.path, unknownKey]) || at;
  const expected = unknownKey === undefined ? expectation(issue.message) : "no field of this name";
  const got = unknownKey === undefined ? describe(issue.input) : "one";
  const code = unknownKey === undefined ? "invalid-request" : unknownField;
  return err(failure(code, `${field}: expected ${expected}, got ${got}`, { field, expected, got }));
}

/** Of a union that nothing matched: the fault that lies deepest, as its branch is the one that was meant. */
function innermost(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  const key = issue.code === "invalid_key" ? issue.issues[0] : undefined;
  if (key) return { ...key, path: issue.path } as z.core.$ZodIssue;
  if (issue.code !== "invalid_union" || issue.errors.length === 0) return issue;
  const first = issue.errors.flatMap((branch) => branch.slice(0, 1)).map(innermost);
  const deepest = first.toSorted((a, b) => b.path.length - a.path.length)[0];
  if (!deepest || deepest.path.length === 0) {
    const expected = [...new Set(first.map((branch) => expectation(branch.message)))].join(" or ");
    return { ...issue, message: `Invalid input: expected ${expected}` };
  }
  return { ...deepest, path: [...issue.path, ...deepest.path] };
}

/** `["inputs", 0, "shape"]` as `inputs[0].shape`. */
const fieldPath = (path: readonly PropertyKey[]): string =>
  path.reduce<string>((at, key) => (typeof key === "number" ? `${at}[${key}]` : `${at}${at && "."}${String(key)}`), "");

/** A value in a few words that are safe to send back: never more than 60 characters of it. */
export function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === "object" && value !== null) return "an object";
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** zod's "Invalid input: expected string, received number" as "string". */
const expectation = (message: string): string =>
  message.replace(/^[^:]*: (expected|must be|must match) /, "").replace(/, received .*$/, "");
