import { useState } from "react";
import { marketSchema } from "../../shared/economy-api.ts";
import { CommandForm, Field } from "../economy/form-parts.tsx";
import type { HubCalls } from "../economy/hub-calls.ts";
import { MarketCard, useMarket } from "../economy/market-card.tsx";
import { nanoOf } from "../economy/units.ts";
import { useCommand } from "../economy/use-command.ts";
import { Card } from "../ui/card.tsx";

/** The pool; where there is none, the form that seeds it. */
export function MarketView({ calls }: { calls: HubCalls }) {
  const market = useMarket(calls);
  return (
    <>
      {market.isError ? null : <MarketCard calls={calls} />}
      {market.isError ? <Seed calls={calls} why={market.error.message} /> : null}
    </>
  );
}

function Seed({ calls, why }: { calls: HubCalls; why: string }) {
  const [usdc, setUsdc] = useState("");
  const [dn, setDn] = useState("");
  const amounts = { usdc: nanoOf(usdc), dn: nanoOf(dn) };
  const command = useCommand((body: object, once) => calls.send(marketSchema, "POST", "/market", body, once));
  return (
    <Card title="Seed the market">
      <p className="muted small">
        {why}. The ratio that you choose is the first price of DN; emission begins when the pool has 28 days of prices.
      </p>
      <CommandForm
        label="Seed the market"
        submit="Seed"
        command={command}
        disabled={amounts.usdc === null || amounts.dn === null}
        onSubmit={() => command.mutate(amounts)}
      >
        <Field label="Test USDC" value={usdc} onChange={setUsdc} numeric />
        <Field label="DN of the treasury" value={dn} onChange={setDn} numeric />
      </CommandForm>
    </Card>
  );
}
