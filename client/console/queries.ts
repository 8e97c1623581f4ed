import { QueryClient } from "@tanstack/react-query";

/** Answers of the hub's HTTP API, kept while the console is open; others act too, and that is seen within a while. */
export const queries = new QueryClient({
  defaultOptions: { queries: { retry: false, staleTime: 5_000, refetchInterval: 15_000 } },
});
