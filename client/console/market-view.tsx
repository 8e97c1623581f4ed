import { useState } from "react";
import { marketSchema } from "../../shared/economy-api.ts";
import { amountFault } from "../economy/faults.ts";
import { CommandForm, Field } from "../economy/form-parts.tsx";
import type { HubCalls } from "../economy/hub-calls.ts";
import { isUnseeded, MarketCard, useMarket } from "../economy/market-card.tsx";
import { nanoOf } from "../economy/units.ts";
import { useCommand } from "../economy/use-command.ts";
import { Card } from "../ui/card.tsx";

/** The pool; where there is none, the form that seeds it. */
export function MarketView({ calls }: { calls: HubCalls }) {
  const market = useMarket(calls);
  return isUnseeded(market.error) ? <Seed calls={calls} /> : <MarketCard calls={calls} />;
}

function Seed({ calls }: { calls: HubCalls }) {
  const [usdc, setUsdc] = useState("");
  const [dn, setDn] = useState("");
  const amounts = { usdc: nanoOf(usdc), dn: nanoOf(dn) };
  const command = useCommand((body: object, once) => calls.send(marketSchema, "POST", "/market", body, once));
  const price = Number(amounts.usdc ?? 0) / Number(amounts.dn ?? 0);
  return (
    <Card title="Seed the market">
      <p className="muted small">
        There is no market yet. The ratio that you choose is the first price of DN; emission begins when the pool has 28
        days of prices. It is seeded once.
      </p>
      <CommandForm
        label="Seed the market"
        submit="Seed"
        command={command}
        faults={{ usdc: amountFault(usdc), dn: amountFault(dn) }}
        onSubmit={() => command.mutate(amounts)}
      >
        <Field label="Test USDC" name="usdc" unit="amount" value={usdc} onChange={setUsdc} numeric />
        <Field label="DN of the treasury" name="dn" unit="amount" value={dn} onChange={setDn} numeric />
        {Number.isFinite(price) && price > 0 ? (
          <p className="small">One DN is {Number(price.toPrecision(6))} USDC then.</p>
        ) : null}
      </CommandForm>
    </Card>
  );
}
