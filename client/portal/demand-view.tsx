import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { demandSchema, domainsSchema, pledgeSchema, pledgesSchema } from "../../shared/economy-api.ts";
import { QueryState } from "../console/query-state.tsx";
import { amountFault, wholeFault } from "../economy/faults.ts";
import { Choice, CommandButton, CommandForm, Field } from "../economy/form-parts.tsx";
import type { HubCalls } from "../economy/hub-calls.ts";
import { nanoOf } from "../economy/units.ts";
import { useCommand } from "../economy/use-command.ts";
import { Card } from "../ui/card.tsx";
import { EmptyState } from "../ui/empty-state.tsx";
import { unitText } from "../ui/money-text.ts";
import { ScrollRegion } from "../ui/scroll-region.tsx";

/** Which models are wanted, and by how much their miners' pay is raised for it. */
export function DemandView({ calls }: { calls: HubCalls }) {
  const demand = useQuery({
    queryKey: ["demand"],
    queryFn: ({ signal }) => calls.get(demandSchema, "/demand", signal),
  });
  const own = useQuery({
    queryKey: ["pledges"],
    queryFn: ({ signal }) => calls.get(pledgesSchema, "/pledges", signal),
  });
  const domains = useQuery({
    queryKey: ["domains"],
    queryFn: ({ signal }) => calls.get(domainsSchema, "/domains", signal),
  });
  const models = domains.data?.data.flatMap((domain) => domain.models) ?? [];
  const rows = demand.data?.data ?? [];
  return (
    <>
      <Card title="Demand board">
        <QueryState what="demand board" query={demand} />
        {demand.isSuccess && rows.length === 0 ? <EmptyState title="Nobody has pledged anything" /> : null}
        {rows.length > 0 ? (
          <ScrollRegion label="Pledges by model">
            <table className="data">
              <thead>
                <tr>
                  <th>Model</th>
                  <th className="number">Miners' pay raised by</th>
                  <th className="number">Left, USDC</th>
                  <th className="number">Pledges</th>
                </tr>
              </thead>
              <tbody>
                {rows.map((row) => (
                  <tr key={row.model}>
                    <td className="mono">{row.model}</td>
                    <td className="number">{row.raise_percent} %</td>
                    <td className="number">{unitText(row.left)}</td>
                    <td className="number">{row.pledges}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </ScrollRegion>
        ) : null}
      </Card>
      {models.length > 0 ? <PledgeForm calls={calls} models={models} /> : null}
      <Card title="Your pledges">
        <QueryState what="pledges" query={own} />
        {own.isSuccess && own.data.data.length === 0 ? <EmptyState title="None yet" /> : null}
        {own.data?.data.map((one) => (
          <article className="item" key={one.pledge} aria-label={`Pledge for ${one.model}`}>
            <header>
              <h3 className="panel-title mono">{one.model}</h3>
              <span className="muted small">raises pay by {one.raise_percent} %</span>
            </header>
            <p className="small">{one.withdrawn ? "Withdrawn." : `${unitText(one.left)} USDC left.`}</p>
            {one.withdrawn || one.left === "0" ? null : <Withdraw id={one.pledge} calls={calls} />}
          </article>
        ))}
      </Card>
    </>
  );
}

function Withdraw({ id, calls }: { id: string; calls: HubCalls }) {
  const withdraw = useCommand((_: null, once) => calls.send(pledgeSchema, "DELETE", `/pledges/${id}`, null, once));
  return (
    <CommandButton command={withdraw} input={null}>
      Take back what is left
    </CommandButton>
  );
}

function PledgeForm({ calls, models }: { calls: HubCalls; models: readonly string[] }) {
  const [model, setModel] = useState(models[0] ?? "");
  const [text, setText] = useState("");
  const [raise, setRaise] = useState("50");
  const amount = nanoOf(text);
  const command = useCommand(
    (body: object, once) => calls.send(pledgeSchema, "POST", "/pledges", body, once),
    () => setText(""),
  );
  return (
    <Card title="Pledge">
      <p className="muted small">A pledge raises what the model's miners earn by a share, until it is spent.</p>
      <CommandForm
        label="Pledge"
        submit="Pledge"
        command={command}
        faults={{ amount: amountFault(text), raisePercent: wholeFault(raise, 1, 1_000) }}
        done="Pledged."
        onSubmit={() => command.mutate({ model, amount, raise_percent: Number(raise) })}
      >
        <Choice
          label="Model"
          value={model}
          options={models.map((one) => ({ value: one, label: one }))}
          onChange={setModel}
        />
        <Field label="Amount, USDC" name="amount" unit="amount" value={text} onChange={setText} numeric />
        <Field label="Raise of the miners' pay, %" name="raisePercent" value={raise} onChange={setRaise} numeric />
      </CommandForm>
    </Card>
  );
}
