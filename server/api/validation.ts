import type { z } from "zod";
import { failure, type TabgridError } from "../../shared/errors.ts";
import { err, ok, type Result } from "../../shared/result.ts";

/** Checks a value; the error names the first field that is wrong, what was expected there and what came. */
export function check<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  at = "body",
): Result<z.output<Schema>, TabgridError> {
  const parsed = schema.safeParse(value, { reportInput: true });
  if (parsed.success) return ok(parsed.data);
  const issue = parsed.error.issues[0] as z.core.$ZodIssue;
  const unknownKey = issue.code === "unrecognized_keys" ? issue.keys[0] : undefined;
  const field = fieldPath(unknownKey === undefined ? issue.path : [...issue.path, unknownKey]) || at;
  const expected = unknownKey === undefined ? expectation(issue.message) : "no field of this name";
  const got = unknownKey === undefined ? describe(issue.input) : "one";
  return err(failure("invalid-request", `${field}: expected ${expected}, got ${got}`, { field, expected, got }));
}

/** `["inputs", 0, "shape"]` as `inputs[0].shape`. */
export const fieldPath = (path: readonly PropertyKey[]): string =>
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
