import { z } from "zod";

/** Asks the hub's API for one key or token. Every call rejects with a sentence for a person. */
export interface HubCalls {
  get<Schema extends z.ZodType>(schema: Schema, path: string, signal?: AbortSignal): Promise<z.output<Schema>>;
  /** `once`: a key under which a repetition moves nothing. */
  send<Schema extends z.ZodType>(
    schema: Schema,
    method: "POST" | "PUT" | "DELETE",
    path: string,
    body: unknown,
    once?: string,
  ): Promise<z.output<Schema>>;
}

const problemSchema = z.object({
  detail: z.string().optional(),
  title: z.string().optional(),
  field: z.string().optional(),
  expected: z.string().optional(),
  got: z.string().optional(),
});

/** The hub said no, and why. */
export class Refused extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export function hubCallsOf(key: string): HubCalls {
  async function call<Schema extends z.ZodType>(schema: Schema, path: string, init: RequestInit) {
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json", ...init.headers };
    const response = await fetch(`/api/v1${path}`, { ...init, headers });
    const body: unknown = await response.json().catch(() => null);
    if (response.ok) return schema.parse(body);
    const problem = problemSchema.safeParse(body).data ?? {};
    const { detail, title, field, expected, got } = problem;
    const said = detail ?? title ?? `the hub answered ${response.status}`;
    const where = field && expected && got ? ` (${field}: expected ${expected}, got ${got})` : "";
    throw new Refused(response.status, `${said}${where}`);
  }
  return {
    get: (schema, path, signal) => call(schema, path, signal ? { signal } : {}),
    send: (schema, method, path, body, once) =>
      call(schema, path, {
        method,
        ...(method !== "DELETE" && { body: JSON.stringify(body) }),
        ...(once !== undefined && { headers: { "idempotency-key": once } }),
      }),
  };
}
