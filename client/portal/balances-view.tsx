import { useQuery } from "@tanstack/react-query";
import { selfSchema, swappedSchema } from "../../shared/economy-api.ts";
import { QueryState } from "../console/query-state.tsx";
import type { HubCalls } from "../economy/hub-calls.ts";
import { MarketCard } from "../economy/market-card.tsx";
import { SwapCard } from "../economy/swap-card.tsx";
import { Card } from "../ui/card.tsx";
import { unitText } from "../ui/money-text.ts";

export function useSelf(calls: HubCalls) {
  return useQuery({ queryKey: ["self"], queryFn: ({ signal }) => calls.get(selfSchema, "/self", signal) });
}

/** What the customer has, and the market where it changes one for the other. */
export function BalancesView({ calls }: { calls: HubCalls }) {
  const self = useSelf(calls);
  const { data } = self;
  return (
    <>
      <Card title="Your balances" aside={data?.customer}>
        <QueryState what="balances" query={self} />
        {data ? (
          <dl className="facts" data-testid="balances">
            <dt>USDC</dt>
            <dd>{unitText(data.usdc)}</dd>
            <dt>USDC set aside for open tasks</dt>
            <dd>{unitText(data.held)}</dd>
            <dt>DN</dt>
            <dd>{unitText(data.dn)}</dd>
            <dt>DN staked</dt>
            <dd>{unitText(data.staked)}</dd>
            <dt>DN on its way out</dt>
            <dd>{unitText(data.unbonding)}</dd>
          </dl>
        ) : null}
      </Card>
      <MarketCard calls={calls} />
      <SwapCard
        calls={calls}
        swap={async (body, once) => {
          const { out } = await calls.send(swappedSchema, "POST", "/market/swaps", body, once);
          return out;
        }}
      />
    </>
  );
}
