/**
 * Which decimal numbers lie within bounds, decided while they are written: a prefix may go on where some number that begins
 * with it lies inside. All is exact, in integers of the last decimal place.
 */
export interface Decimals {
  /** Inclusive, in units of 10^-places. */
  low: bigint;
  high: bigint;
  /** Digits after the point at most; 0 for integers. */
  places: number;
}

/** As JSON.stringify writes numbers without an exponent. */
export const WHOLE_DIGITS = 21;
const PLACES = 20;
const largest = (places: number): bigint => 10n ** BigInt(WHOLE_DIGITS + places) - 1n;

export interface Bounds {
  minimum?: number | undefined;
  maximum?: number | undefined;
  exclusiveMinimum?: number | undefined;
  exclusiveMaximum?: number | undefined;
}

/** Null where no number lies within. */
export function decimalsWithin(bounds: Bounds, integer: boolean): Decimals | null {
  const places = integer ? 0 : PLACES;
  const most = largest(places);
  let [low, high] = [-most, most];
  const atLeast = (value: bigint) => {
    if (value > low) low = value;
  };
  const atMost = (value: bigint) => {
    if (value < high) high = value;
  };
  if (bounds.minimum !== undefined) atLeast(scaled(bounds.minimum, places, "up"));
  if (bounds.maximum !== undefined) atMost(scaled(bounds.maximum, places, "down"));
  // Who reads the text rounds it to the nearest double: beyond a bound is at least the next double.
  if (bounds.exclusiveMinimum !== undefined) {
    atLeast(
      integer ? scaled(bounds.exclusiveMinimum, 0, "down") + 1n : scaled(nextUp(bounds.exclusiveMinimum), places, "up"),
    );
  }
  if (bounds.exclusiveMaximum !== undefined) {
    atMost(
      integer
        ? scaled(bounds.exclusiveMaximum, 0, "up") - 1n
        : scaled(-nextUp(-bounds.exclusiveMaximum), places, "down"),
    );
  }
  return low <= high ? { low, high, places } : null;
}

/** A double's shortest decimal in units of 10^-places. */
function scaled(value: number, places: number, round: "up" | "down"): bigint {
  const [, sign = "", whole = "0", fraction = "", exponent = "0"] =
    /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/.exec(String(value)) ?? [];
  const shift = places - fraction.length + Number(exponent);
  const digits = BigInt(`${sign}${whole}${fraction}`);
  if (shift >= 0) return digits * 10n ** BigInt(shift);
  const unit = 10n ** BigInt(-shift);
  const floor = digits / unit - (digits % unit < 0n ? 1n : 0n);
  return round === "down" || floor * unit === digits ? floor : floor + 1n;
}

function nextUp(value: number): number {
  if (value === 0) return Number.MIN_VALUE;
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  view.setBigInt64(0, view.getBigInt64(0) + (value > 0 ? 1n : -1n));
  return view.getFloat64(0);
}

const powers = Array.from({ length: WHOLE_DIGITS + PLACES + 1 }, (_, exponent) => 10n ** BigInt(exponent));
const power = (exponent: number): bigint => powers[exponent] as bigint;

/** Magnitudes of the numbers within, of one sign; the first above the last: none. Never -0. */
const magnitudes = ({ low, high }: Decimals, negative: boolean): [bigint, bigint] => {
  const [from, to, least] = negative ? [-high, -low, 1n] : [low, high, 0n];
  return [from > least ? from : least, to];
};

/** A number in the writing. */
export interface Prefix {
  /** Whether some number within begins so. */
  mayBegin: boolean;
  /** Whether it is a number within as it stands. */
  isWithin: boolean;
}

const neither: Prefix = { mayBegin: false, isWithin: false };

export function judgePrefix(text: string, within: Decimals): Prefix {
  const [, sign, whole = "", point, fraction = ""] = /^(-?)(0|[1-9]\d*)?(?:(\.)(\d*))?$/.exec(text) ?? [];
  if (sign === undefined || whole.length > WHOLE_DIGITS || fraction.length > within.places) return neither;
  if (point && (whole === "" || within.places === 0)) return neither;
  const [first, last] = magnitudes(within, sign === "-");
  if (first > last) return neither;
  if (whole === "") return { mayBegin: true, isWithin: false };
  const digits = BigInt(whole + fraction);
  /** Numbers that begin so lie in [digits, digits + 1) of this unit, further digits before the point aside. */
  const unit = power(within.places - fraction.length);
  const isWithin = point !== undefined && fraction === "" ? false : meets(digits * unit, 1n, first, last);
  if (isWithin) return { mayBegin: true, isWithin };
  const most = point || whole === "0" ? 0 : WHOLE_DIGITS - whole.length;
  for (let more = 0; more <= most; more++) {
    const each = unit * power(more);
    if (digits * each > last) break;
    if (meets(digits * each, each, first, last)) return { mayBegin: true, isWithin };
  }
  return neither;
}

/** Whether [from, from + count) meets [first, last]. */
const meets = (from: bigint, count: bigint, first: bigint, last: bigint): boolean =>
  from <= last && from + count > first;
