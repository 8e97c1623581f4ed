import { useState } from "react";
import type { Snapshot } from "../../shared/console-protocol.ts";
import { Card } from "../ui/card.tsx";
import { EmptyState } from "../ui/empty-state.tsx";
import { Money } from "../ui/money.tsx";
import { countText } from "../ui/quantity-text.ts";
import { AccountPanel } from "./account-panel.tsx";
import { BalanceBadge } from "./balance-badge.tsx";
import type { FetchEntries } from "./ledger-entries.ts";
import { SortableHead } from "./sortable-head.tsx";
import { type Column, type Order, sortRows } from "./sorting.ts";

type Account = Snapshot["ledger"]["accounts"][number];

const columns: Column<Account>[] = [
  { id: "account", label: "Account", value: (row) => row.account },
  { id: "asset", label: "Asset", value: (row) => row.asset },
  { id: "balance", label: "Balance", value: (row) => BigInt(row.balance), right: true },
];

export function LedgerView({ ledger, fetchEntries }: { ledger: Snapshot["ledger"]; fetchEntries: FetchEntries }) {
  const [order, setOrder] = useState<Order>({ column: "balance", descending: true });
  const [open, setOpen] = useState<Account | null>(null);
  return (
    <>
      <Card title="Accounts" aside={<BalanceBadge imbalance={ledger.imbalance} />}>
        <p className="muted small">
          {countText(ledger.transfers)} transfers. Every one moves the same amount out of and into accounts, so all
          balances sum to zero; the issuer's is the money handed out.
        </p>
        {ledger.accounts.length === 0 ? (
          <EmptyState title="No account yet">The first credit or verified task opens them.</EmptyState>
        ) : (
          <div className="scroll">
            <table className="data rows ledger">
              <SortableHead columns={columns} order={order} onOrder={setOrder} />
              <tbody>
                {sortRows(ledger.accounts, columns, order).map((row) => (
                  <tr key={`${row.account} ${row.asset}`}>
                    <td>
                      <button
                        type="button"
                        className="open mono"
                        onClick={() => setOpen(row)}
                        aria-label={`Entries of ${row.account}`}
                      >
                        {row.account}
                      </button>
                    </td>
                    <td>{row.asset}</td>
                    <td className="number">
                      <Money nano={row.balance} asset={row.asset} />
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Card>
      {open === null ? null : (
        <AccountPanel account={open.account} fetchEntries={fetchEntries} onClose={() => setOpen(null)} />
      )}
    </>
  );
}
