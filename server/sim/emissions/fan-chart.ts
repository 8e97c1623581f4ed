import { group, line, QUIET, round, svg, text } from "./svg.ts";

export interface Axis {
  title: string;
  ticks: readonly { value: number; label: string }[];
  /** 0 at the low end, 1 at the high one. */
  at: (value: number) => number;
  /** Of its length, from the low end: the part on a scale of its own. */
  compressed: number;
}

/** One rule of many may fall through ten decades: those below this power of ten share a third of the axis. */
const KNEE = -3;
const BELOW = 0.34;

/** Whole decades around the values and 1; values that are not above 0 lie at the low end. */
export function logAxis(title: string, values: readonly number[]): Axis {
  const logs = values.filter((value) => value > 0).map(Math.log10);
  const low = Math.floor(logs.reduce((least, one) => Math.min(least, one), 0));
  const most = Math.ceil(logs.reduce((greatest, one) => Math.max(greatest, one), 0));
  const high = Math.max(most, low + 1);
  const knee = low < KNEE - 2 ? KNEE : low;
  const compressed = knee > low ? BELOW : 0;
  const step = Math.ceil((knee - low) / 4);
  const powers = Array.from({ length: high - low + 1 }, (_, i) => high - i);
  const ticks = powers
    .filter((power) => power >= knee || (knee - power) % step === 0)
    .map((power) => ({ value: Number(`1e${power}`), label: power < KNEE ? `10${raised(power)}` : `${10 ** power}` }));
  const at = (value: number): number => {
    const log = value > 0 ? Math.log10(value) : low;
    if (log < knee) return (compressed * (log - low)) / (knee - low);
    return compressed + ((1 - compressed) * (log - knee)) / (high - knee);
  };
  return { title, ticks, at, compressed };
}

export const linearAxis = (title: string, values: readonly number[], label: (value: number) => string): Axis => {
  const [low = 0, high = 1] = [values[0], values.at(-1)];
  const ticks = values.map((value) => ({ value, label: label(value) }));
  return { title, ticks, at: (value) => (value - low) / (high - low), compressed: 0 };
};

const raised = (power: number): string =>
  [...String(power)].map((digit) => (digit === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(digit)])).join("");

export interface FanChart {
  title: string;
  x: Axis;
  y: Axis;
  /** A dashed line across every panel. */
  mark: { value: number; label: string };
  panels: readonly FanPanel[];
  /** The names of the bands, the widest first, and of the middle line. */
  bands: readonly [string, string];
  middle: string;
}

export interface FanPanel {
  name: string;
  /** Of every point of a line. */
  at: readonly number[];
  /** Five lines, the lowest first: the edges of the two bands around the middle one. */
  quantiles: readonly (readonly number[])[];
}

const FILLS = ["#c6dbef", "#6baed6"];
const LINE = { stroke: "#08306b", more: 'stroke-width="2"' };
const MARK = { stroke: "#b3470b", more: 'stroke-dasharray="5 4"' };
const GRID = "#dde2e7";
const GREY = "#eceff2";
const COLUMNS = 4;
const GAP = { x: 16, y: 66 };
const size = { left: 66, top: 76, width: 192, height: 216 };

interface Entry {
  name: string;
  fill?: string | undefined;
  stroke?: string;
  more?: string;
}

/** Panels on common axes, four in a row; the place after the last one explains what is drawn. */
export function fanChart(chart: FanChart): string {
  const { title, y, mark, panels, bands, middle } = chart;
  const corner = (i: number) => ({
    left: size.left + (i % COLUMNS) * (size.width + GAP.x),
    top: size.top + Math.floor(i / COLUMNS) * (size.height + GAP.y),
  });
  const { left, top } = corner(panels.length);
  const entries = [
    ...bands.map((name, k) => ({ name, fill: FILLS[k] })),
    { name: middle, ...LINE },
    { name: mark.label, ...MARK },
    ...(y.compressed > 0 ? [{ name: "compressed scale", fill: GREY }] : []),
  ];
  const key = entries.map(({ name, fill, stroke = "", more }: Entry, k) => {
    const place = top + 24 + k * 30;
    const sample = fill
      ? `<rect x="${left + 8}" y="${place - 8}" width="30" height="16" fill="${fill}"/>`
      : line(left + 8, place, left + 38, place, stroke, more);
    return sample + text(left + 48, place + 4, name);
  });
  const rows = Math.ceil((panels.length + 1) / COLUMNS);
  const height = size.top + rows * (size.height + GAP.y) - 14;
  return svg(title, height, [
    ...panels.map((panel, i) => panelOf(chart, panel, corner(i), i % COLUMNS === 0)),
    group("key", ...key),
  ]);
}

function panelOf(
  { x, y, mark }: FanChart,
  { name, at, quantiles }: FanPanel,
  { left, top }: { left: number; top: number },
  isFirst: boolean,
): string {
  const { width, height } = size;
  const [right, bottom] = [left + width, top + height];
  const px = (value: number) => round(left + x.at(value) * width);
  const py = (value: number) => round(bottom - y.at(value) * height);
  const points = (values: readonly number[] = []) => values.map((value, i) => `${px(at[i] ?? 0)} ${py(value)}`);
  const band = (k: number) => [...points(quantiles[k]), ...points(quantiles.at(-1 - k)).reverse()].join("L");
  return group(
    "panel",
    y.compressed > 0
      ? `<rect x="${left}" y="${round(bottom - y.compressed * height)}" width="${width}" height="${round(y.compressed * height)}" fill="${GREY}"/>`
      : "",
    ...y.ticks.map(({ value }) => line(left, py(value), right, py(value), GRID)),
    ...x.ticks.map(({ value }) => line(px(value), top, px(value), bottom, GRID)),
    ...FILLS.map((fill, k) => `<path class="band" d="M${band(k)}Z" fill="${fill}"/>`),
    `<rect class="frame" x="${left}" y="${top}" width="${width}" height="${height}" fill="none" stroke="${QUIET}"/>`,
    `<path class="middle" d="M${points(quantiles[2]).join("L")}" fill="none" stroke="${LINE.stroke}" ${LINE.more}/>`,
    line(left, py(mark.value), right, py(mark.value), MARK.stroke, MARK.more),
    text(left, top - 9, name, { weight: 600 }),
    ...x.ticks.map(({ value, label }) => text(px(value), bottom + 17, label, { anchor: "middle", size: 12 })),
    text(left + width / 2, bottom + 34, x.title, { anchor: "middle", size: 12, ink: QUIET }),
    ...(isFirst ? y.ticks : []).map(({ value, label }) =>
      text(left - 7, py(value) + 4, label, { anchor: "end", size: 12 }),
    ),
    isFirst ? text(18, top + height / 2, y.title, { anchor: "middle", size: 12, ink: QUIET, turned: true }) : "",
  );
}
