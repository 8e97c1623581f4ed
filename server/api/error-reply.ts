import type { ErrorRequestHandler, Response } from "express";
import type { Logger } from "pino";
import type { z } from "zod";
import type { openAiErrorSchema } from "../../shared/api.ts";
import { type ErrorCode, errorCodes, failure, type TabgridError, TabgridFailure } from "../../shared/errors.ts";
import { err, type Result } from "../../shared/result.ts";

/** Where a 503 does not say itself when to come back. */
const RETRY_AFTER_SECONDS = 5;

/** The one place where an error becomes HTTP: status from shared/errors.ts, shape from the path. */
export function errorHandler(log: Pick<Logger, "error">): ErrorRequestHandler {
  return (thrown: unknown, request, response, _next) => {
    const requestId = String(response.getHeader("x-request-id"));
    const known = knownError(thrown);
    if (!known) log.error({ err: thrown, requestId, method: request.method, path: request.path }, "request failed");
    if (response.headersSent) {
      response.destroy();
      return;
    }
    const error = known ?? failure("internal", `the hub failed; its log names ${requestId}`);
    sendError(response, request.path, error, foreignStatus(thrown) ?? errorCodes[error.code]);
  };
}

export function sendError(
  response: Response,
  path: string,
  error: TabgridError,
  status: number = errorCodes[error.code],
): void {
  if (status === 401 && !response.hasHeader("www-authenticate")) {
    response.set("www-authenticate", 'Bearer realm="tabgrid"');
  }
  const retryAfter = error.retryAfter ?? (status === 503 ? RETRY_AFTER_SECONDS : undefined);
  if (retryAfter !== undefined) {
    response.set("retry-after", String(Math.ceil(retryAfter)));
    response.set("retry-after-ms", String(Math.ceil(retryAfter * 1000)));
  }
  // OpenAI's clients repeat every 409 and 5xx, also where it can only fail again.
  if (status === 409 && retryAfter === undefined) response.set("x-should-retry", "false");
  response.removeHeader("location");
  response.set("cache-control", "no-store").status(status);
  if (isUnder(path, "/v2")) {
    response.json({ error: error.message });
  } else if (isUnder(path, "/v1")) {
    response.json(openAiError(error, status));
  } else {
    const { code, message, field, expected, got } = error;
    response.type("application/problem+json").send(
      JSON.stringify({
        type: "about:blank",
        title: titleOf(code),
        status,
        detail: message,
        instance: response.getHeader("x-request-id"),
        code,
        field,
        expected,
        got,
      }),
    );
  }
}

/** The value of a result, or its error to the handler above. */
export function unwrap<T>(result: Result<T, TabgridError>): T {
  if (result.ok) return result.value;
  throw new TabgridFailure(result.error);
}

export const notFound = (code: ErrorCode, field: string, got: string): TabgridFailure =>
  new TabgridFailure(failure(code, `${titleOf(code)}: ${got}`, { field, expected: "one that there is", got }));

export const fault = (code: ErrorCode, field: string, expected: string, got: string) =>
  err(failure(code, `${field}: expected ${expected}, got ${got}`, { field, expected, got }));

const isUnder = (path: string, root: string): boolean => path === root || path.startsWith(`${root}/`);
const titleOf = (code: ErrorCode): string => code.replaceAll("-", " ");

/** OpenAI's own names where it has one, else ours in its spelling. */
const openAiCodes: Partial<Record<ErrorCode, string>> = {
  "unknown-model": "model_not_found",
  unauthenticated: "invalid_api_key",
  "insufficient-balance": "insufficient_quota",
  "rate-limited": "rate_limit_exceeded",
};

/** The body of an error under `/v1`, in a reply or in a stream. */
export function openAiError(
  { code, message, field }: TabgridError,
  status: number = errorCodes[code],
): z.infer<typeof openAiErrorSchema> {
  const name = openAiCodes[code] ?? code.replaceAll("-", "_");
  return { error: { message, type: openAiType(status), param: field ?? null, code: name } };
}

function openAiType(status: number): string {
  if (status === 401) return "authentication_error";
  if (status === 402) return "insufficient_quota";
  if (status === 403) return "permission_error";
  if (status === 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

/** Our own failures, and what Express, body-parser and `send` throw for bad requests; null is a bug. */
function knownError(thrown: unknown): TabgridError | null {
  if (thrown instanceof TabgridFailure) return thrown.error;
  const status = foreignStatus(thrown);
  if (status === null) return null;
  const { type, message } = thrown as { type?: string; message: string };
  const field = status === 416 ? "range" : type === "encoding.unsupported" ? "content-encoding" : "request";
  const code = status === 404 ? "not-found" : status === 415 ? "unsupported-media-type" : "invalid-request";
  return failure(code, `${field}: ${message}`, { field });
}

/** Status of an error that is not ours but the client's fault, such as 416; null for all others. */
function foreignStatus(thrown: unknown): number | null {
  const { status } = (thrown ?? {}) as { status?: unknown };
  return typeof status === "number" && status >= 400 && status < 500 ? status : null;
}
