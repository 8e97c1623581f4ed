import { hundredthsOf, percentText } from "./units.ts";

/**
 * Parameters of governance as people speak of them. The API has them in the unit that a name ends with, those of a domain in
 * hundredths of a per cent; `listed` is 0 or 1.
 */
interface Look {
  unit: "%" | "days" | "0 or 1";
  read(value: string): string;
  /** Null where it is none. */
  write(text: string): string | null;
}

const DAY_MS = 86_400_000;
const PPM_PER_PERCENT = 10_000;

const decimal = /^\d{1,9}(?:[.,]\d{1,6})?$/;
const scaled = (unit: Look["unit"], times: number): Look => ({
  unit,
  read: (value) => String(Number(value) / times),
  write: (text) =>
    decimal.test(text.trim()) ? String(Math.round(Number(text.trim().replace(",", ".")) * times)) : null,
});
const percentOfPpm = scaled("%", PPM_PER_PERCENT);
const days = scaled("days", DAY_MS);
const percentOfHundredths: Look = {
  unit: "%",
  read: (value) => percentText(Number(value)),
  write: (text) => hundredthsOf(text)?.toString() ?? null,
};
const flag: Look = { unit: "0 or 1", read: (value) => value, write: (text) => /^[01]$/.exec(text.trim())?.[0] ?? null };

export function lookOf(parameter: string): Look {
  if (parameter.endsWith("Ppm")) return percentOfPpm;
  if (parameter.endsWith("Ms")) return days;
  return parameter === "listed" ? flag : percentOfHundredths;
}

/** "7 days", "40 %", "yes". */
export function valueText(parameter: string, value: string): string {
  const look = lookOf(parameter);
  if (look === flag) return value === "0" ? "no" : "yes";
  const text = look.read(value);
  return look === days && text === "1" ? "1 day" : `${text} ${look.unit}`;
}
