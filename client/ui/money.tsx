import { exactText, microText, unitText } from "./money-text.ts";

/** An amount as people speak of it, µUSDC or DN; the exact amount in whole units shows on hover. `nano` is a decimal string. */
export function Money({ nano, asset = "USDC" }: { nano: string; asset?: string }) {
  return (
    <data value={nano} title={exactText(nano, asset)} className="money">
      {asset === "DN" ? unitText(nano) : microText(nano)}{" "}
      <span className="unit">{asset === "DN" ? asset : `µ${asset}`}</span>
    </data>
  );
}
