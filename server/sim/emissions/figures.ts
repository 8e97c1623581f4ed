import { WEEKS } from "./draws.ts";
import { type FanPanel, fanChart, linearAxis, logAxis } from "./fan-chart.ts";
import { diverging, heatMaps, type Scale, sequential } from "./heat-map.ts";
import { type Outcome, PACE } from "./network.ts";
import type { Route } from "./rules.ts";
import { number, ofRule, percent, type Rule, rates, routes, rules, type Study, sides } from "./runs.ts";
import { quantile } from "./verdicts.ts";

/** A chart of docs/emissions-study.md; `alt` says in words what is seen in it. */
export interface Figure {
  file: string;
  alt: string;
  svg: string;
}

const names: Record<Rule, string> = {
  R0: "R0: fixed, 41/41/18",
  R2: "R2: unbounded",
  R3: "R3: bounded, guarded",
  "R3 listed": "R3 listed: no guard",
  R4: "R4: fees only",
  R5: "R5: after HIP-20",
  R6: "R6: after EIP-1559",
};
const quantiles = [0.05, 0.25, 0.5, 0.75, 0.95];
const years = linearAxis("years of 52 weeks", [0, 52, 104, 156, 208, 260], (week) => String(week / 52));
const key = { x: years, bands: ["5 % to 95 % of draws", "25 % to 75 %"], middle: "median" } as const;

/** The quantiles over the draws of one of their series, at each of its points. */
export function quantilesOf(outcomes: readonly Outcome[], series: "price" | "service"): number[][] {
  const points = outcomes[0]?.[series].map((_, i) => outcomes.map((one) => one[series][i] ?? 0)) ?? [];
  return quantiles.map((at) => points.map((values) => quantile(values, at)));
}

export function figuresOf(study: Study): Figure[] {
  return [...routes.flatMap((route) => [priceFan(study, route), serviceFan(study, route)]), collapseMaps(study)];
}

export const priceFile = (route: Route): string => `emissions-price-${route}.svg`;
export const serviceFile = (route: Route): string => `emissions-service-${route}.svg`;
export const collapseFile = "emissions-collapse.svg";

function priceFan(study: Study, route: Route): Figure {
  const panels = panelsOf(study, route, "price");
  const values = panels.flatMap((panel) => panel.quantiles.flat());
  const title = `Price of DN over the first price, route “${route}”`;
  const y = logAxis("price over the first (logarithmic)", values);
  const svg = fanChart({ ...key, title, y, mark: { value: 1, label: "first price" }, panels });
  return { file: priceFile(route), alt: `${title}. ${ends(panels, number)}`, svg };
}

function serviceFan(study: Study, route: Route): Figure {
  const panels = panelsOf(study, route, "service");
  const title = `Share of demand served in four weeks, route “${route}”`;
  const y = linearAxis("demand served, %", [0, 0.2, 0.4, 0.6, 0.8, 1], (value) => (100 * value).toFixed(0));
  const svg = fanChart({ ...key, title, y, mark: { value: 0.2, label: "20 % of demand" }, panels });
  return { file: serviceFile(route), alt: `${title}. ${ends(panels, percent)}`, svg };
}

/** A series that has the start as well begins in week 0. */
function panelsOf(study: Study, route: Route, series: "price" | "service"): FanPanel[] {
  return rules.map((rule) => {
    const lines = quantilesOf(ofRule(study, rule, route), series);
    const first = WEEKS - PACE * ((lines[0]?.length ?? 1) - 1);
    return { name: names[rule], at: (lines[0] ?? []).map((_, i) => first + i * PACE), quantiles: lines };
  });
}

function ends(panels: readonly FanPanel[], say: (value: number) => string): string {
  const each = panels.map(({ quantiles: lines }, i) => {
    const [low = 0, , half = 0, , high = 0] = lines.map((values) => values.at(-1) ?? 0);
    return `${rules[i]} ${say(half)} (${say(low)} to ${say(high)})`;
  });
  return `Fan charts on common axes; at the end, median and 5 % to 95 % of draws: ${each.join(", ")}.`;
}

function collapseMaps(study: Study): Figure {
  const rate: Scale = {
    title: "collapsed, % of the cell's draws",
    low: 0,
    high: 1,
    colours: sequential,
    label: (value) => (100 * value).toFixed(0),
  };
  const maps = routes.map((route) => {
    const [fixed, bounded] = [rates(study, "R0", route), rates(study, "R3", route)];
    const difference = bounded.map((row, i) => row.map((value, j) => value - (fixed[i]?.[j] ?? 0)));
    return { route, fixed, bounded, difference };
  });
  const widest = Math.max(...maps.flatMap(({ difference }) => difference.flat()).map((value) => Math.abs(value) || 0));
  const limit = Math.max(1, Math.ceil(widest * 10)) / 10;
  const points: Scale = {
    title: "R3 − R0, points",
    low: -limit,
    high: limit,
    colours: diverging,
    label: (value) => {
      const rounded = Math.round(100 * value);
      return `${rounded > 0 ? "+" : rounded < 0 ? "−" : ""}${Math.abs(rounded)}`;
    },
  };
  const title = "Collapsed draws by σ and η";
  const svg = heatMaps({
    title: `${title}, in per cent`,
    x: { title: "σ: least share of emission sold", labels: sides.sold },
    y: { title: "η: elasticity of capacity", labels: sides.supplyElasticity },
    scales: [rate, points],
    rows: maps.map(({ route, fixed, bounded, difference }) => [
      { name: `R0, route “${route}”`, cells: fixed, scale: rate },
      { name: `R3, route “${route}”`, cells: bounded, scale: rate },
      { name: `R3 − R0, route “${route}”`, cells: difference, scale: points },
    ]),
  });
  const span = (cells: number[][], { label }: Scale) => {
    const values = cells.flat().filter((value) => !Number.isNaN(value));
    return [...new Set([Math.min(...values), Math.max(...values)].map(label))].join(" to ");
  };
  const said = maps.map(
    ({ route, fixed, bounded, difference }) =>
      `route “${route}” R0 ${span(fixed, rate)} %, R3 ${span(bounded, rate)} %, R3 − R0 ${span(difference, points)} points`,
  );
  return { file: collapseFile, alt: `${title}. Heat maps of 16 cells: ${said.join("; ")}.`, svg };
}
