import { useQuery } from "@tanstack/react-query";
import { marketSchema } from "../../shared/economy-api.ts";
import { QueryState } from "../console/query-state.tsx";
import { Card } from "../ui/card.tsx";
import { EmptyState } from "../ui/empty-state.tsx";
import { Moment } from "../ui/moment.tsx";
import { unitText } from "../ui/money-text.ts";
import { ScrollRegion } from "../ui/scroll-region.tsx";
import type { HubCalls } from "./hub-calls.ts";
import { Refused } from "./refused.ts";

export function useMarket(calls: HubCalls) {
  return useQuery({
    queryKey: ["market"],
    queryFn: ({ signal }) => calls.get(marketSchema, "/market", signal),
    // Where there is none yet, one refusal is enough.
    refetchInterval: ({ state }) => (isUnseeded(state.error) ? false : 15_000),
  });
}

/** The operator has not seeded it: what there is to say is no fault. */
export const isUnseeded = (error: Error | null): boolean => error instanceof Refused && error.status === 404;

/** The pool that prices DN, and its last days. */
export function MarketCard({ calls }: { calls: HubCalls }) {
  const market = useMarket(calls);
  const { data } = market;
  return (
    <Card title="The market of DN">
      {isUnseeded(market.error) ? (
        <EmptyState title="There is no market yet">
          DN has no price, and cannot be swapped, until the operator seeds it.
        </EmptyState>
      ) : (
        <QueryState what="market" query={market} />
      )}
      {data ? (
        <>
          <dl className="facts">
            <dt>Price now</dt>
            <dd>{unitText(data.price)} USDC for one DN</dd>
            <dt>28-day average</dt>
            <dd>
              {data.average === null ? "not yet: the pool is younger than 28 days" : `${unitText(data.average)} USDC`}
            </dd>
            <dt>In the pool</dt>
            <dd>
              {unitText(data.usdc)} USDC and {unitText(data.dn)} DN
            </dd>
            <dt>Supply</dt>
            <dd>{unitText(data.supply)} DN</dd>
          </dl>
          {data.daily.length > 0 ? (
            <details>
              <summary>Average price of each day</summary>
              <ScrollRegion label="Average price of each day">
                <table className="data">
                  <thead>
                    <tr>
                      <th>Day that ended</th>
                      <th className="number">USDC for one DN</th>
                    </tr>
                  </thead>
                  <tbody>
                    {data.daily.toReversed().map(({ at, price }) => (
                      <tr key={at}>
                        <td>
                          <Moment at={at} />
                        </td>
                        <td className="number">{unitText(price)}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </ScrollRegion>
            </details>
          ) : null}
        </>
      ) : null}
    </Card>
  );
}
