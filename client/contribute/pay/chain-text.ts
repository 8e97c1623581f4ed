/** Payouts are told in on-chain units; 10⁻⁶ USDC, 10⁻¹⁸ DN. */
const places = { USDC: 6, DN: 18 } as const;

/** On-chain units as whole ones, without needless zeros: "1500000" of USDC -> "1.5". */
export function chainText(units: string, asset: keyof typeof places): string {
  const digits = units.padStart(places[asset] + 1, "0");
  const whole = digits.slice(0, -places[asset]).replace(/\B(?=(\d{3})+$)/g, ",");
  const fraction = digits.slice(-places[asset]).replace(/0+$/, "");
  return fraction === "" ? whole : `${whole}.${fraction}`;
}
