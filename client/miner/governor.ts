import type { MinerSettings, PageSignals } from "./contract.ts";

/** https://www.w3.org/TR/compute-pressure/: how hard the processor is driven; null where the browser does not tell. */
export type Pressure = "nominal" | "fair" | "serious" | "critical" | null;

export interface Surroundings {
  signals: PageSignals | null;
  /** The shortest frame time seen so far: a display of 30 Hz is not a slow page. */
  bestFrameMs: number | null;
  pressure: Pressure;
  /** Local time, 0–23. */
  hour: number;
}

export interface Governed {
  run: boolean;
  /** Why not, in words for a person. */
  why: string | null;
  /** Share of time that may be computed now. */
  duty: number;
}

/** A frame should take 17 ms; beyond this, and half as long again as the display's own, the person notices. */
const SLOW_FRAME_MS = 25;
const SLOW_FRAME_RATIO = 1.5;
const LEAST_DUTY = 0.1;
const LOWER = 0.7;
const RAISE = 0.02;

/**
 * May the miner compute, and how much? Called every two seconds. The duty falls fast while the page stutters or, hidden,
 * the processor is pressed, and rises slowly to what the person allows; `dutyBefore` is the last answer's. A visible page
 * goes by its frames alone: pressure cannot tell the miner's own work from anybody else's.
 */
export function govern(settings: MinerSettings, around: Surroundings, dutyBefore: number): Governed {
  const why = whyNot(settings, around);
  const { signals, bestFrameMs } = around;
  const slowMs = Math.max(SLOW_FRAME_MS, SLOW_FRAME_RATIO * (bestFrameMs ?? 0));
  const stutters = signals?.visible === true && signals.frameMs !== null && signals.frameMs > slowMs;
  const pressure = signals?.visible ? null : around.pressure;
  const pressed = settings.yieldToFrames && (stutters || pressure === "critical");
  const held = settings.yieldToFrames && pressure === "serious";
  const most = Math.min(1, Math.max(LEAST_DUTY, settings.duty));
  const steered = pressed ? dutyBefore * LOWER : held ? dutyBefore : dutyBefore + RAISE;
  return { run: why === null, why, duty: Math.min(most, Math.max(LEAST_DUTY, steered)) };
}

function whyNot(settings: MinerSettings, { signals, hour }: Surroundings): string | null {
  const [from, to] = settings.hours;
  const inHours = from === to || (from < to ? hour >= from && hour < to : hour >= from || hour < to);
  if (!inHours) return `outside the hours ${from}–${to} o'clock`;
  if (settings.pauseOnBattery && signals?.onBattery) return "on battery";
  if (settings.pauseOnMetered && signals?.metered) return "on a metered connection";
  if (settings.pauseWhenActive && signals?.personActive) return "you are using this machine";
  return null;
}
