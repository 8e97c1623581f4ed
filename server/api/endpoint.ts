import express, { type Express, type Request, type RequestHandler, type Response } from "express";
import type { z } from "zod";
import { type ErrorCode, failure, TabgridFailure } from "../../shared/errors.ts";
import { type Access, authorize, identify, type Keys, setPrincipal } from "./auth.ts";
import type { RateLimit } from "./rate-limit.ts";

export interface Body {
  /** Media type, for the document. */
  type: string;
  limitBytes: number;
  /** The error when it is larger. */
  tooLarge: Extract<ErrorCode, "body-too-large" | "model-too-large">;
  schema?: z.ZodType;
  /** Left for the handler to read as it comes. */
  isStream?: boolean;
}

/** One row of the API: routing, access, limits, `405`, `/openapi.json` and `/docs` all follow from it. */
export interface Endpoint {
  method: "get" | "post" | "put" | "delete";
  /** As Express writes it, with `:name` for a segment and `*name` for the rest. */
  path: string;
  tag: string;
  summary: string;
  access: Access;
  /** Throws where `access` does not say who may: before a byte of the body is read. */
  admit?(request: Request): void;
  query?: z.ZodObject;
  /** Read whole into `request.body`, a Buffer, after access was granted. */
  body?: Body;
  /** What it does is paid for, so a repeat under the same Idempotency-Key gives the first reply. */
  isBillable?: boolean;
  /** By status. */
  replies: Record<number, { description: string; type?: string; schema?: z.ZodType }>;
  /** May throw TabgridFailure. */
  handle(request: Request, response: Response): void | Promise<void>;
}

export interface Gates {
  keys: Keys;
  limit: RateLimit;
  /** For endpoints that are billable. */
  once: RequestHandler;
}

export function mount(app: Express, endpoints: readonly Endpoint[], { keys, limit, once }: Gates): void {
  const admitted = ({ access, admit }: Endpoint): RequestHandler => {
    return async (request, response, next) => {
      const principal = identify(request, keys);
      await limit(principal, request, response);
      authorize(access, principal, request);
      setPrincipal(response, principal);
      admit?.(request);
      next();
    };
  };
  for (const endpoint of endpoints) {
    const { method, path, body, isBillable } = endpoint;
    const reads = body && !body.isStream ? [readBody(body)] : [];
    const before = [admitted(endpoint), ...reads, ...(isBillable ? [once] : [])];
    app[method](path, ...before, (request, response) => endpoint.handle(request, response));
  }
  for (const path of new Set(endpoints.map((endpoint) => endpoint.path))) {
    const methods = endpoints.filter((endpoint) => endpoint.path === path).map(({ method }) => method.toUpperCase());
    const allowed = [...methods, ...(methods.includes("GET") ? ["HEAD"] : []), "OPTIONS"].join(", ");
    app.all(path, (request, response) => {
      response.set("allow", allowed);
      if (request.method === "OPTIONS") return void response.status(204).end();
      const detail = { field: "method", expected: allowed, got: request.method };
      throw new TabgridFailure(failure("method-not-allowed", `${request.method} is not one of ${allowed}`, detail));
    });
  }
}

function readBody({ limitBytes, tooLarge }: Body): RequestHandler {
  const read = express.raw({ type: () => true, limit: limitBytes });
  return (request, response, next) => {
    read(request, response, (error?: unknown) => {
      const isTooLarge = (error as { type?: string } | undefined)?.type === "entity.too.large";
      if (!isTooLarge) {
        request.body ??= Buffer.alloc(0);
        return next(error);
      }
      const expected = `at most ${limitBytes} bytes`;
      const got = request.headers["content-length"] ? `${request.headers["content-length"]} bytes` : "more";
      next(
        new TabgridFailure(
          failure(tooLarge, `body: expected ${expected}, got ${got}`, { field: "body", expected, got }),
        ),
      );
    });
  };
}

/** A path parameter; Express has decoded it. */
export function segment(request: Request, name: string): string {
  const value = request.params[name];
  return Array.isArray(value) ? value.join("/") : (value ?? "");
}
