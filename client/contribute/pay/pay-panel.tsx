import "../../economy/economy.css";
import { QueryClient, QueryClientProvider, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { bondsSchema } from "../../../shared/economy-api.ts";
import { earningsSchema } from "../../../shared/epoch-api.ts";
import { type MinerId, type OwnerId, ownerOf } from "../../../shared/ids.ts";
import { QueryState } from "../../console/query-state.tsx";
import { microFault, textFault } from "../../economy/faults.ts";
import { CommandForm, Field } from "../../economy/form-parts.tsx";
import { hubCallsOf } from "../../economy/hub-calls.ts";
import { SwapCard } from "../../economy/swap-card.tsx";
import { nanoOfMicro } from "../../economy/units.ts";
import { useCommand } from "../../economy/use-command.ts";
import { openIdentity } from "../../miner/identity.ts";
import { Card } from "../../ui/card.tsx";
import { Money } from "../../ui/money.tsx";
import { microText, unitText } from "../../ui/money-text.ts";
import { DomainsCard } from "./domains-card.tsx";
import { type OwnerCalls, ownerCallsOf } from "./owner-calls.ts";
import { PayoutCard } from "./payout-card.tsx";

const queries = new QueryClient({
  defaultOptions: { queries: { retry: false, staleTime: 2_000, refetchInterval: 15_000 } },
});

/** What the owner of this browser's key does with its pay. */
export default function PayPanel({ miner }: { miner: MinerId }) {
  const [opened, setOpened] = useState<{ calls: OwnerCalls } | { problem: string } | null>(null);
  useEffect(() => {
    void openIdentity().then((identity) =>
      setOpened(identity.ok ? { calls: ownerCallsOf(identity.value, hubCallsOf(null)) } : { problem: identity.error }),
    );
  }, []);
  if (opened === null) return null;
  if ("problem" in opened) {
    return (
      <p className="callout" data-tone="bad" role="alert">
        {opened.problem}
      </p>
    );
  }
  const { calls } = opened;
  const owner = ownerOf(miner);
  return (
    <QueryClientProvider client={queries}>
      <BalanceCard calls={calls} owner={owner} />
      <PayoutCard calls={calls} owner={owner} />
      <SwapCard
        calls={calls}
        swap={async (body, once) => {
          const fields = { action: "swap", ...body };
          await calls.signed(bondsSchema, "miner-request", "/miners/requests", fields, once);
          return null;
        }}
      />
      <DomainsCard calls={calls} miner={miner} />
    </QueryClientProvider>
  );
}

function BalanceCard({ calls, owner }: { calls: OwnerCalls; owner: OwnerId }) {
  const earnings = useQuery({
    queryKey: ["earnings", owner],
    queryFn: ({ signal }) => calls.get(earningsSchema, `/earnings/${owner}`, signal),
  });
  const { data } = earnings;
  return (
    <Card title="Your pay">
      <QueryState what="pay" query={earnings} />
      {data ? (
        <dl className="facts" data-testid="pay-balances">
          <dt>Matured</dt>
          <dd>
            <Money nano={data.available} />
          </dd>
          <dt>Held</dt>
          <dd>
            <Money nano={data.held} />
          </dd>
          <dt>Earned in DN</dt>
          <dd>{unitText(data.dn)} DN</dd>
          <dt>Owner</dt>
          <dd className="mono wrap-anywhere">{owner}</dd>
        </dl>
      ) : null}
      <SpendForm calls={calls} />
    </Card>
  );
}

/** Matured pay becomes what a customer's API key spends. */
function SpendForm({ calls }: { calls: OwnerCalls }) {
  const [customer, setCustomer] = useState("");
  const [text, setText] = useState("");
  const command = useCommand(
    (fields: object, once) =>
      calls.signed(earningsSchema, "owner-request", "/earnings/spend", { action: "spend", ...fields }, once),
    () => setText(""),
  );
  return (
    <CommandForm
      label="Spend matured pay"
      submit="Give it to the customer"
      command={command}
      faults={{ customer: textFault(customer, "a customer, such as c_…"), amount: microFault(text) }}
      done="It is API balance now."
      onSubmit={() => command.mutate({ customer: customer.trim(), amount: nanoOfMicro(text) })}
    >
      <Field
        label="Customer"
        name="customer"
        value={customer}
        onChange={setCustomer}
        description="c_…, as the portal shows it"
      />
      <Field label="Amount, µUSDC" name="amount" unit={microText} value={text} onChange={setText} numeric />
    </CommandForm>
  );
}
