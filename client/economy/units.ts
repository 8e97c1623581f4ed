import { formatNano } from "../../shared/money.ts";

/** Whole units as people write them, "1.5", to nano units as the API takes them; null where it is no amount. */
export function nanoOf(text: string): string | null {
  const parts = /^(\d{1,12})(?:[.,](\d{1,9}))?$/.exec(text.trim());
  if (!parts) return null;
  const [, whole = "0", fraction = ""] = parts;
  return (BigInt(whole) * 1_000_000_000n + BigInt(fraction.padEnd(9, "0"))).toString();
}

/** Nano units in whole units without needless zeros: "1500000000" -> "1.5". */
export const unitText = (nano: string): string => formatNano(BigInt(nano)).replace(/\.?0+$/, "");

/** "12.34" per cent to 1234 hundredths; null where it is none. */
export function hundredthsOf(text: string): number | null {
  const parts = /^(\d{1,3})(?:[.,](\d{1,2}))?$/.exec(text.trim());
  if (!parts) return null;
  const [, whole = "0", fraction = ""] = parts;
  return Number(whole) * 100 + Number(fraction.padEnd(2, "0"));
}

export const percentText = (hundredths: number): string => String(hundredths / 100);
