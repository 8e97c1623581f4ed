import { nextInt, seededRng } from "../../../shared/random.ts";
import { type Dealing, dealingOf } from "./play.ts";
import { COORDINATES, corner, interior, mixed, neighbour, type Point, type Setting, settingAt } from "./setting.ts";

/**
 * Looks among the settings that the bounds allow for one in which dealing with oneself pays: corners of every bound, points
 * between them, and ascents from the best.
 */
export interface Found extends Dealing {
  setting: Setting;
}

export interface Search {
  /** Settings that were played. */
  played: number;
  /** Refused by the bounds of a domain. */
  refused: number;
  /** Left out because so little was dealt that roundings of single nano-DN decide. */
  small: number;
  /** How often the dealer did not lose. */
  gained: number;
  /** By USDC that come back per USDC spent. */
  best: Found | null;
  /** By USDC that come back per USDC of foundation and y. */
  closest: Found | null;
}

/** Below it the roundings of single nano-DN, worth up to 100 nano-USDC here, weigh more than what is lost. */
const SPENT_LEAST = 10_000_000n;
const KEPT = 24;

export const returnedOf = ({ spent, gain }: Dealing): number => 1 + Number(gain) / Number(spent);
export const regainedOf = ({ lost, gain }: Dealing): number => 1 + Number(gain) / Number(lost);

export interface SearchJob {
  /** To be played. */
  settings: number;
  seed: number;
  /** The domain that is dealt in escapes the guard. */
  listed: boolean;
}

/** A quarter corners, a quarter points with some coordinates at bounds, an eighth interior points, the rest ascents. */
export function search({ settings, seed, listed }: SearchJob): Search {
  const rng = seededRng(seed);
  const result: Search = { played: 0, refused: 0, small: 0, gained: 0, best: null, closest: null };
  let kept: { point: Point; value: number }[] = [];
  /** Null where the point is refused or too little is dealt. */
  const tryOne = (point: Point): number | null => {
    const setting = settingAt(point, listed);
    if (!setting) {
      result.refused++;
      return null;
    }
    const dealing = dealingOf(setting);
    if (dealing.spent < SPENT_LEAST) {
      result.small++;
      return null;
    }
    result.played++;
    const found = { ...dealing, setting };
    if (dealing.gain >= 0n) result.gained++;
    if (!result.best || returnedOf(found) > returnedOf(result.best)) result.best = found;
    if (!result.closest || regainedOf(found) > regainedOf(result.closest)) result.closest = found;
    const value = regainedOf(found);
    if (kept.length < KEPT || value > (kept.at(-1)?.value ?? 0)) {
      kept = [...kept, { point, value }].sort((a, b) => b.value - a.value).slice(0, KEPT);
    }
    return value;
  };

  const until = (share: number, draw: (n: number) => Point) => {
    for (let n = 0; result.played < settings * share; n++) tryOne(draw(n));
  };
  // One coordinate after the other at each of its bounds, among corners.
  until(1 / 4, (n) => {
    const point = corner(rng);
    point[(n >> 1) % COORDINATES] = n % 2;
    return point;
  });
  until(1 / 2, () => mixed(rng));
  until(5 / 8, () => interior(rng));
  until(1, () => neighbour((kept[nextInt(rng, kept.length)] as { point: Point }).point, rng));
  return result;
}
