import { useCallback, useEffect, useRef, useState } from "react";
import type { MinerPageRemote, MinerSettings, MinerView, PageSignals } from "../miner/contract.ts";

declare global {
  /** The latest view, for `npm run miner` and the browser tests. */
  var tabgridView: MinerView | undefined;
}

export interface MinerPage extends MinerCommands {
  /** null until Start (or until an earlier consent resumed the miner). */
  view: MinerView | null;
  settings: MinerSettings;
  /** A command that the miner could not carry out, in words. */
  fault: string | null;
}

/** The same functions for as long as the page is open: what takes only these is not drawn again for a new view. */
export interface MinerCommands {
  start(): void;
  configure(change: Partial<MinerSettings>): void;
  command(name: "pause" | "resume" | "finishThenStop" | "stop" | "clearCache"): void;
}

export interface MinerConnection {
  /** Spawns the session worker on its first call, which is never before Start or an earlier consent. */
  remote: MinerPageRemote;
  consent: { consented: boolean; settings: MinerSettings };
  watchSignals(push: (signals: PageSignals) => void): () => void;
}

/** The page's side of the miner: commands go to the worker, views come back. */
export function useMiner({ remote, consent, watchSignals }: MinerConnection): MinerPage {
  const [view, setView] = useState<MinerView | null>(null);
  const [settings, setSettings] = useState(consent.settings);
  const latest = useRef(settings);
  const [fault, setFault] = useState<string | null>(null);
  const unwatch = useRef<(() => void) | null>(null);

  const attempt = useCallback((call: () => Promise<void>) => {
    setFault(null);
    call().catch((error: unknown) => setFault(error instanceof Error ? error.message : String(error)));
  }, []);

  const watch = useCallback(() => {
    unwatch.current?.();
    // A signal that did not arrive says that the worker died; the connection revives it and sends the latest again.
    unwatch.current = watchSignals((signals) => void remote.signals(signals).catch(() => undefined));
  }, [remote, watchSignals]);

  const begin = useCallback(
    (with_: MinerSettings) =>
      attempt(async () => {
        if (!unwatch.current) {
          await remote.subscribe((next) => {
            globalThis.tabgridView = next;
            setView(next);
          });
          watch();
        }
        await remote.start(with_);
      }),
    [remote, watch, attempt],
  );

  const resumed = useRef(false);
  useEffect(() => {
    if (!consent.consented || resumed.current) return;
    resumed.current = true;
    begin(consent.settings);
  }, [consent, begin]);

  useEffect(() => () => unwatch.current?.(), []);

  const start = useCallback(() => begin(latest.current), [begin]);

  const configure = useCallback(
    (change: Partial<MinerSettings>) => {
      const next = { ...latest.current, ...change };
      latest.current = next;
      setSettings(next);
      if (!unwatch.current) return; // not begun: `start` takes them along
      attempt(() => remote.configure(next));
      // Idle detection was granted only now, and a watch asks for permissions when it begins.
      if (change.pauseWhenActive) watch();
    },
    [remote, attempt, watch],
  );

  const command = useCallback<MinerCommands["command"]>((name) => attempt(() => remote[name]()), [remote, attempt]);

  return { view, settings, fault, start, configure, command };
}
