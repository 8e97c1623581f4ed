import type { HubEffect } from "../core/events.ts";
import { groundKey } from "../core/trust.ts";
import type { CompatibilityCount } from "../store/case-records.ts";

/** Which kinds of device compute which model rightly, counted from the known answers that the hub has judged. */
type Judged = Extract<HubEffect, { kind: "known-answers" }>;

/** Classes are made of what miners return: beyond so many a model and runtime, a new one counts under `other`. */
const CLASSES_KEPT = 64;
const OTHER = "other";

export class Compatibility {
  #counts: Map<string, CompatibilityCount>;

  /** `counts` are those of earlier starts. */
  constructor(counts: readonly CompatibilityCount[]) {
    this.#counts = new Map(counts.map((count) => [groundKey(count), { ...count }]));
  }

  /** In order of model, runtime and class. */
  all(): CompatibilityCount[] {
    return [...this.#counts.values()].sort((a, b) => (groundKey(a) < groundKey(b) ? -1 : 1));
  }

  /** Counts, and returns what to add to the books: one row a kind of device. */
  add(judged: readonly Judged[]): CompatibilityCount[] {
    const gains = new Map<string, CompatibilityCount>();
    for (const { ground, at, outcome } of judged) {
      const known = this.#rowOf(this.#counts, this.#placeOf(ground), at);
      const gain = this.#rowOf(gains, known, at);
      for (const row of [known, gain]) {
        row[outcome]++;
        row.lastAt = at;
      }
    }
    return [...gains.values()];
  }

  #placeOf({ model, runtime, deviceClass }: Judged["ground"]): Judged["ground"] {
    const place = { model, runtime, deviceClass };
    if (this.#counts.has(groundKey(place))) return place;
    let classes = 0;
    for (const row of this.#counts.values()) if (row.model === model && row.runtime === runtime) classes++;
    return classes < CLASSES_KEPT ? place : { ...place, deviceClass: OTHER };
  }

  #rowOf(rows: Map<string, CompatibilityCount>, place: Judged["ground"], at: number): CompatibilityCount {
    const { model, runtime, deviceClass } = place;
    const key = groundKey(place);
    const row = rows.get(key) ?? { model, runtime, deviceClass, admitted: 0, refused: 0, quarantined: 0, lastAt: at };
    rows.set(key, row);
    return row;
  }
}
