import { group, QUIET, svg, text } from "./svg.ts";

export interface Scale {
  title: string;
  low: number;
  high: number;
  colours: readonly string[];
  label: (value: number) => string;
}

/** From light to dark, and through white from blue to orange: both can be told apart by colour-blind readers. */
export const sequential = ["#f7fbff", "#c6dbef", "#6baed6", "#2171b5", "#08306b"];
export const diverging = ["#2166ac", "#92c5de", "#f7f7f7", "#fdb863", "#b35806"];

interface Side {
  title: string;
  labels: readonly string[];
}

export interface HeatMaps {
  title: string;
  x: Side;
  y: Side;
  scales: readonly Scale[];
  /** The figure's rows of maps; a map's cells from its bottom row upwards. */
  rows: readonly (readonly { name: string; cells: readonly (readonly number[])[]; scale: Scale }[])[];
}

const cell = { width: 58, height: 42 };
const start = { left: 112, top: 76 };
const GAP = { x: 30, y: 80 };
const BAR = { steps: 20, step: 8, height: 12 };
const small = { anchor: "middle", size: 12 } as const;

/** Maps on common axes with the number in every cell, and their scales below. */
export function heatMaps({ title, x, y, scales, rows }: HeatMaps): string {
  const width = cell.width * x.labels.length;
  const height = cell.height * y.labels.length;
  const maps = rows.flatMap((row, r) =>
    row.map(({ name, cells, scale }, c) => {
      const left = start.left + c * (width + GAP.x);
      const top = start.top + r * (height + GAP.y);
      const rowTop = (i: number) => top + (y.labels.length - 1 - i) * cell.height;
      const middle = top + height / 2;
      return group(
        "map",
        ...cells.flatMap((values, i) =>
          values.map((value, j) => square(scale, value, left + j * cell.width, rowTop(i))),
        ),
        text(left, top - 9, name, { weight: 600 }),
        ...x.labels.map((label, j) => text(left + (j + 0.5) * cell.width, top + height + 17, label, small)),
        text(left + width / 2, top + height + 35, x.title, { ...small, ink: QUIET }),
        ...(c === 0 ? y.labels : []).map((label, i) =>
          text(left - 7, rowTop(i) + cell.height / 2 + 4, label, { size: 12, anchor: "end" }),
        ),
        c === 0 ? text(24, middle, y.title, { ...small, ink: QUIET, turned: true }) : "",
      );
    }),
  );
  const foot = start.top + rows.length * (height + GAP.y) - 16;
  const bars = scales.map((scale, k) => bar(scale, start.left + k * 400, foot));
  return svg(title, foot + 46, [...maps, ...bars]);
}

function square(scale: Scale, value: number, left: number, top: number): string {
  const { fill, ink } = shade(scale, value);
  const { width, height } = cell;
  const label = Number.isNaN(value) ? "–" : scale.label(value);
  const box = `<rect class="cell" x="${left}" y="${top}" width="${width}" height="${height}" fill="${fill}" stroke="#ffffff"/>`;
  return box + text(left + width / 2, top + height / 2 + 5, label, { anchor: "middle", size: 14, ink });
}

/** A scale's colours, with what they stand for. */
function bar(scale: Scale, left: number, top: number): string {
  const { low, high, label, title } = scale;
  const width = BAR.steps * BAR.step;
  const boxes = Array.from({ length: BAR.steps }, (_, i) => {
    const { fill } = shade(scale, low + ((high - low) * (i + 0.5)) / BAR.steps);
    return `<rect x="${left + i * BAR.step}" y="${top}" width="${BAR.step}" height="${BAR.height}" fill="${fill}"/>`;
  });
  return group(
    "scale",
    ...boxes,
    `<rect x="${left}" y="${top}" width="${width}" height="${BAR.height}" fill="none" stroke="${QUIET}"/>`,
    ...[low, (low + high) / 2, high].map((value, i) => text(left + (i * width) / 2, top + 28, label(value), small)),
    text(left + width + 14, top + 11, title, { size: 12, ink: QUIET }),
  );
}

/** The colour of a value, between those of the scale, and an ink that can be read on it; white where nothing was measured. */
export function shade({ low, high, colours }: Scale, value: number): { fill: string; ink: string } {
  if (Number.isNaN(value)) return { fill: "#ffffff", ink: "#000000" };
  const at = Math.min(1, Math.max(0, (value - low) / (high - low))) * (colours.length - 1);
  const first = Math.min(Math.floor(at), colours.length - 2);
  const parts = [1, 3, 5].map((i) => {
    const [from = 0, to = 0] = [first, first + 1].map((k) => Number.parseInt(colours[k]?.slice(i, i + 2) ?? "0", 16));
    return Math.round(from + (to - from) * (at - first));
  });
  const [red = 0, green = 0, blue = 0] = parts.map((part) => (part / 255) ** 2.2);
  const isLight = 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18;
  const fill = `#${parts.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
  return { fill, ink: isLight ? "#000000" : "#ffffff" };
}
