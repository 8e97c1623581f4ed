/** Ranks without sorting: linear time on the average. All functions reorder the arrays that they are given. */

/** Value of rank k from the top, k from 1. */
export function kthLargest(values: Float64Array, k: number): number {
  let from = 0;
  let to = values.length;
  for (;;) {
    const pivot = medianOf(values, from, to);
    const [less, greater] = partition(values, null, from, to, pivot);
    if (k - 1 < less) to = less;
    else if (k - 1 < greater) return pivot;
    else from = greater;
  }
}

/** The lowest of the highest values, among the first `count`, whose masses together reach `target`. */
export function lowestWithin(values: Float64Array, masses: Float64Array, count: number, target: number): number {
  let from = 0;
  let to = count;
  let above = 0;
  let lowest = Number.POSITIVE_INFINITY;
  while (from < to) {
    const pivot = medianOf(values, from, to);
    const [less, greater] = partition(values, masses, from, to, pivot);
    let higher = 0;
    for (let at = from; at < less; at++) higher += masses[at] as number;
    let equal = 0;
    for (let at = less; at < greater; at++) equal += masses[at] as number;
    if (less > from && above + higher >= target) to = less;
    else {
      lowest = pivot;
      above += higher + equal;
      if (above >= target) break;
      from = greater;
    }
  }
  return lowest;
}

function medianOf(values: Float64Array, from: number, to: number): number {
  const a = values[from] as number;
  const b = values[(from + to) >>> 1] as number;
  const c = values[to - 1] as number;
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
}

/** Descending, in three parts: larger than the pivot before the first index returned, equal to it before the second. */
function partition(
  values: Float64Array,
  masses: Float64Array | null,
  from: number,
  to: number,
  pivot: number,
): [number, number] {
  let less = from;
  let greater = to;
  let at = from;
  const swap = (a: number, b: number) => {
    const value = values[a] as number;
    values[a] = values[b] as number;
    values[b] = value;
    if (!masses) return;
    const mass = masses[a] as number;
    masses[a] = masses[b] as number;
    masses[b] = mass;
  };
  while (at < greater) {
    const value = values[at] as number;
    if (value > pivot) swap(at++, less++);
    else if (value < pivot) swap(at, --greater);
    else at++;
  }
  return [less, greater];
}
