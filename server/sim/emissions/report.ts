import type { Draw } from "./draws.ts";
import type { Outcome } from "./network.ts";
import type { Cell, Level, Route, Split } from "./rules.ts";
import {
  alignedDoesNot,
  type Estimate,
  firstOrder,
  fixedCollapses,
  hundredForEightyTwo,
  median,
  pairedDifference,
  quantile,
  share,
} from "./verdicts.ts";

/** The results of docs/emissions-study.md, in Markdown, from the runs of every cell over the same draws. */
export interface Study {
  draws: readonly Draw[];
  runs: readonly { cell: Cell; outcomes: readonly Outcome[] }[];
  seed: number;
}

const GRID = 4;
const routes: Route[] = ["token", "table"];
const percent = (value: number): string => `${(100 * value).toFixed(1)} %`;
const interval = ({ value, low, high }: Estimate): string => `${percent(value)} (${percent(low)} to ${percent(high)})`;
const number = (value: number): string =>
  Number.isFinite(value)
    ? Math.abs(value) >= 0.001 || value === 0
      ? value.toPrecision(3)
      : value.toExponential(1)
    : "–";
const collapses = (outcomes: readonly Outcome[]): boolean[] => outcomes.map(({ collapsed }) => collapsed !== null);
const ones = (hits: readonly boolean[]): number[] => hits.map(Number);

export function report(study: Study): string {
  const sections = routes.flatMap((route) => [hypotheses(study, route), outcomes(study, route), fan(study, route)]);
  return [...sections, heatMaps(study), sensitivity(study), fixedWins(study)].join("\n\n");
}

function of({ runs }: Study, level: Level, split: Split["name"], route: Route): readonly Outcome[] {
  const found = runs.find(
    ({ cell }) => cell.level === level && cell.route === route && (level === "R4" || cell.split.name === split),
  );
  if (!found) throw new Error(`no runs of ${level}, ${split}, ${route}`);
  return found.outcomes;
}

function hypotheses(study: Study, route: Route): string {
  const fixed = collapses(of(study, "fixed 10 %", "41/41/18", route));
  const lines = [`### Route *${route}*: the hypotheses`, "", "| | measured | verdict |", "| --- | --- | --- |"];
  for (const split of ["commons", "miners first"] as const) {
    const other = collapses(of(study, "fixed 10 %", split, route));
    const difference = pairedDifference(ones(fixed), ones(other));
    const measured = `P(collapse, R0) ${interval(share(fixed))}; R0 − R1 (${split}) ${interval(difference)}`;
    lines.push(`| H1, against ${split} | ${measured} | **${fixedCollapses(share(fixed), difference)}** |`);
  }
  for (const level of ["R3", "R3 listed"] as const) {
    const aligned = collapses(of(study, level, "commons", route));
    const gains = grid(study.draws).map((cell) => rateOf(fixed, cell) - rateOf(aligned, cell));
    const poor = gains.filter((gain) => gain < 0.1).length;
    const measured = `P(collapse) ${interval(share(aligned))}; less than 10 points better than R0 in ${poor} of ${gains.length} cells`;
    lines.push(`| H2, ${level} | ${measured} | **${alignedDoesNot(share(aligned), gains)}** |`);
  }
  const buying = of(study, "fixed 10 %", "41/41/18", route).flatMap((one) => one.buying.map((ratio) => 82 * ratio));
  if (buying.length === 0) lines.push("| H3 | R0 held its price within 5 % in no half-year | **not tested** |");
  else {
    const { value, low, high } = median(buying);
    const measured = `$${value.toFixed(1)} ($${low.toFixed(1)} to $${high.toFixed(1)}) of buying per $82, median of ${buying.length} half-years`;
    lines.push(`| H3 | ${measured} | **${hundredForEightyTwo({ value, low, high })}** |`);
  }
  return lines.join("\n");
}

function outcomes(study: Study, route: Route): string {
  const rows = study.runs
    .filter(({ cell }) => cell.route === route)
    .map(({ cell, outcomes: list }) => {
      const middle = (read: (one: Outcome) => number) => number(quantile(list.map(read), 0.5));
      return `| ${cell.level} | ${cell.level === "R4" ? "–" : cell.split.name} | ${interval(share(collapses(list)))} | ${middle((one) => one.served)} | ${middle((one) => one.margin)} | ${middle((one) => one.subsidy)} | ${middle((one) => one.netIssuance)} | ${middle((one) => one.price.at(-1) ?? 0)} | ${percent(list.reduce((sum, one) => sum + one.wash, 0) / list.length)} |`;
    });
  return [
    `### Route *${route}*: all rules`,
    "",
    "Medians over the draws, but for collapse and wash (mean): share of demand served; income over cost of miners; USDC of emission per",
    "USDC served; DN minted less burned, of the first supply; last price over the first.",
    "",
    "| level | split | collapsed | served | margin | subsidy | issuance | price | wash |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ...rows,
  ].join("\n");
}

/** Price over the first at each year's end: what a fan chart draws. */
function fan(study: Study, route: Route): string {
  const lines = [
    `### Route *${route}*: fan of the price`,
    "",
    "Price over the first at the end of years 1, 3 and 5: 5 %, 50 % and 95 % of draws.",
    "",
    "| level, split `commons` but for R0 | year 1 | year 3 | year 5 |",
    "| --- | --- | --- | --- |",
  ];
  for (const level of ["fixed 10 %", "R2", "R3", "R3 listed", "R4", "R5", "R6"] as const) {
    const list = of(study, level, level === "fixed 10 %" ? "41/41/18" : "commons", route);
    const at = (year: number) =>
      [0.05, 0.5, 0.95]
        .map((q) =>
          number(
            quantile(
              list.map((one) => one.price[year - 1] ?? 0),
              q,
            ),
          ),
        )
        .join(" / ");
    lines.push(`| ${level === "fixed 10 %" ? "R0" : level} | ${at(1)} | ${at(3)} | ${at(5)} |`);
  }
  return lines.join("\n");
}

/** Draws of each of the 4 × 4 cells over σ × η. */
function grid(draws: readonly Draw[]): number[][] {
  const cells = Array.from({ length: GRID * GRID }, (): number[] => []);
  draws.forEach(({ sold, supplyElasticity }, i) => {
    const column = Math.min(GRID - 1, Math.floor(((sold - 0.2) / 0.8) * GRID));
    const row = Math.min(GRID - 1, Math.floor(((supplyElasticity - 0.5) / 1.5) * GRID));
    cells[row * GRID + column]?.push(i);
  });
  return cells.filter((cell) => cell.length > 0);
}

const rateOf = (hits: readonly boolean[], cell: readonly number[]): number =>
  cell.filter((i) => hits[i]).length / cell.length;

function heatMaps(study: Study): string {
  const lines = ["### Where it collapses", "", "Collapsed runs in per cent; σ grows to the right, η downwards."];
  for (const route of routes) {
    const maps = [
      ["R0", collapses(of(study, "fixed 10 %", "41/41/18", route))],
      ["R3", collapses(of(study, "R3", "commons", route))],
    ] as const;
    for (const [name, hits] of maps) {
      lines.push(
        "",
        `Route *${route}*, ${name}:`,
        "",
        "| η \\ σ | 0.2–0.4 | 0.4–0.6 | 0.6–0.8 | 0.8–1 |",
        "| --- | --- | --- | --- | --- |",
      );
      const rates = grid(study.draws).map((cell) => (100 * rateOf(hits, cell)).toFixed(0));
      for (let row = 0; row < GRID; row++) {
        const least = 0.5 + (1.5 * row) / GRID;
        lines.push(
          `| ${least.toFixed(2)}–${(least + 1.5 / GRID).toFixed(2)} | ${rates.slice(row * GRID, (row + 1) * GRID).join(" | ")} |`,
        );
      }
    }
  }
  return lines.join("\n");
}

function sensitivity(study: Study): string {
  const names = Object.keys(study.draws[0] ?? {}).filter((name) => name !== "noise") as Exclude<keyof Draw, "noise">[];
  const lines = [
    "### What decides it",
    "",
    "Share of the variance of served demand that a parameter explains alone (first order, ten bins), the five largest.",
    "",
    "| route | rule | |",
    "| --- | --- | --- |",
  ];
  for (const route of routes) {
    for (const [level, split] of [
      ["fixed 10 %", "41/41/18"],
      ["R3", "commons"],
    ] as const) {
      const served = of(study, level, split, route).map((one) => one.served);
      const ranked = names
        .map((name) => ({
          name,
          explains: firstOrder(
            study.draws.map((draw) => draw[name]),
            served,
          ),
        }))
        .sort((a, b) => b.explains - a.explains)
        .slice(0, 5);
      lines.push(
        `| ${route} | ${level === "R3" ? "R3" : "R0"} | ${ranked.map(({ name, explains }) => `${name} ${percent(explains)}`).join(", ")} |`,
      );
    }
  }
  return lines.join("\n");
}

function fixedWins(study: Study): string {
  const lines = [
    "### Where the fixed rule wins",
    "",
    "| route | R0 against | served more by R0 in | R0 survived alone | other survived alone | difference of served |",
    "| --- | --- | --- | --- | --- | --- |",
  ];
  for (const route of routes) {
    const fixed = of(study, "fixed 10 %", "41/41/18", route);
    for (const level of ["R3", "R3 listed", "R4"] as const) {
      const other = of(study, level, "commons", route);
      const wins = fixed.map((one, i) => one.served > (other[i]?.served ?? 0) + 0.01);
      const alone = fixed.map((one, i) => one.collapsed === null && other[i]?.collapsed !== null);
      const otherAlone = fixed.map((one, i) => one.collapsed !== null && other[i]?.collapsed === null);
      const difference = pairedDifference(
        fixed.map((one) => one.served),
        other.map((one) => one.served),
      );
      lines.push(
        `| ${route} | ${level} | ${interval(share(wins))} | ${interval(share(alone))} | ${interval(share(otherAlone))} | ${interval(difference)} |`,
      );
    }
  }
  return lines.join("\n");
}
