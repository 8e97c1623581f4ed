import { proxy } from "comlink";
import {
  DATABASE_NAME,
  defaultSettings,
  type MinerPageRemote,
  type MinerRemote,
  type MinerSettings,
  type MinerView,
  type PageSignals,
} from "./contract.ts";
import { settingsFromUrl } from "./settings-from-url.ts";
import { type SupervisedWorker, superviseWorker } from "./supervised-worker.ts";

declare global {
  /** For `npm run miner`, which drives this page without a person: the same commands that the page's buttons give. */
  var tabgridMiner: MinerPageRemote | undefined;
}

const CALL_MS = 10_000;
const CLEAR_CACHE_MS = 60_000;
const RESPAWN_MS = 2_000;

/**
 * The page's end of the session worker. The worker is started by the first call, and started again, with what was last
 * asked of it, when it dies. What the page's address says overrides the settings.
 */
export function connectMiner(): MinerPageRemote {
  let worker: SupervisedWorker<MinerRemote> | null = null;
  let listener: ((view: MinerView) => void) | null = null;
  let started: MinerSettings | null = null;
  let paused = false;
  let lastSignals: PageSignals | null = null;

  const spawn = (): SupervisedWorker<MinerRemote> => {
    const script = new Worker(new URL("./session.worker.ts", import.meta.url), {
      type: "module",
      name: "tabgrid-session",
    });
    const spawned = superviseWorker<MinerRemote>(script);
    worker = spawned;
    void spawned.lost.then(() => {
      worker = null;
      setTimeout(revive, RESPAWN_MS);
    });
    return spawned;
  };

  const call = async (
    deadlineMs: number,
    send: Parameters<SupervisedWorker<MinerRemote>["call"]>[1],
  ): Promise<void> => {
    const answer = await (worker ?? spawn()).call(deadlineMs, send);
    if (!answer.ok) throw new Error(`The mining worker gave no answer: ${answer.error.message}.`);
  };

  const revive = () => {
    if (worker || !started || paused) return;
    const settings = started;
    void (async () => {
      if (listener) await remote.subscribe(listener);
      if (lastSignals) await remote.signals(lastSignals);
      await remote.start(settings);
    })().catch(() => undefined); // the worker died again: its own `lost` revives it
  };

  const remote: MinerPageRemote = {
    async start(settings) {
      started = settingsFromUrl(location.search, settings);
      paused = false;
      // Only a page may ask that its storage be kept; the answer reaches the worker with the signals.
      void navigator.storage?.persist?.();
      const asked = started;
      await call(CALL_MS, (to) => to.start(asked));
    },
    async configure(settings) {
      const asked = settingsFromUrl(location.search, settings);
      if (started) started = asked;
      await call(CALL_MS, (to) => to.configure(asked));
    },
    async signals(signals) {
      lastSignals = signals;
      await call(CALL_MS, (to) => to.signals(signals));
    },
    async subscribe(next) {
      listener = next;
      let view = {} as MinerView; // the first push is whole
      const push = (changed: Partial<MinerView>) => {
        view = { ...view, ...changed };
        next(view);
      };
      await call(CALL_MS, (to) => to.subscribe(proxy(push)));
    },
    pause() {
      paused = true;
      return call(CALL_MS, (to) => to.pause());
    },
    async resume() {
      paused = false;
      if (worker) await call(CALL_MS, (to) => to.resume());
      else revive();
    },
    finishThenStop() {
      started = null;
      return call(CALL_MS, (to) => to.finishThenStop());
    },
    stop() {
      started = null;
      return call(CALL_MS, (to) => to.stop());
    },
    clearCache: () => call(CLEAR_CACHE_MS, (to) => to.clearCache()),
  };
  globalThis.tabgridMiner = remote;
  return remote;
}

/** What was agreed to in an earlier visit. A first visit creates no database and loads no code for one. */
export async function readConsent(): Promise<{ consented: boolean; settings: MinerSettings }> {
  const databases = await indexedDB.databases();
  if (!databases.some(({ name }) => name === DATABASE_NAME)) return { consented: false, settings: defaultSettings };
  const { loadConsent } = await import("./database.ts");
  return loadConsent();
}
