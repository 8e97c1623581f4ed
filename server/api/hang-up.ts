import type { Response } from "express";

/**
 * Ends when the caller hangs up before the reply. A request with an Idempotency-Key whose reply comes in one piece goes on:
 * its reply is kept for the caller's next try.
 */
export function hangUpSignal(response: Response, streams = false): AbortSignal {
  const gone = new AbortController();
  if (response.locals.isKept && !streams) return gone.signal;
  response.once("close", () => {
    if (response.writableFinished) return;
    response.locals.incomplete = true;
    gone.abort();
  });
  return gone.signal;
}
