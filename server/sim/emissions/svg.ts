/**
 * The pieces of a chart as SVG text. The files stand alone (no script, no link, no font of their own) and draw their own
 * background, so that they can be read on a light page and on a dark one.
 */
export const WIDTH = 900;
export const INK = "#1b1f24";
export const QUIET = "#57606a";

/** A tenth of a pixel is finer than a screen, and keeps the files small. */
export const round = (value: number): number => Math.round(value * 10) / 10;

const escaped = (raw: string): string => raw.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

export const group = (kind: string, ...parts: readonly string[]): string =>
  `<g class="${kind}">\n${parts.filter((part) => part !== "").join("\n")}\n</g>`;

export const line = (x1: number, y1: number, x2: number, y2: number, stroke: string, more = ""): string =>
  `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="${stroke}"${more && ` ${more}`}/>`;

interface Style {
  anchor?: "start" | "middle" | "end";
  size?: number;
  weight?: number;
  ink?: string;
  /** Read from below to above. */
  turned?: boolean;
}

export function text(x: number, y: number, raw: string, style: Style = {}): string {
  const { anchor = "start", size = 13, weight = 400, ink = INK, turned = false } = style;
  const turn = turned ? ` transform="rotate(-90 ${x} ${y})"` : "";
  return `<text x="${x}" y="${y}" font-size="${size}" font-weight="${weight}" text-anchor="${anchor}" fill="${ink}"${turn}>${escaped(raw)}</text>`;
}

export const svg = (title: string, height: number, parts: readonly string[]): string =>
  [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" font-family="system-ui, 'Segoe UI', Helvetica, Arial, sans-serif">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" rx="6" fill="#ffffff"/>`,
    text(16, 30, title, { size: 16, weight: 600 }),
    ...parts,
    "</svg>\n",
  ].join("\n");
