import { formatNano } from "../../shared/money.ts";

/**
 * Whole units as people write them, "1.5" or "1,234.5", to nano units as the API takes them; null where it is no amount.
 * "1,234" alone may mean a thousand or one and a bit: it is none either.
 */
export function nanoOf(text: string): string | null {
  const trimmed = text.trim();
  if (/^[1-9]\d{0,2},\d{3}$/.test(trimmed)) return null;
  const plain = /^[1-9]\d{0,2}(,\d{3})+(\.\d*)?$/.test(trimmed) ? trimmed.replaceAll(",", "") : trimmed;
  const parts = /^(\d{1,12})(?:[.,](\d{1,9}))?$/.exec(plain);
  if (!parts) return null;
  const [, whole = "0", fraction = ""] = parts;
  return (BigInt(whole) * 1_000_000_000n + BigInt(fraction.padEnd(9, "0"))).toString();
}

/** Nano units in whole units without needless zeros, as a field takes them: "1500000000" -> "1.5". */
export const plainText = (nano: string): string => formatNano(BigInt(nano)).replace(/\.?0+$/, "");

/** µUSDC, in which prices are told, to nano: three places. */
export function nanoOfMicro(text: string): string | null {
  const parts = /^(\d{1,12})(?:[.,](\d{1,3}))?$/.exec(text.trim());
  return parts ? BigInt(`${parts[1]}${(parts[2] ?? "").padEnd(3, "0")}`).toString() : null;
}

/** "12.34" per cent to 1234 hundredths; null where it is none. */
export function hundredthsOf(text: string): number | null {
  const parts = /^(\d{1,3})(?:[.,](\d{1,2}))?$/.exec(text.trim());
  if (!parts) return null;
  const [, whole = "0", fraction = ""] = parts;
  return Number(whole) * 100 + Number(fraction.padEnd(2, "0"));
}

export const percentText = (hundredths: number): string => String(hundredths / 100);
