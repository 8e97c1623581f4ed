import { type Asset, formatNano, NANO_PER_MICRO } from "../../shared/money.ts";

const group = (digits: string): string => digits.replace(/\B(?=(\d{3})+$)/g, ",");

/**
 * Nano units (decimal string) as µ units with thousands separators and at most three decimals, which is exact:
 * "1234567" -> "1,234.567".
 */
export function microText(nano: string): string {
  const amount = BigInt(nano);
  const magnitude = amount < 0n ? -amount : amount;
  const fraction = (magnitude % NANO_PER_MICRO).toString().padStart(3, "0").replace(/0+$/, "");
  return `${amount < 0n ? "−" : ""}${group((magnitude / NANO_PER_MICRO).toString())}${fraction ? `.${fraction}` : ""}`;
}

/** Nano units in whole units without needless zeros, thousands apart: "1234500000000" -> "1,234.5". */
export function unitText(nano: string): string {
  const [whole = "", fraction = ""] = formatNano(BigInt(nano)).replace(/0+$/, "").split(".");
  const digits = whole.replace(/^-?/, "");
  return `${whole.startsWith("-") ? "−" : ""}${group(digits)}${fraction === "" ? "" : `.${fraction}`}`;
}

/** The same in whole units, nine places: "1234567" -> "0.001234567 USDC". */
export const exactText = (nano: string, asset: Asset | string): string => `${formatNano(BigInt(nano))} ${asset}`;

export const sumNano = (amounts: readonly string[]): string =>
  amounts.reduce((sum, amount) => sum + BigInt(amount), 0n).toString();
