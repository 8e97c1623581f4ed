import { type Draw, latinHypercube } from "./draws.ts";
import { type Outcome, simulate } from "./network.ts";
import { type Cell, cells, type Level, type Route, type Split } from "./rules.ts";

/** The runs of every cell over the same draws, and what the tables and the charts of docs/emissions-study.md look up in them. */
export interface Study {
  draws: readonly Draw[];
  runs: readonly Run[];
  /** R0, R3 and R4 once more, with nothing staked at first. */
  unstaked: readonly Run[];
}

interface Run {
  cell: Cell;
  outcomes: readonly Outcome[];
}

export function play(count: number, seed: number, say: (line: string) => void): Study {
  const draws = latinHypercube(count, seed);
  const runs = cells.map((cell, i) => {
    const outcomes = draws.map((draw) => simulate(draw, cell));
    say(`${i + 1} of ${cells.length}: ${cell.route}, ${cell.level}, ${cell.split.name}`);
    return { cell, outcomes };
  });
  const again = cells.filter(({ level, split }) =>
    level === "fixed 10 %" ? split.name === "41/41/18" : /^R[34]$/.test(level) && split.name === "commons",
  );
  const unstaked = again.map((cell) => ({ cell, outcomes: draws.map((draw) => simulate(draw, cell, 0)) }));
  return { draws, runs, unstaked };
}

export const routes: readonly Route[] = ["token", "table"];

/** The rules that are set side by side: R0 as the sources word it, all others with the split of `commons`. */
export const rules = ["R0", "R2", "R3", "R3 listed", "R4", "R5", "R6"] as const;
export type Rule = (typeof rules)[number];

export function of(
  { runs }: Pick<Study, "runs">,
  level: Level,
  split: Split["name"],
  route: Route,
): readonly Outcome[] {
  const found = runs.find(
    ({ cell }) => cell.level === level && cell.route === route && (level === "R4" || cell.split.name === split),
  );
  if (!found) throw new Error(`no runs of ${level}, ${split}, ${route}`);
  return found.outcomes;
}

export const ofRule = (study: Pick<Study, "runs">, rule: Rule, route: Route): readonly Outcome[] =>
  rule === "R0" ? of(study, "fixed 10 %", "41/41/18", route) : of(study, rule, "commons", route);

export const collapses = (outcomes: readonly Outcome[]): boolean[] =>
  outcomes.map(({ collapsed }) => collapsed !== null);

export const percent = (value: number): string => `${(100 * value).toFixed(1)} %`;
export const number = (value: number): string =>
  Number.isFinite(value)
    ? Math.abs(value) >= 0.001 || value === 0
      ? value.toPrecision(3)
      : value.toExponential(1)
    : "–";

const GRID = 4;
const cut = (least: number, most: number, digits: number): string[] =>
  Array.from({ length: GRID }, (_, i) =>
    [i, i + 1].map((at) => (least + ((most - least) * at) / GRID).toFixed(digits)).join("–"),
  );
/** What the 4 × 4 grid is cut by. */
export const sides = { sold: cut(0.2, 1, 1), supplyElasticity: cut(0.5, 2, 2) };

/** Draws of each cell over η (rows) × σ (columns), row after row. */
export function grid(draws: readonly Draw[]): number[][] {
  const cells = Array.from({ length: GRID * GRID }, (): number[] => []);
  draws.forEach(({ sold, supplyElasticity }, i) => {
    const column = Math.min(GRID - 1, Math.floor(((sold - 0.2) / 0.8) * GRID));
    const row = Math.min(GRID - 1, Math.floor(((supplyElasticity - 0.5) / 1.5) * GRID));
    cells[row * GRID + column]?.push(i);
  });
  return cells;
}

export const rateOf = (hits: readonly boolean[], cell: readonly number[]): number =>
  cell.filter((i) => hits[i]).length / cell.length;

/** Of the collapsed runs under a rule, four rows of four cells. */
export function rates(study: Study, rule: Rule, route: Route): number[][] {
  const hits = collapses(ofRule(study, rule, route));
  const all = grid(study.draws).map((cell) => rateOf(hits, cell));
  return Array.from({ length: GRID }, (_, row) => all.slice(row * GRID, (row + 1) * GRID));
}
