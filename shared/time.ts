/** Unix time in milliseconds. Only `systemClock` reads the machine's clock; the core gets time with each event. */
export type Millis = number;

export interface Clock {
  now(): Millis;
}

export const systemClock: Clock = { now: () => Date.now() };

/** A clock that a test moves by hand. */
export function manualClock(start: Millis = 0): Clock & { advance(by: Millis): void } {
  let now = start;
  return {
    now: () => now,
    advance: (by) => {
      now += by;
    },
  };
}
