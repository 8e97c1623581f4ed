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
import { Moment } from "../ui/moment.tsx";
import { unitText } from "../ui/money-text.ts";
import { ScrollRegion } from "../ui/scroll-region.tsx";
import { textFault, wholeFault } from "./faults.ts";
import { Choice, CommandButton, CommandForm, Field, Problem } from "./form-parts.tsx";
import type { HubCalls } from "./hub-calls.ts";
import { lookOf, valueText } from "./parameter-text.ts";
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
  const where = row.domain === null ? "" : `${row.domain}: `;
  return (
    <article className="item" aria-label={row.title} data-testid="proposal">
      <header>
        <h3 className="panel-title">{row.title}</h3>
        <Badge tone={tones[row.state]}>{row.state}</Badge>
      </header>
      <p className="mono small">
        {where}
        {row.parameter} = {valueText(row.parameter, row.value)} from epoch {row.from}
      </p>
      <p className="small">
        {unitText(row.approving)} DN for, {unitText(row.rejecting)} DN against.{" "}
        {row.state === "voting" ? (
          <>
            Open until <Moment at={row.closes_at} />.
          </>
        ) : null}
        {row.state === "locked" && row.unlocks_at !== null ? (
          <>
            Locked until <Moment at={row.unlocks_at} />.
          </>
        ) : null}
        {row.own_vote === null ? null : ` You voted ${row.own_vote ? "for" : "against"} it.`}
      </p>
      <div className="filters">
        {votes && row.state === "voting" && row.own_vote === null ? (
          <>
            <CommandButton command={vote} input={true} isMain isOfRow>
              Vote for
            </CommandButton>
            <CommandButton command={vote} input={false} isOfRow>
              Vote against
            </CommandButton>
          </>
        ) : null}
        {row.state === "voting" ? (
          <CommandButton command={step} input="count" isOfRow>
            Count
          </CommandButton>
        ) : null}
        {row.state === "locked" ? (
          <CommandButton command={step} input="execution" isOfRow>
            Execute
          </CommandButton>
        ) : null}
      </div>
      <Problem error={vote.error ?? step.error} />
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
              <th className="number">Least</th>
              <th className="number">Most</th>
            </tr>
          </thead>
          <tbody>
            {[...network, ...domain].map((one) => (
              <tr key={one.parameter}>
                <td>
                  {one.about}
                  <div className="mono muted small">{one.parameter}</div>
                </td>
                <td className="number">{one.value === null ? "by domain" : valueText(one.parameter, one.value)}</td>
                <td className="number">{valueText(one.parameter, one.least)}</td>
                <td className="number">{valueText(one.parameter, one.most)}</td>
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
  const all = [...parameters.network, ...parameters.domain];
  const [title, setTitle] = useState("");
  const [parameter, setParameter] = useState(all[0]?.parameter ?? "");
  const [domain, setDomain] = useState("commons");
  const [text, setText] = useState("");
  const [from, setFrom] = useState(String(parameters.epoch + 2));
  const isOfDomain = parameters.domain.some((one) => one.parameter === parameter);
  const bound = all.find((one) => one.parameter === parameter);
  const look = lookOf(parameter);
  const value = look.write(text);
  const command = useCommand(
    (body: object, once) => calls.send(proposalSchema, "POST", "/proposals", body, once),
    () => {
      setTitle("");
      setText("");
    },
  );
  const submit = () => {
    const change = isOfDomain ? { kind: "domain", domain, parameter, value } : { kind: "network", parameter, value };
    command.mutate({ title, change, from: Number(from) });
  };
  const least = bound ? look.read(bound.least) : "";
  const most = bound ? look.read(bound.most) : "";
  const range = look.unit === "0 or 1" ? "1 for yes, 0 for no" : `${least} to ${most} ${look.unit}`;
  const isWithin =
    value !== null && bound && BigInt(value) >= BigInt(bound.least) && BigInt(value) <= BigInt(bound.most);
  return (
    <Card title="Propose a change">
      <p className="muted small">
        Only who has stake may propose. A vote that is held after the named epoch began lapses.
      </p>
      <CommandForm
        label="Propose a change"
        submit="Propose"
        command={command}
        faults={{
          title: textFault(title, "a title"),
          domain: isOfDomain ? textFault(domain, "a domain") : null,
          value: isWithin ? null : `Expected ${range}, got ${text.trim() === "" ? "nothing" : `“${text.trim()}”`}.`,
          from: wholeFault(from, parameters.epoch + 1, Number.MAX_SAFE_INTEGER),
        }}
        onSubmit={submit}
        done="Proposed."
      >
        <Field label="Title" name="title" value={title} onChange={setTitle} />
        <Choice
          label="Parameter"
          value={parameter}
          options={all.map((one) => ({ value: one.parameter, label: one.about }))}
          onChange={setParameter}
        />
        {isOfDomain ? <Field label="Domain" name="domain" value={domain} onChange={setDomain} /> : null}
        <Field
          label={look.unit === "0 or 1" ? "New value" : `New value, ${look.unit}`}
          name="value"
          value={text}
          onChange={setText}
          numeric
          description={range}
        />
        <Field label="From epoch" name="from" value={from} onChange={setFrom} numeric />
      </CommandForm>
    </Card>
  );
}
