import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { selfSchema, swappedSchema } from "../../shared/economy-api.ts";
import { QueryState } from "../console/query-state.tsx";
import { amountFault } from "../economy/faults.ts";
import { Choice, CommandForm, Field } from "../economy/form-parts.tsx";
import type { HubCalls } from "../economy/hub-calls.ts";
import { MarketCard, useMarket } from "../economy/market-card.tsx";
import { nanoOf, unitText } from "../economy/units.ts";
import { useCommand } from "../economy/use-command.ts";
import { Card } from "../ui/card.tsx";

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
      <Swap calls={calls} />
    </>
  );
}

/** How far below what the pool gives now a swap may end, in thousandths. */
const SLACK = 10n;

function Swap({ calls }: { calls: HubCalls }) {
  const [give, setGive] = useState<"USDC" | "DN">("USDC");
  const [text, setText] = useState("");
  const market = useMarket(calls).data;
  const amount = nanoOf(text);
  const [swapped, setSwapped] = useState("");
  const other = give === "USDC" ? "DN" : "USDC";
  const command = useCommand(
    (body: object, once) => calls.send(swappedSchema, "POST", "/market/swaps", body, once),
    ({ out }) => {
      setSwapped(`${text} ${give} for ${unitText(out)} ${other}.`);
      setText("");
    },
  );
  if (!market) return null;
  const [into, outOf] = (give === "USDC" ? [market.usdc, market.dn] : [market.dn, market.usdc]).map(BigInt) as [
    bigint,
    bigint,
  ];
  const expected = amount === null ? 0n : (outOf * BigInt(amount)) / (into + BigInt(amount));
  const least = (expected * (1_000n - SLACK)) / 1_000n;
  return (
    <Card title="Swap">
      <CommandForm
        label="Swap"
        submit={`Swap for ${other}`}
        command={command}
        faults={{ amount: amountFault(text) }}
        done={swapped}
        onSubmit={() => command.mutate({ give, amount, least: least.toString() })}
      >
        <Choice
          label="You give"
          value={give}
          options={[
            { value: "USDC", label: "USDC" },
            { value: "DN", label: "DN" },
          ]}
          onChange={(value) => setGive(value === "DN" ? "DN" : "USDC")}
        />
        <Field label={`Amount of ${give}`} name="amount" unit="amount" value={text} onChange={setText} numeric />
        {expected > 0n ? (
          <p className="small">
            You get about {unitText(expected.toString())} {other}, and at least {unitText(least.toString())}.
          </p>
        ) : null}
      </CommandForm>
    </Card>
  );
}
