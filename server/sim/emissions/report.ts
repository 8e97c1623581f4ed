import type { Draw } from "./draws.ts";
import { collapseFile, type Figure, figuresOf, priceFile, serviceFile } from "./figures.ts";
import { type Outcome, PACE } from "./network.ts";
import type { Route } from "./rules.ts";
import {
  collapses,
  grid,
  number,
  of,
  ofRule,
  percent,
  rateOf,
  rates,
  routes,
  rules,
  type Study,
  sides,
} from "./runs.ts";
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

const interval = ({ value, low, high }: Estimate): string => `${percent(value)} (${percent(low)} to ${percent(high)})`;
const ones = (hits: readonly boolean[]): number[] => hits.map(Number);

/** The results of docs/emissions-study.md: its text in Markdown, and the charts that it shows. */
export function report(study: Study): { text: string; figures: Figure[] } {
  const figures = figuresOf(study);
  const show = (file: string): string => {
    const figure = figures.find((one) => one.file === file);
    if (!figure) throw new Error(`no chart ${file}`);
    return `![${figure.alt}](images/${file})`;
  };
  const sections = routes.flatMap((route) => [
    hypotheses(study, route),
    outcomes(study, route),
    price(study, route, show(priceFile(route))),
    service(study, route, show(serviceFile(route))),
  ]);
  const last = [where(study, show(collapseFile)), sensitivity(study), byCost(study), fixedWins(study), start(study)];
  return { text: [...sections, ...last].join("\n\n"), figures };
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
  const cells = grid(study.draws).filter((cell) => cell.length > 0);
  for (const level of ["R3", "R3 listed"] as const) {
    const aligned = collapses(of(study, level, "commons", route));
    const gains = cells.map((cell) => rateOf(fixed, cell) - rateOf(aligned, cell));
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

/** At the end of years 1, 3 and 5: exact figures to the chart. */
function yearEnds(study: Study, route: Route, say: (outcomes: readonly Outcome[], week: number) => string): string[] {
  return [
    "| | year 1 | year 3 | year 5 |",
    "| --- | --- | --- | --- |",
    ...rules.map((rule) => {
      const list = ofRule(study, rule, route);
      return `| ${rule} | ${[52, 156, 260].map((week) => say(list, week)).join(" | ")} |`;
    }),
  ];
}

function price(study: Study, route: Route, chart: string): string {
  const say = (list: readonly Outcome[], week: number) =>
    spread(list.map((one) => one.price[week / PACE] ?? 0))
      .map(number)
      .join(" / ");
  return [
    `### Route *${route}*: the price`,
    "",
    chart,
    "",
    "The bands are of the draws at each time; no single network follows their edges. All with the split `commons`, but for R0. Price",
    "over the first at the end of years 1, 3 and 5: 5 %, 50 % and 95 % of draws.",
    "",
    ...yearEnds(study, route, say),
  ].join("\n");
}

function service(study: Study, route: Route, chart: string): string {
  const say = (list: readonly Outcome[], week: number) =>
    spread(list.map((one) => one.service[week / PACE - 1] ?? 0))
      .map(percent)
      .join(" / ");
  const ends = rules.map((rule) => {
    const last = ofRule(study, rule, route).map((one) => one.service.at(-1) ?? 0);
    const part = (least: number, most: number) =>
      percent(last.filter((one) => one >= least && one < most).length / last.length);
    return `| ${rule} | ${part(0, 0.2)} | ${part(0.2, 0.8)} | ${part(0.8, 2)} |`;
  });
  return [
    `### Route *${route}*: the demand served`,
    "",
    chart,
    "",
    "Share of demand served in the last four weeks of years 1, 3 and 5: 5 %, 50 % and 95 % of draws.",
    "",
    ...yearEnds(study, route, say),
    "",
    "Draws by the share of demand that they serve in the last four weeks of all:",
    "",
    "| | below 20 % | 20 % to 80 % | 80 % and more |",
    "| --- | --- | --- | --- |",
    ...ends,
  ].join("\n");
}

const spread = (values: readonly number[]): number[] => [0.05, 0.5, 0.95].map((at) => quantile(values, at));

function where(study: Study, chart: string): string {
  const sizes = grid(study.draws).map((cell) => cell.length);
  const lines = [
    "### Where it collapses",
    "",
    chart,
    "",
    `A cell has ${Math.min(...sizes)} to ${Math.max(...sizes)} draws. The same figures, R0 / R3, in per cent:`,
  ];
  const say = (value: number): string => (Number.isNaN(value) ? "–" : (100 * value).toFixed(0));
  for (const route of routes) {
    const [fixed, bounded] = [rates(study, "R0", route), rates(study, "R3", route)];
    lines.push("", `| ${route}: η \\ σ | ${sides.sold.join(" | ")} |`, "| --- | --- | --- | --- | --- |");
    sides.supplyElasticity.forEach((label, i) => {
      const cells = fixed[i]?.map((value, j) => `${say(value)} / ${say(bounded[i]?.[j] ?? 0)}`) ?? [];
      lines.push(`| ${label} | ${cells.join(" | ")} |`);
    });
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

/** What the table pays miners for a unit of work. */
const PAID = 0.67;

function byCost(study: Study): string {
  const lines = [
    `Collapsed draws, by whether a unit of work costs miners more than the ${PAID} of its price that the table pays them:`,
    "",
    `| | token, at most ${PAID} | token, more | table, at most ${PAID} | table, more |`,
    "| --- | --- | --- | --- | --- |",
  ];
  for (const rule of rules) {
    const parts = routes.flatMap((route) => {
      const hits = collapses(ofRule(study, rule, route));
      return [true, false].map((isPaid) => {
        const those = hits.filter((_, i) => (study.draws[i]?.unitCost ?? 0) <= PAID === isPaid);
        return `${those.filter(Boolean).length} of ${those.length}`;
      });
    });
    lines.push(`| ${rule} | ${parts.join(" | ")} |`);
  }
  return lines.join("\n");
}

function fixedWins(study: Study): string {
  const lines = [
    "### Where the fixed rule wins",
    "",
    "To serve more is to serve over one point of demand more, over all 260 weeks; the difference is the mean over all draws.",
    "",
    "| route | R0 against | served more by R0 in | served more by the other in | R0 survived alone | other survived alone | difference of served |",
    "| --- | --- | --- | --- | --- | --- | --- |",
  ];
  for (const route of routes) {
    const fixed = of(study, "fixed 10 %", "41/41/18", route);
    for (const level of ["R3", "R3 listed", "R4"] as const) {
      const other = of(study, level, "commons", route);
      const wins = fixed.map((one, i) => one.served > (other[i]?.served ?? 0) + 0.01);
      const losses = fixed.map((one, i) => (other[i]?.served ?? 0) > one.served + 0.01);
      const alone = fixed.map((one, i) => one.collapsed === null && other[i]?.collapsed !== null);
      const otherAlone = fixed.map((one, i) => one.collapsed !== null && other[i]?.collapsed === null);
      const difference = pairedDifference(
        fixed.map((one) => one.served),
        other.map((one) => one.served),
      );
      lines.push(
        `| ${route} | ${level} | ${interval(share(wins))} | ${percent(share(losses).value)} | ${interval(share(alone))} | ${interval(share(otherAlone))} | ${interval(difference)} |`,
      );
    }
  }
  return lines.join("\n");
}

/** The chart of the price asks for it: under every rule it falls most in the first year. */
function start(study: Study): string {
  const lines = [
    "### How much the start weighs",
    "",
    "Asked after the results above were seen: the same draws with 40 % of the supply staked at first, as above, and with none.",
    "Median of the price over the first, and collapsed draws.",
    "",
    "| route | rule | year 1: 40 % / none | year 5: 40 % / none | collapsed: 40 % / none |",
    "| --- | --- | --- | --- | --- |",
  ];
  for (const route of routes) {
    for (const rule of ["R0", "R3", "R4"] as const) {
      const both = [study.runs, study.unstaked].map((runs) => ofRule({ runs }, rule, route));
      const prices = (week: number) =>
        both.map((list) => number(median(list.map((one) => one.price[week / PACE] ?? 0)).value)).join(" / ");
      const collapsed = both.map((list) => percent(share(collapses(list)).value)).join(" / ");
      lines.push(`| ${route} | ${rule} | ${prices(52)} | ${prices(260)} | ${collapsed} |`);
    }
  }
  return lines.join("\n");
}
