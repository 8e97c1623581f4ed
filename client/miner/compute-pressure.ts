import type { Pressure } from "./governor.ts";

interface PressureObserver {
  observe(source: "cpu", options: { sampleInterval: number }): Promise<void>;
}
type PressureObserverConstructor = new (
  heard: (records: { state: Exclude<Pressure, null> }[]) => void,
) => PressureObserver;

/** Tells how hard the processor is driven; says nothing where the browser (all but Chromium) cannot know. */
export function watchPressure(tell: (pressure: Pressure) => void): void {
  const { PressureObserver } = globalThis as { PressureObserver?: PressureObserverConstructor };
  if (!PressureObserver) return;
  const observer = new PressureObserver((records) => tell(records.at(-1)?.state ?? null));
  void observer.observe("cpu", { sampleInterval: 2_000 }).catch(() => undefined); // no such sensor
}
