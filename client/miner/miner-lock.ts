const LOCK = "tabgrid-miner";

/**
 * One miner per browser profile, whatever the number of tabs. Holding a Web Lock also keeps a hidden page from being
 * frozen. Calls `held` once the lock is this tab's, `elsewhere` first where another tab has it. Returns the release, which
 * also ends the waiting.
 */
export function holdMinerLock(held: () => void, elsewhere: () => void): () => void {
  const released = Promise.withResolvers<void>();
  const waiting = new AbortController();
  const hold = () => {
    if (!waiting.signal.aborted) held();
    return released.promise;
  };
  void navigator.locks
    .request(LOCK, { ifAvailable: true }, (lock) => {
      if (lock) return hold();
      elsewhere();
      // Its own request, or this one would stay at hand for ever.
      void navigator.locks.request(LOCK, { signal: waiting.signal }, hold).catch(() => undefined); // stopped waiting
    })
    .catch(() => undefined);
  return () => {
    waiting.abort();
    released.resolve();
  };
}
