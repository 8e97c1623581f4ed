import { type ServiceLevel, serviceLevels } from "../../../shared/pricing.ts";
import { nextInt, type Rng } from "../../../shared/random.ts";
import { assert } from "../../../shared/result.ts";
import { checkDomain, commonsSettings, type DomainSettings } from "../../economy/domains.ts";
import { domainBounds, networkBounds } from "../../economy/governance-bounds.ts";

/**
 * A world in which one party deals with itself, drawn as a point of the unit cube: every coordinate is one choice, 0 and 1
 * are its bounds. Shares are hundredths of a per cent, amounts whole USDC and DN.
 */
export type Point = Float64Array;

export interface Deal {
  byDealer: boolean;
  /** Epoch in which it matures. */
  epoch: number;
  model: "shared" | "other";
  level: ServiceLevel;
  gflop: number;
  /** At half the price. */
  preemptible: boolean;
  checker: "dealer" | "honest" | "reference" | "none";
  newcomer: boolean;
  /** A known answer that its miner is given beside it; or it fails, refuted by two checks of the dealer's. */
  hub: "nothing" | "canary" | "refuted";
  /** Settled before the domain's settings changed, though it matures with the others. */
  before: boolean;
  repeat: number;
}

/** A domain with honest revenue alone, of whose claims the dealer has a share. */
export interface Elsewhere {
  /** USDC of revenue, by epoch. */
  revenue: number[];
  dealerPercent: number;
}

export interface Setting {
  /** Of the domain that is dealt in, before they were changed and since. */
  before: DomainSettings;
  settings: DomainSettings;
  royalties: { shared: number; other: number };
  creatorIsDealer: boolean;
  /** a and c of the shared model's royalty, and how much of a the dealer holds, per cent; the venue is the dealer's. */
  backers: number;
  yieldVenue: number;
  dealerHolds: number;
  stakeOfDealerPercent: number;
  stakedDn: number;
  /** Attested, ms. */
  availableDealer: number;
  availableHonest: number;
  epochs: number;
  epochDays: number;
  kappaPpm: number;
  floorPpm: number;
  ceilingPpm: number;
  /**
   * Of the epoch before: none at genesis; per cent of the ceiling; or where the listed domain's revenue of 28 days before, as it
   * is in the first epoch, has led it, give or take ten per cent.
   */
  level: { of: "genesis" } | { of: "ceiling" | "demand"; percent: number };
  /** USDC in the verification pool that honest work has brought in. */
  verificationUsdc: number;
  poolUsdc: number;
  poolDn: number;
  /** Somebody buys DN with so much some days before the first closing. */
  pushUsdc: number;
  pushDays: number;
  listedElsewhere: Elsewhere;
  openElsewhere: Elsewhere;
  deals: Deal[];
}

const EPOCHS_MOST = 4;
const DEALS = 8;
const SETTINGS = 12;
export const COORDINATES = 26 + 2 * SETTINGS + 2 * (EPOCHS_MOST + 2) + 11 * DEALS;

/** `listed`: the domain that is dealt in escapes the guard. Null where the bounds refuse the point. */
export function settingAt(point: Point, listed = false): Setting | null {
  let at = 0;
  const whole = (least: number, most: number): number =>
    Math.min(most, least + Math.floor((point[at++] as number) * (most - least + 1)));
  /** Evenly by order of magnitude. */
  const size = (least: number, most: number): number => Math.round(least * (most / least) ** (point[at++] as number));
  const orNone = (amount: number): number => (whole(0, 3) === 0 ? 0 : amount);
  const pick = <T>(of: readonly T[]): T => of[whole(0, of.length - 1)] as T;
  const isOne = (): boolean => whole(0, 1) === 1;
  const bound = ({ least, most }: { least: bigint; most: bigint }): number => whole(Number(least), Number(most));

  let royaltyMost = 5_700;
  const drawSettings = (): DomainSettings => {
    let left = 10_000 - 100 - 100 - 3_000 - 730;
    const take = (wanted: number): number => {
      const taken = Math.min(wanted, left);
      left -= taken;
      return taken;
    };
    const shares = {
      processor: take(bound(domainBounds.processor)),
      owner: take(whole(0, 1_000)),
      emission: take(whole(0, 5_000)),
      variableBurn: take(bound(domainBounds.variableBurn)),
      pool: 730 + take(whole(0, 3_000)),
    };
    royaltyMost = Math.min(royaltyMost, left);
    const miners = whole(0, 9_900);
    // None of the three has more than 99 %.
    const stakers = Math.max(100 - miners, Math.min(whole(0, 9_900), 10_000 - miners));
    const emission = { owner: whole(0, 1_000), availability: whole(0, 2_000), miners, stakers };
    return {
      ...commonsSettings,
      revenue: { ...commonsSettings.revenue, domain: "dealt", ...shares },
      emission: { ...emission, validators: 10_000 - miners - stakers },
      tariff: { nanoPerGflop: BigInt(size(1, 1_000)), difficultyPpm: BigInt(size(10_000, 100_000_000)) },
      offset: isOne(),
      listed,
    };
  };
  const settings = drawSettings();
  const changed = drawSettings();
  const before = isOne() ? changed : settings;
  const royalties = { shared: whole(0, royaltyMost), other: whole(0, royaltyMost) };
  const backers = whole(0, 100);
  const level = whole(0, 100);
  const epochs = whole(1, EPOCHS_MOST);
  const elsewhere = (): Elsewhere => {
    const drawn = Array.from({ length: EPOCHS_MOST }, () => size(1, 30_000_000)).map((usdc) => (usdc === 1 ? 0 : usdc));
    const revenue = isOne() ? drawn.map(() => drawn[0] as number) : drawn;
    return { revenue, dealerPercent: whole(0, 100) };
  };
  const setting: Setting = {
    before,
    settings,
    royalties,
    creatorIsDealer: isOne(),
    backers,
    yieldVenue: Math.min(whole(0, 100), 100 - backers),
    dealerHolds: whole(0, 100),
    stakeOfDealerPercent: whole(0, 100),
    stakedDn: orNone(size(1, 10_000_000)),
    availableDealer: whole(0, 1_000),
    availableHonest: whole(0, 1_000),
    epochs,
    epochDays: pick([1, 7, 28]),
    kappaPpm: bound(networkBounds["emission.kappaPpm"]),
    floorPpm: bound(networkBounds["emission.floorPpm"]),
    ceilingPpm: bound(networkBounds["emission.ceilingPpm"]),
    level: pick([
      { of: "genesis" as const },
      { of: "ceiling" as const, percent: level },
      { of: "demand" as const, percent: 90 + Math.floor(level / 5) },
    ]),
    verificationUsdc: orNone(size(1, 100_000_000)),
    poolUsdc: size(1_000, 10_000_000),
    poolDn: size(100_000, 50_000_000),
    pushUsdc: orNone(size(1, 1_000_000)),
    pushDays: whole(0, 27),
    listedElsewhere: elsewhere(),
    openElsewhere: elsewhere(),
    deals: [],
  };
  for (let n = 0; n < DEALS; n++) {
    const [isDealers, repeat] = [isOne(), whole(0, 3)];
    setting.deals.push({
      byDealer: n === 0 || isDealers,
      repeat: n === 0 ? 1 : repeat,
      epoch: whole(0, epochs - 1),
      model: pick(["shared", "other"]),
      level: pick(serviceLevels),
      gflop: size(1, 1_000_000_000_000),
      preemptible: isOne(),
      checker: pick(["dealer", "honest", "reference", "none"]),
      newcomer: isOne(),
      hub: pick(["nothing", "nothing", "canary", "refuted"]),
      before: isOne(),
    });
  }
  assert(at === COORDINATES, `${at} choices of ${COORDINATES} coordinates`);
  return [before, settings].every((one) => checkDomain(one, Object.values(royalties)).ok) ? setting : null;
}

export const corner = (rng: Rng): Point => Float64Array.from({ length: COORDINATES }, () => nextInt(rng, 2));
export const interior = (rng: Rng): Point => Float64Array.from({ length: COORDINATES }, () => rng.next());
/** Each coordinate at a bound or between them, as likely. */
export const mixed = (rng: Rng): Point =>
  Float64Array.from({ length: COORDINATES }, () => (nextInt(rng, 2) === 0 ? rng.next() : nextInt(rng, 2)));

/** A step of an ascent: a few coordinates, moved a little or drawn anew. */
export function neighbour(point: Point, rng: Rng): Point {
  const moved = Float64Array.from(point);
  for (let changes = 1 + nextInt(rng, 4); changes > 0; changes--) {
    const at = nextInt(rng, COORDINATES);
    const step = nextInt(rng, 3);
    if (step === 0) moved[at] = nextInt(rng, 2);
    else if (step === 1) moved[at] = rng.next();
    else moved[at] = Math.min(1, Math.max(0, (moved[at] as number) + (rng.next() - 0.5) / 5));
  }
  return moved;
}
