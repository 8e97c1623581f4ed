import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import {
  type ParametersReply,
  type ProposalReply,
  parametersSchema,
  proposalSchema,
  proposalsSchema,
} from "../../shared/economy-api.ts";
import { QueryState } from "../console/query-state.tsx";
import { Badge, type Tone } from "../ui/badge.tsx";
import { Card } from "../ui/card.tsx";
import { EmptyState } from "../ui/empty-state.tsx";
import { ScrollRegion } from "../ui/scroll-region.tsx";
import { Choice, CommandForm, Field } from "./form-parts.tsx";
import type { HubCalls } from "./hub-calls.ts";
import { unitText } from "./units.ts";
import { useCommand } from "./use-command.ts";

/** Proposals as voters and the operator see them. `votes` where the viewer has stake to vote with. */
export function Proposals({ calls, votes }: { calls: HubCalls; votes: boolean }) {
  const proposals = useQuery({
    queryKey: ["proposals"],
    queryFn: ({ signal }) => calls.get(proposalsSchema, "/proposals?limit=100", signal),
  });
  const rows = proposals.data?.data ?? [];
  return (
    <Card title="Proposals">
      <p className="muted small">
        A vote counts the stake that was held before the proposal. What passes waits for its time lock, and takes effect
        in the epoch that it names.
      </p>
      <QueryState what="proposals" query={proposals} />
      {proposals.isSuccess && rows.length === 0 ? <EmptyState title="Nothing has been proposed" /> : null}
      {rows.map((row) => (
        <Proposal key={row.proposal} row={row} calls={calls} votes={votes} />
      ))}
    </Card>
  );
}

const tones: Record<ProposalReply["state"], Tone> = {
  voting: "busy",
  locked: "busy",
  executed: "good",
  rejected: "bad",
  lapsed: "idle",
};

function Proposal({ row, calls, votes }: { row: ProposalReply; calls: HubCalls; votes: boolean }) {
  const path = `/proposals/${row.proposal}`;
  const vote = useCommand((approve: boolean, once) =>
    calls.send(proposalSchema, "POST", `${path}/votes`, { approve }, once),
  );
  const step = useCommand((what: string, once) => calls.send(proposalSchema, "POST", `${path}/${what}`, {}, once));
  const problem = vote.error ?? step.error;
  const where = row.domain === null ? "" : `${row.domain}: `;
  return (
    <article className="item" aria-label={row.title} data-testid="proposal">
      <header>
        <h3 className="panel-title">{row.title}</h3>
        <Badge tone={tones[row.state]}>{row.state}</Badge>
      </header>
      <p className="mono small">
        {where}
        {row.parameter} = {row.value} from epoch {row.from}
      </p>
      <p className="small">
        {unitText(row.approving)} DN for, {unitText(row.rejecting)} DN against.{" "}
        {row.state === "voting" ? `Open until ${new Date(row.closes_at).toLocaleString()}.` : null}
        {row.state === "locked" && row.unlocks_at !== null
          ? `Locked until ${new Date(row.unlocks_at).toLocaleString()}.`
          : null}
        {row.own_vote === null ? null : ` You voted ${row.own_vote ? "for" : "against"} it.`}
      </p>
      <div className="filters">
        {votes && row.state === "voting" && row.own_vote === null ? (
          <>
            <Button size="xs" loading={vote.isPending} onClick={() => vote.mutate(true)}>
              Vote for
            </Button>
            <Button size="xs" variant="default" loading={vote.isPending} onClick={() => vote.mutate(false)}>
              Vote against
            </Button>
          </>
        ) : null}
        {row.state === "voting" ? (
          <Button size="xs" variant="default" loading={step.isPending} onClick={() => step.mutate("count")}>
            Count
          </Button>
        ) : null}
        {row.state === "locked" ? (
          <Button size="xs" variant="default" loading={step.isPending} onClick={() => step.mutate("execution")}>
            Execute
          </Button>
        ) : null}
      </div>
      {problem ? (
        <p className="callout" data-tone="bad" role="alert">
          {problem.message}
        </p>
      ) : null}
    </article>
  );
}

function useParameters(calls: HubCalls) {
  return useQuery({
    queryKey: ["governance"],
    queryFn: ({ signal }) => calls.get(parametersSchema, "/governance", signal),
  });
}

export function ParametersCard({ calls }: { calls: HubCalls }) {
  const parameters = useParameters(calls);
  const { network = [], domain = [] } = parameters.data ?? {};
  return (
    <Card
      title="What a vote may change"
      aside={parameters.data ? `epoch ${parameters.data.epoch}, ${unitText(parameters.data.staked)} DN staked` : null}
    >
      <QueryState what="parameters" query={parameters} />
      <ScrollRegion label="Parameters">
        <table className="data">
          <thead>
            <tr>
              <th>Parameter</th>
              <th className="number">Now</th>
              <th className="number">From</th>
              <th className="number">To</th>
              <th>What it is</th>
            </tr>
          </thead>
          <tbody>
            {[...network, ...domain].map((one) => (
              <tr key={one.parameter}>
                <td className="mono">{one.parameter}</td>
                <td className="number">{one.value ?? "by domain"}</td>
                <td className="number">{one.least}</td>
                <td className="number">{one.most}</td>
                <td>{one.about}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </ScrollRegion>
    </Card>
  );
}

export function ProposeCard({ calls }: { calls: HubCalls }) {
  const parameters = useParameters(calls).data;
  return parameters ? <Propose calls={calls} parameters={parameters} /> : null;
}

function Propose({ calls, parameters }: { calls: HubCalls; parameters: ParametersReply }) {
  const names = [...parameters.network, ...parameters.domain].map(({ parameter }) => parameter);
  const [title, setTitle] = useState("");
  const [parameter, setParameter] = useState(names[0] ?? "");
  const [domain, setDomain] = useState("commons");
  const [value, setValue] = useState("");
  const [from, setFrom] = useState(String(parameters.epoch + 2));
  const isOfDomain = parameters.domain.some((one) => one.parameter === parameter);
  const bound = [...parameters.network, ...parameters.domain].find((one) => one.parameter === parameter);
  const command = useCommand(
    (body: object, once) => calls.send(proposalSchema, "POST", "/proposals", body, once),
    () => setTitle(""),
  );
  const submit = () => {
    const change = isOfDomain ? { kind: "domain", domain, parameter, value } : { kind: "network", parameter, value };
    command.mutate({ title, change, from: Number(from) });
  };
  return (
    <Card title="Propose a change">
      <CommandForm label="Propose a change" submit="Propose" command={command} onSubmit={submit} done="Proposed.">
        <Field label="Title" value={title} onChange={setTitle} />
        <Choice
          label="Parameter"
          value={parameter}
          options={names.map((name) => ({ value: name, label: name }))}
          onChange={setParameter}
        />
        {isOfDomain ? <Field label="Domain" value={domain} onChange={setDomain} /> : null}
        <Field
          label="New value"
          value={value}
          onChange={setValue}
          numeric
          {...(bound && { description: `${bound.least} to ${bound.most}: ${bound.about}` })}
        />
        <Field label="From epoch" value={from} onChange={setFrom} numeric />
      </CommandForm>
    </Card>
  );
}
