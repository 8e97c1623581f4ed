/**
 * Finds the first of several stop strings in text that comes in pieces, wherever the pieces' borders lie. Text that may
 * become part of one is held back, so nothing of a stop string is ever let go.
 */
export class StopText {
  readonly #stops: readonly string[];
  #held = "";
  #stopped = false;

  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** What may be let go now. */
  push(text: string): string {
    if (this.#stopped) return "";
    this.#held += text;
    const at = this.#firstStop();
    if (at !== null) {
      this.#stopped = true;
      return this.#release(at);
    }
    return this.#release(this.#held.length - this.#beginsAtEnd());
  }

  /** The rest, when no more text comes. */
  end(): string {
    return this.#stopped ? "" : this.#release(this.#held.length);
  }

  #release(length: number): string {
    const released = this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
    return released;
  }

  /** Where the stop string begins that ends first: so the borders of the pieces decide nothing. */
  #firstStop(): number | null {
    let start: number | null = null;
    let end = Number.POSITIVE_INFINITY;
    for (const stop of this.#stops) {
      const at = this.#held.indexOf(stop);
      if (at < 0 || at + stop.length > end || (at + stop.length === end && at > (start ?? 0))) continue;
      start = at;
      end = at + stop.length;
    }
    return start;
  }

  /** How many characters at the end are the beginning of a stop string. */
  #beginsAtEnd(): number {
    return Math.max(0, ...this.#stops.map((stop) => overlap(this.#held, stop)));
  }
}

/** Length of the longest end of `text` that `mark` begins with and that is not all of it. */
export function overlap(text: string, mark: string): number {
  for (let length = Math.min(text.length, mark.length - 1); length > 0; length--) {
    if (text.endsWith(mark.slice(0, length))) return length;
  }
  return 0;
}
