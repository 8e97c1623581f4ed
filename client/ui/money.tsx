import { exactText, microText } from "./money-text.ts";

/** An amount in µ units; the exact amount in whole units shows on hover. `nano` is a decimal string. */
export function Money({ nano, asset = "USDC" }: { nano: string; asset?: string }) {
  return (
    <data value={nano} title={exactText(nano, asset)} className="money">
      {microText(nano)} <span className="unit">µ{asset}</span>
    </data>
  );
}
