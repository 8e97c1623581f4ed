import { hundredthsOf, nanoOf, nanoOfMicro } from "./units.ts";

/** What is wrong with what was typed: what was expected, and what came. Null where nothing is. */
const told = (expected: string, text: string): string =>
  `Expected ${expected}, got ${text.trim() === "" ? "nothing" : `“${text.trim()}”`}.`;

export function amountFault(text: string, least: "more than 0" | "0 or more" = "more than 0"): string | null {
  const nano = nanoOf(text);
  if (nano === null) return told("an amount such as 1000 or 12.5", text);
  return nano === "0" && least === "more than 0" ? told("more than 0", text) : null;
}

export const microFault = (text: string): string | null =>
  nanoOfMicro(text) === null ? told("an amount with at most three decimals", text) : null;

/** `least` and `most` per cent. */
export function shareFault(text: string, least = 0, most = 100): string | null {
  const share = hundredthsOf(text);
  if (share !== null && share >= least * 100 && share <= most * 100) return null;
  return told(`${least} to ${most} %, in steps of 0.01`, text);
}

export function wholeFault(text: string, least: number, most: number): string | null {
  const isWhole = /^\d{1,15}$/.test(text.trim()) && Number(text) >= least && Number(text) <= most;
  const range =
    most === Number.MAX_SAFE_INTEGER ? `of ${least} or more` : `from ${least} to ${most.toLocaleString("en")}`;
  return isWhole ? null : told(`a whole number ${range}`, text);
}

export const textFault = (text: string, what: string): string | null => (text.trim() === "" ? told(what, text) : null);

/** Of miners and validators. */
export const ownerFault = (text: string): string | null =>
  /^own_[\w-]+$/.test(text.trim()) ? null : told("an owner, own_…", text);
