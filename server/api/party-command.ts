import type { Request, Response } from "express";
import type { z } from "zod";
import { problemSchema } from "../../shared/api.ts";
import { type TabgridError, TabgridFailure } from "../../shared/errors.ts";
import type { CustomerId } from "../../shared/ids.ts";
import { KIB } from "../../shared/limits.ts";
import type { Caller } from "../economy-desk/desk.ts";
import { type Access, customerOf, principalOf } from "./auth.ts";
import type { Endpoint } from "./endpoint.ts";
import { fault, unwrap } from "./error-reply.ts";
import { parseJson } from "./json-text.ts";
import { check } from "./validation.ts";

/** Rows of endpoints where a party asks the economy for something, or reads what stands. */
const problem = { description: "problem", type: "application/problem+json", schema: problemSchema };
const refusals = { 400: problem, 401: problem, 402: problem, 403: problem, 404: problem, 409: problem, 422: problem };

interface CommandRow<Body extends z.ZodType, Reply extends z.ZodType> {
  method?: "post" | "put" | "delete";
  path: string;
  tag: string;
  summary: string;
  access: Access;
  body: Body;
  status?: 200 | 201;
  reply: Reply;
  /** What the caller calls a field that the rules name their own way, where that is more than its name in the body. */
  fieldOf?(field: string): string;
  run(body: z.output<Body>, request: Request, response: Response): Promise<z.input<Reply>>;
}

export function command<Body extends z.ZodType, Reply extends z.ZodType>(row: CommandRow<Body, Reply>): Endpoint {
  const { method = "post", path, tag, summary, access, body: schema, status = 200, reply, fieldOf, run } = row;
  const takesBody = method !== "delete";
  return {
    method,
    path,
    tag,
    summary,
    access,
    ...(takesBody && {
      body: { type: "application/json", limitBytes: 32 * KIB, tooLarge: "body-too-large", schema } as const,
    }),
    replies: { [status]: { description: "done", schema: reply }, ...refusals },
    handle: async (request, response) => {
      const body = takesBody ? unwrap(parseJson(request.body, "body")) : {};
      const asked = unwrap(check(schema, body));
      try {
        response.status(status).json(await run(asked, request, response));
      } catch (thrown) {
        if (!(thrown instanceof TabgridFailure)) throw thrown;
        const inBody = (field: string) => (Object.hasOwn(asked as object, snake(field)) ? snake(field) : field);
        throw new TabgridFailure(asAsked(thrown.error, fieldOf ?? inBody));
      }
    },
  };
}

export const snake = (field: string): string => field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function asAsked(error: TabgridError, fieldOf: (field: string) => string): TabgridError {
  const { field, message } = error;
  if (field === undefined) return error;
  const asked = fieldOf(field);
  return asked === field ? error : { ...error, field: asked, message: message.replace(field, asked) };
}

interface ReadRow<Query extends z.ZodObject, Reply extends z.ZodType> {
  path: string;
  tag: string;
  summary: string;
  access: Access;
  query?: Query;
  reply: Reply;
  read(query: z.output<Query>, request: Request, response: Response): Promise<z.input<Reply>>;
}

export function read<Query extends z.ZodObject, Reply extends z.ZodType>(row: ReadRow<Query, Reply>): Endpoint {
  const { path, tag, summary, access, query, reply } = row;
  return {
    method: "get",
    path,
    tag,
    summary,
    access,
    ...(query && { query }),
    replies: { 200: { description: "as it stands", schema: reply }, 400: problem, 401: problem, 404: problem },
    handle: async (request, response) => {
      const asked = query ? unwrap(check(query, request.query, "query")) : {};
      response.json(await row.read(asked as z.output<Query>, request, response));
    },
  };
}

/** A customer, who acts for itself. */
export function customerCaller(request: Request, response: Response): Caller & { customer: CustomerId } {
  return { customer: customerOf(response), key: keyOf(request) };
}

/** A customer, or the operator for the foundation. */
export function anyCaller(request: Request, response: Response): Caller {
  const principal = principalOf(response);
  return { customer: principal.kind === "customer" ? principal.customer : null, key: keyOf(request) };
}

export const operatorCaller = (request: Request): Caller => ({ customer: null, key: keyOf(request) });

/** The customer who asks; null for the operator. */
export function customerOrNull(response: Response): CustomerId | null {
  const principal = principalOf(response);
  return principal.kind === "customer" ? principal.customer : null;
}

function keyOf(request: Request): string | null {
  const key = request.headers["idempotency-key"];
  if (key === undefined) return null;
  if (typeof key === "string" && /^[\x21-\x7e]{1,255}$/.test(key)) return key;
  return unwrap(fault("invalid-request", "idempotency-key", "1 to 255 visible characters", "something else"));
}
