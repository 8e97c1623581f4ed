/** What will happen, in order of time; what is due at the same time, in the order in which it was planned. */
export class Timeline {
  #heap: { at: number; order: number; act: () => void }[] = [];
  #order = 0;

  get size(): number {
    return this.#heap.length;
  }

  /** When the next thing is due; infinite where nothing is. */
  get next(): number {
    return this.#heap[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  plan(at: number, act: () => void): void {
    const heap = this.#heap;
    heap.push({ at, order: this.#order++, act });
    for (let child = heap.length - 1; child > 0; ) {
      const parent = (child - 1) >> 1;
      if (!this.#isBefore(child, parent)) break;
      this.#swap(child, parent);
      child = parent;
    }
  }

  /** Does everything that is due at the next time; returns that time. */
  advance(): number {
    const at = this.next;
    while (this.next === at) this.#take().act();
    return at;
  }

  #take() {
    const heap = this.#heap;
    const first = heap[0] as (typeof heap)[number];
    const last = heap.pop() as (typeof heap)[number];
    if (heap.length > 0) {
      heap[0] = last;
      for (let parent = 0; ; ) {
        let least = parent;
        for (const child of [2 * parent + 1, 2 * parent + 2]) {
          if (child < heap.length && this.#isBefore(child, least)) least = child;
        }
        if (least === parent) break;
        this.#swap(least, parent);
        parent = least;
      }
    }
    return first;
  }

  #isBefore(a: number, b: number): boolean {
    const left = this.#heap[a] as { at: number; order: number };
    const right = this.#heap[b] as { at: number; order: number };
    return left.at < right.at || (left.at === right.at && left.order < right.order);
  }

  #swap(a: number, b: number): void {
    const heap = this.#heap;
    const kept = heap[a] as (typeof heap)[number];
    heap[a] = heap[b] as (typeof heap)[number];
    heap[b] = kept;
  }
}
