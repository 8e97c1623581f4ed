import { z } from "zod";
import { Refused } from "./refused.ts";

/** Asks the hub's API for one key or token. Every call rejects with a sentence for a person. */
export interface HubCalls {
  get<Schema extends z.ZodType>(schema: Schema, path: string, signal?: AbortSignal): Promise<z.output<Schema>>;
  /** A file, as it is. */
  text(path: string): Promise<string>;
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

/** `key`: null asks as anybody may. */
export function hubCallsOf(key: string | null): HubCalls {
  async function ask(path: string, init: RequestInit): Promise<Response> {
    const headers = {
      ...(key !== null && { authorization: `Bearer ${key}` }),
      "content-type": "application/json",
      ...init.headers,
    };
    const response = await fetch(`/api/v1${path}`, { ...init, headers }).catch((error: unknown) => {
      if (init.signal?.aborted) throw error;
      throw new Error("The hub cannot be reached.");
    });
    if (response.ok) return response;
    const { title, ...problem } = problemSchema.safeParse(await response.json().catch(() => null)).data ?? {};
    const detail = problem.detail ?? title ?? `the hub answered ${response.status}`;
    throw new Refused(response.status, { ...problem, detail });
  }
  async function call<Schema extends z.ZodType>(schema: Schema, path: string, init: RequestInit) {
    const response = await ask(path, init);
    const answer = schema.safeParse(await response.json().catch(() => null));
    if (answer.success) return answer.data;
    throw new Error("The hub's answer was not understood: it is of another version. Load the page again.");
  }
  return {
    text: async (path) => (await ask(path, {})).text(),
    get: (schema, path, signal) => call(schema, path, signal ? { signal } : {}),
    send: (schema, method, path, body, once) =>
      call(schema, path, {
        method,
        ...(method !== "DELETE" && { body: JSON.stringify(body) }),
        ...(once !== undefined && { headers: { "idempotency-key": once } }),
      }),
  };
}
