import type { ErrorRequestHandler, Response } from "express";
import type { Logger } from "pino";
import { type ErrorCode, errorCodes, failure, type TabgridError, TabgridFailure } from "../../shared/errors.ts";
import { err, type Result } from "../../shared/result.ts";

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

function sendError(response: Response, path: string, error: TabgridError, status: number): void {
  if (status === 401 && !response.hasHeader("www-authenticate")) {
    response.set("www-authenticate", 'Bearer realm="tabgrid"');
  }
  if (error.retryAfter !== undefined) {
    response.set("retry-after", String(Math.ceil(error.retryAfter)));
    response.set("retry-after-ms", String(Math.ceil(error.retryAfter * 1000)));
  }
  // OpenAI's clients repeat every 409, also where it can only fail again.
  if (status === 409) response.set("x-should-retry", "false");
  response.removeHeader("location");
  response.set("cache-control", "no-store").status(status);
  if (isUnder(path, "/v2")) {
    response.json({ error: error.message });
  } else if (isUnder(path, "/v1")) {
    const { code, message, field = null } = error;
    response.json({ error: { message, type: openAiType(status), param: field, code } });
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
  new TabgridFailure(failure(code, `${titleOf(code)}: ${got}`, { field, got }));

export const fault = (code: ErrorCode, field: string, expected: string, got: string) =>
  err(failure(code, `${field}: expected ${expected}, got ${got}`, { field, expected, got }));

const isUnder = (path: string, root: string): boolean => path === root || path.startsWith(`${root}/`);
const titleOf = (code: ErrorCode): string => code.replaceAll("-", " ");

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
