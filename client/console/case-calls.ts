import { z } from "zod";
import {
  type CaseReply,
  type CaseSummary,
  type CompatibilityReply,
  caseSchema,
  casesSchema,
  compatibilitySchema,
  type Decision,
} from "../../shared/case-api.ts";

/** What the console asks of the hub about cases. Every call rejects with a sentence for a person. */
export interface CaseCalls {
  /** Newest first; `state` null is all. */
  list(state: "open" | null, after: string | null, signal: AbortSignal): Promise<CasesPage>;
  one(id: string, signal: AbortSignal): Promise<CaseReply>;
  decide(id: string, decision: Decision): Promise<CaseReply>;
  compatibility(signal: AbortSignal): Promise<CompatibilityReply["data"]>;
}

export interface CasesPage {
  data: CaseSummary[];
  has_more: boolean;
}

const problemSchema = z.object({ detail: z.string().optional(), title: z.string().optional() });
const PAGE_ROWS = 50;

export function caseCallsOf(token: string): CaseCalls {
  async function call<Schema extends z.ZodType>(
    schema: Schema,
    path: string,
    init: RequestInit,
  ): Promise<z.output<Schema>> {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const response = await fetch(`/api/v1${path}`, { ...init, headers });
    const body: unknown = await response.json().catch(() => null);
    if (!response.ok) {
      const problem = problemSchema.safeParse(body).data;
      throw new Error(problem?.detail ?? problem?.title ?? `The hub answered ${response.status}.`);
    }
    return schema.parse(body);
  }
  return {
    list(state, after, signal) {
      const query = new URLSearchParams({
        limit: String(PAGE_ROWS),
        ...(state === null ? {} : { state }),
        ...(after === null ? {} : { after }),
      });
      return call(casesSchema, `/cases?${query}`, { signal });
    },
    one: (id, signal) => call(caseSchema, `/cases/${encodeURIComponent(id)}`, { signal }),
    decide: (id, decision) =>
      call(caseSchema, `/cases/${encodeURIComponent(id)}/decision`, { method: "POST", body: JSON.stringify(decision) }),
    compatibility: async (signal) => (await call(compatibilitySchema, "/compatibility", { signal })).data,
  };
}
