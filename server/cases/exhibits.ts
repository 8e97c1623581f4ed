import type { AssignmentId, ModelKey } from "../../shared/ids.ts";
import { type Tensor, toNumbers } from "../../shared/tensor.ts";
import { distancesOf, type Tolerance } from "../../shared/tolerance.ts";
import type { HubEffect, Mismatch } from "../core/events.ts";
import type { Exhibit, OutputPair } from "../store/case-records.ts";

/**
 * What of refuted answers is kept until it comes to a case: every measure of the comparator, and the numbers where the two
 * answers differ most. In memory alone and bounded; after a restart a case shows commitments instead.
 */
const ROWS_KEPT = 32;
const OUTPUTS_KEPT = 8;
const ANSWERS_KEPT = 4_096;

type Retained = Pick<Exhibit, "level" | "comparator" | "measures" | "outputs">;
const notRetained: Retained = { level: null, comparator: null, measures: [], outputs: [] };

export class Exhibits {
  readonly #comparatorOf: (model: ModelKey) => Tolerance | null;
  #kept = new Map<AssignmentId, Retained>();

  constructor(comparatorOf: (model: ModelKey) => Tolerance | null) {
    this.#comparatorOf = comparatorOf;
  }

  keep({ assignment, spec, outputs, reference }: Extract<HubEffect, { kind: "mismatch" }>): void {
    const comparator = this.#comparatorOf(spec.model);
    const distances = comparator ? distancesOf(comparator, outputs, reference) : [];
    const measures = distances.map(({ output, measure, value, failRatio }) => {
      return { output, measure, value: Number.isFinite(value) ? value : Number.MAX_VALUE, failRatio };
    });
    this.#kept.set(assignment, { level: spec.level, comparator, measures, outputs: pairs(outputs, reference) });
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= ANSWERS_KEPT) break;
      this.#kept.delete(oldest);
    }
  }

  /** Without the task and assignment, which would lead to a name. */
  of({ task: _task, assignment, ...mismatch }: Mismatch): Exhibit {
    const retained = this.#kept.get(assignment) ?? notRetained;
    return { ...mismatch, ...retained, comparator: this.#comparatorOf(mismatch.model) };
  }
}

function pairs(outputs: readonly Tensor[], reference: readonly Tensor[]): OutputPair[] {
  return outputs.slice(0, OUTPUTS_KEPT).flatMap((given) => {
    const right = reference.find(({ name }) => name === given.name);
    if (!right) return [];
    const [a, b] = [toNumbers(given), toNumbers(right)];
    const rows = furthestApart(a, b).map((index) => {
      return { index, given: printable(a[index]), reference: printable(b[index]) };
    });
    return [{ name: given.name, dtype: given.dtype, shape: given.shape, elements: a.length, rows }];
  });
}

/** Places where the two differ most, in order of place. */
function furthestApart(a: Float64Array, b: Float64Array): number[] {
  const found: { index: number; gap: number }[] = [];
  for (let index = 0; index < a.length; index++) {
    const difference = Math.abs((a[index] as number) - (b[index] ?? Number.NaN));
    const gap = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
    if (found.length === ROWS_KEPT && gap <= (found.at(-1)?.gap ?? 0)) continue;
    const place = found.findLastIndex((other) => other.gap >= gap) + 1;
    found.splice(place, 0, { index, gap });
    if (found.length > ROWS_KEPT) found.pop();
  }
  return found.map(({ index }) => index).sort((one, other) => one - other);
}

const printable = (value: number | undefined): number | string =>
  value !== undefined && Number.isFinite(value) ? value : String(value);
