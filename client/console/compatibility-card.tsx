import { useQuery } from "@tanstack/react-query";
import { Card } from "../ui/card.tsx";
import { EmptyState } from "../ui/empty-state.tsx";
import { countText } from "../ui/quantity-text.ts";
import { ScrollRegion } from "../ui/scroll-region.tsx";
import type { CaseCalls } from "./case-calls.ts";
import { QueryState } from "./query-state.tsx";

/** Which kinds of device pass which model's known answers; a miner that joins may change it. */
export function CompatibilityCard({ miners, calls }: { miners: number; calls: CaseCalls }) {
  const query = useQuery({
    queryKey: ["compatibility", miners],
    queryFn: ({ signal }) => calls.compatibility(signal),
    placeholderData: (previous) => previous,
  });
  const rows = query.data ?? [];
  return (
    <Card title="What runs where" aside="known answers judged since the hub's first start">
      <QueryState what="table" query={query} />
      {query.isSuccess && rows.length === 0 ? (
        <EmptyState title="No device has been tried yet">
          A miner computes known answers before it gets work.
        </EmptyState>
      ) : null}
      {rows.length === 0 ? null : (
        <ScrollRegion label="What runs where">
          <table className="data">
            <thead>
              <tr>
                <th>Model</th>
                <th>Runtime</th>
                <th>Device class</th>
                <th className="number">Admitted</th>
                <th className="number">Refused</th>
                <th className="number">Quarantined</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={`${row.model} ${row.runtime} ${row.device_class}`}>
                  <td className="mono">{row.model}</td>
                  <td>{row.runtime}</td>
                  <td className="mono">{row.device_class}</td>
                  <td className="number">{countText(row.admitted)}</td>
                  <td className={`number ${row.refused > 0 ? "bad-text" : ""}`}>{countText(row.refused)}</td>
                  <td className={`number ${row.quarantined > 0 ? "bad-text" : ""}`}>{countText(row.quarantined)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </ScrollRegion>
      )}
    </Card>
  );
}
