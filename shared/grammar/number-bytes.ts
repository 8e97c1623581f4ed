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
export const PLACES = 20;
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

interface Written {
  negative: boolean;
  /** Digits before the point and after it; null: there is no point yet. */
  whole: string;
  fraction: string | null;
}

function read(text: string): Written | null {
  const match = /^(-?)(0|[1-9]\d*)?(?:\.(\d*))?$/.exec(text);
  if (!match) return null;
  const [, sign, whole = "", fraction = null] = match;
  return whole === "" && fraction !== null ? null : { negative: sign === "-", whole, fraction };
}

/** Magnitudes of the numbers within, of one sign; null: none. */
function magnitudes({ low, high }: Decimals, negative: boolean): [bigint, bigint] | null {
  const [from, to] = negative ? [-high, -low] : [low, high];
  const least = negative ? 1n : 0n; // never -0
  const first = from > least ? from : least;
  return first <= to ? [first, to] : null;
}

/** Whether some number within begins with this text. */
export function mayBegin(text: string, within: Decimals): boolean {
  const written = read(text);
  if (!written) return false;
  const { whole, fraction, negative } = written;
  const inside = magnitudes(within, negative);
  if (!inside) return false;
  const meets = (from: bigint, count: bigint) => from <= inside[1] && from + count - 1n >= inside[0];
  if (whole.length > WHOLE_DIGITS) return false;
  if (whole === "") return true;
  const digits = BigInt(whole + (fraction ?? ""));
  if (fraction !== null) {
    if (fraction.length > within.places || within.places === 0) return false;
    const unit = 10n ** BigInt(within.places - fraction.length);
    return meets(digits * unit, unit);
  }
  const most = whole === "0" ? 0 : WHOLE_DIGITS - whole.length;
  for (let more = 0; more <= most; more++) {
    const unit = 10n ** BigInt(more + within.places);
    if (meets(digits * unit, unit)) return true;
  }
  return false;
}

/** Whether the text is a number within. */
export function isWithin(text: string, within: Decimals): boolean {
  const written = read(text);
  if (!written || written.whole === "" || written.fraction === "") return false;
  const { whole, fraction, negative } = written;
  const inside = magnitudes(within, negative);
  const places = fraction?.length ?? 0;
  if (!inside || places > within.places) return false;
  const magnitude = BigInt(whole + (fraction ?? "")) * 10n ** BigInt(within.places - places);
  return magnitude >= inside[0] && magnitude <= inside[1];
}
