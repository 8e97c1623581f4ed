import type { Nano } from "../../../shared/money.ts";
import { defaultEmissionRule, emissionLevel, emissionsOf, ofSupply } from "../../economy/emission.ts";
import type { Price } from "../../economy/market.ts";

/** How much DN a week mints, by the rules of docs/emissions-study.md. R3 is the production code. */
const levels = ["fixed 2 %", "fixed 10 %", "R2", "R3", "R3 listed", "R4", "R5", "R6"] as const;
export type Level = (typeof levels)[number];

export interface Split {
  name: "41/41/18" | "commons" | "miners first";
  miners: number;
  stakers: number;
  /** Of the rest, what goes to model owners: a wash trader is its own. */
  creators: number;
}

export const splits: readonly Split[] = [
  { name: "41/41/18", miners: 0.41, stakers: 0.41, creators: 0 },
  { name: "commons", miners: 0.553, stakers: 0.237, creators: 0.2 },
  { name: "miners first", miners: 0.77, stakers: 0.02, creators: 0.2 },
];

export type Route = "token" | "table";

export interface Cell {
  level: Level;
  split: Split;
  route: Route;
}

/** Without emission there is nothing to split. */
export const cells: readonly Cell[] = (["token", "table"] as const).flatMap((route) =>
  levels.flatMap((level) =>
    splits.filter((split) => level !== "R4" || split.name === "commons").map((split) => ({ level, split, route })),
  ),
);

export const FIRST_SUPPLY = 100_000_000;
const WEEK_MS = 604_800_000;
const HALVING_WEEKS = 208;
const KAPPA = 0.4;

/** What a rule looks at; amounts in USDC and DN but for the production code's own units. */
export interface Week {
  week: number;
  /** Matured revenue by week, nano-USDC, this one last. */
  revenue: Nano[];
  twap: Price | null;
  close: Price;
  supply: number;
  price: number;
  /** Served over capacity. */
  utilisation: number;
  /** DN burned this week. */
  burned: number;
}

/** DN minted, week by week; remembers what its rule remembers. */
export function emissionOf(level: Level): (week: Week) => number {
  const fixed = (share: number, week: number) =>
    ((FIRST_SUPPLY * share) / 52) * 0.5 ** Math.floor(week / HALVING_WEEKS);
  switch (level) {
    case "fixed 2 %":
      return ({ week }) => fixed(0.02, week);
    case "fixed 10 %":
      return ({ week }) => fixed(0.1, week);
    case "R2":
      return ({ revenue, price, supply }) => Math.min(supply, (KAPPA * Number(revenue.at(-1) ?? 0n)) / 1e9 / price);
    case "R3":
    case "R3 listed":
      return bounded(level === "R3 listed");
    case "R4":
      return () => 0;
    case "R5": {
      let smoothed = 0;
      return ({ burned, week }) => {
        smoothed += (burned - smoothed) / 48;
        return Math.min(smoothed, 0.01 * fixed(0.1, week));
      };
    }
    case "R6": {
      let current = fixed(0.1, 0);
      return ({ utilisation }) => {
        current *= 1 + Math.max(-1, Math.min(1, (utilisation - 0.5) / 0.5)) / 8;
        return Math.min(current, FIRST_SUPPLY * 0.01);
      };
    }
  }
}

function bounded(listed: boolean): (week: Week) => number {
  let previous: Nano | null = null;
  return ({ revenue, twap, close, supply }) => {
    const rule = defaultEmissionRule;
    const nanoSupply = BigInt(Math.round(supply * 1e9));
    previous = emissionLevel({
      rule,
      supply: nanoSupply,
      epochMs: WEEK_MS,
      revenue: listed ? revenue : [],
      twap,
      previous,
    });
    if (previous === null || twap === null) return 0;
    const matured = revenue.at(-1) ?? 0n;
    const demand = {
      period: "network",
      revenue: matured,
      foundation: matured / 100n,
      processor: (matured * 3n) / 100n,
      emission: 0n,
      listed,
      offset: false,
    };
    const ceiling = ofSupply(rule.ceilingPpm, nanoSupply, WEEK_MS);
    const limits = { level: previous, ceiling, kappaPpm: rule.kappaPpm };
    const emissions = emissionsOf(limits, [demand], { twap, close }, (id) => id);
    return Number(emissions.get("network")?.minted ?? 0n) / 1e9;
  };
}
