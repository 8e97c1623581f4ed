import { z } from "zod";
import { entrySchema } from "../../shared/api.ts";

/** One page of `GET /api/v1/ledger/entries`: transfers that touch an account, newest first. */
const pageSchema = z.object({
  data: z.array(entrySchema),
  has_more: z.boolean(),
});
export type EntriesPage = z.infer<typeof pageSchema>;
export type Entry = EntriesPage["data"][number];

const problemSchema = z.object({ detail: z.string().optional(), title: z.string().optional() });

const PAGE_ROWS = 50;

export type FetchEntries = (account: string, after: string | null, signal: AbortSignal) => Promise<EntriesPage>;

/** Rejects with a sentence for a person; the view shows it and offers another try. */
export function entriesOf(token: string): FetchEntries {
  return async (account, after, signal) => {
    const query = new URLSearchParams({ account, limit: String(PAGE_ROWS), ...(after === null ? {} : { after }) });
    const response = await fetch(`/api/v1/ledger/entries?${query}`, {
      headers: { authorization: `Bearer ${token}` },
      signal,
    });
    const body: unknown = await response.json().catch(() => null);
    if (!response.ok) {
      const problem = problemSchema.safeParse(body).data;
      throw new Error(problem?.detail ?? problem?.title ?? `The hub answered ${response.status}.`);
    }
    return pageSchema.parse(body);
  };
}
