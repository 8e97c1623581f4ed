import type { PageSignals } from "./contract.ts";

/**
 * Watches what only a page can see and pushes it: at once, on every change, and every two seconds with a new frame time.
 * Returns the function that ends the watch.
 */
export function watchPageSignals(push: (signals: PageSignals) => void): () => void {
  const ended = new AbortController();
  const { signal } = ended;
  const signals: PageSignals = {
    visible: !document.hidden,
    frameMs: null,
    onBattery: null,
    metered: readMetered(),
    personActive: null,
    storagePersisted: null,
  };
  const update = (change: Partial<PageSignals>) => {
    if (signal.aborted) return;
    Object.assign(signals, change);
    push({ ...signals });
  };

  push({ ...signals });
  // A hidden page draws no frames, so the last frame time says nothing of now.
  document.addEventListener(
    "visibilitychange",
    () => update(document.hidden ? { visible: false, frameMs: null } : { visible: true }),
    { signal },
  );
  connection()?.addEventListener("change", () => update({ metered: readMetered() }), { signal });
  void watchBattery(signal, (onBattery) => update({ onBattery }));
  void watchPerson(signal, (personActive) => update({ personActive }));

  let stopFrames = sampleFrames((frameMs) => {
    if (!document.hidden) update({ frameMs });
  });
  const timer = setInterval(() => {
    stopFrames();
    stopFrames = sampleFrames((frameMs) => {
      if (!document.hidden) update({ frameMs });
    });
    void navigator.storage?.persisted?.().then((storagePersisted) => {
      if (storagePersisted !== signals.storagePersisted) update({ storagePersisted });
    });
  }, SAMPLE_EVERY_MS);
  return () => {
    ended.abort();
    stopFrames();
    clearInterval(timer);
  };
}

const SAMPLE_EVERY_MS = 2_000;
const FRAMES = 10;

/** Median of the next frames' durations, then stops: sampling all the time would itself keep the page drawing. */
function sampleFrames(done: (frameMs: number) => void): () => void {
  const durations: number[] = [];
  let previous: number | null = null;
  let handle = requestAnimationFrame(function frame(now) {
    if (previous !== null) durations.push(now - previous);
    previous = now;
    if (durations.length < FRAMES) {
      handle = requestAnimationFrame(frame);
      return;
    }
    durations.sort((a, b) => a - b);
    done(durations[FRAMES / 2] as number);
  });
  return () => cancelAnimationFrame(handle);
}

/** https://wicg.github.io/netinfo/: Chromium only. */
interface NetworkInformation extends EventTarget {
  type?: string;
  saveData?: boolean;
}
const connection = () => (navigator as Navigator & { connection?: NetworkInformation }).connection;

function readMetered(): boolean | null {
  const link = connection();
  return link ? link.saveData === true || link.type === "cellular" : null;
}

/** https://w3c.github.io/battery/: Chromium only. */
interface BatteryManager extends EventTarget {
  charging: boolean;
}

async function watchBattery(signal: AbortSignal, tell: (onBattery: boolean) => void): Promise<void> {
  const { getBattery } = navigator as Navigator & { getBattery?: () => Promise<BatteryManager> };
  const battery = await getBattery?.call(navigator).catch(() => null);
  if (!battery || signal.aborted) return;
  tell(!battery.charging);
  battery.addEventListener("chargingchange", () => tell(!battery.charging), { signal });
}

/** https://wicg.github.io/idle-detection/: Chromium only, and only where the person granted it. */
interface IdleDetector extends EventTarget {
  userState: "active" | "idle" | null;
  start(options: { threshold: number; signal: AbortSignal }): Promise<void>;
}
const IDLE_AFTER_MS = 60_000;

async function watchPerson(signal: AbortSignal, tell: (active: boolean) => void): Promise<void> {
  const Detector = (globalThis as { IdleDetector?: new () => IdleDetector }).IdleDetector;
  if (!Detector) return;
  const name = "idle-detection" as PermissionName;
  const permission = await navigator.permissions.query({ name }).catch(() => null);
  if (permission?.state !== "granted" || signal.aborted) return;
  const detector = new Detector();
  detector.addEventListener("change", () => tell(detector.userState === "active"), { signal });
  await detector.start({ threshold: IDLE_AFTER_MS, signal }).catch(() => undefined);
}
