import { Badge } from "../ui/badge.tsx";
import { microText } from "../ui/money-text.ts";

/** The ledger's invariant: all balances of an asset sum to zero. */
export function BalanceBadge({ imbalance }: { imbalance: string }) {
  return BigInt(imbalance) === 0n ? (
    <Badge tone="good" title="The sum over all accounts is exactly zero.">
      Ledger balances
    </Badge>
  ) : (
    <Badge tone="bad" title="The sum over all accounts should be zero.">
      Ledger is off by {microText(imbalance)} µ
    </Badge>
  );
}
