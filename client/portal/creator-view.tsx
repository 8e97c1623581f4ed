import { Button, Textarea } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import {
  type CreatorsReply,
  collectedSchema,
  creatorsSchema,
  roundSchema,
  roundsSchema,
} from "../../shared/economy-api.ts";
import { QueryState } from "../console/query-state.tsx";
import { Choice, CommandForm, Field } from "../economy/form-parts.tsx";
import type { HubCalls } from "../economy/hub-calls.ts";
import { hundredthsOf, nanoOf, percentText, unitText } from "../economy/units.ts";
import { useCommand } from "../economy/use-command.ts";
import { Card } from "../ui/card.tsx";
import { EmptyState } from "../ui/empty-state.tsx";
import { ScrollRegion } from "../ui/scroll-region.tsx";
import { RoundCard } from "./round-card.tsx";

/** A creator's names, versions, royalties and rounds. */
export function CreatorView({ calls }: { calls: HubCalls }) {
  const creators = useQuery({
    queryKey: ["creators"],
    queryFn: ({ signal }) => calls.get(creatorsSchema, "/creators", signal),
  });
  const rounds = useQuery({
    queryKey: ["rounds"],
    queryFn: ({ signal }) => calls.get(roundsSchema, "/rounds?limit=100", signal),
  });
  const names = creators.data?.data ?? [];
  const own = new Set(names.map(({ name }) => name));
  const versions = names.flatMap((one) => one.versions);
  return (
    <>
      <QueryState what="models" query={creators} />
      {creators.isSuccess && names.length === 0 ? (
        <EmptyState title="No creator's name is yours yet">
          The operator of this hub says which customer is behind a name; its models' royalties are yours from then on.
        </EmptyState>
      ) : null}
      {names.map((one) => (
        <Name key={one.name} one={one} calls={calls} />
      ))}
      {versions.length > 0 ? <OpenRound calls={calls} models={versions.map(({ model }) => model)} /> : null}
      {(rounds.data?.data ?? [])
        .filter(({ creator }) => own.has(creator))
        .map((round) => (
          <RoundCard key={round.round} round={round} calls={calls} viewer="creator" />
        ))}
    </>
  );
}

function Name({ one, calls }: { one: CreatorsReply["data"][number]; calls: HubCalls }) {
  const path = `/creators/${encodeURIComponent(one.name)}/collect`;
  const collect = useCommand((_: null, once) => calls.send(collectedSchema, "POST", path, {}, once));
  return (
    <Card title={one.name} aside="creator">
      <dl className="facts">
        <dt>To collect</dt>
        <dd>
          {unitText(one.usdc)} USDC and {unitText(one.dn)} DN
        </dd>
        <dt>Earned, not paid out by an epoch yet</dt>
        <dd>{unitText(one.earning)} USDC</dd>
      </dl>
      <Button
        size="xs"
        disabled={one.usdc === "0" && one.dn === "0"}
        loading={collect.isPending}
        onClick={() => collect.mutate(null)}
      >
        Collect
      </Button>
      {collect.isError ? (
        <p className="callout" data-tone="bad" role="alert">
          {collect.error.message}
        </p>
      ) : null}
      <ScrollRegion label={`Versions of ${one.name}`}>
        <table className="data">
          <thead>
            <tr>
              <th>Version</th>
              <th>Domain</th>
              <th className="number">Royalty x</th>
              <th>Round</th>
            </tr>
          </thead>
          <tbody>
            {one.versions.map((version) => (
              <tr key={version.model}>
                <td className="mono">{version.model}</td>
                <td>{version.domain}</td>
                <td className="number">{percentText(version.royalty)} %</td>
                <td>{version.round === null ? "none" : "opened"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </ScrollRegion>
      <p className="muted small">A royalty was fixed when the version was minted and never changes.</p>
    </Card>
  );
}

const DAY = 86_400_000;

function OpenRound({ calls, models }: { calls: HubCalls; models: readonly string[] }) {
  const [model, setModel] = useState(models[0] ?? "");
  const [title, setTitle] = useState("");
  const [target, setTarget] = useState("");
  const [days, setDays] = useState("30");
  const [share, setShare] = useState("40");
  const [yieldShare, setYield] = useState("0");
  const [terms, setTerms] = useState("");
  const [milestones, setMilestones] = useState("Trained: 50\nPublished: 50");
  const [fault, setFault] = useState<string | null>(null);
  const command = useCommand(
    (body: object, once) => calls.send(roundSchema, "POST", "/rounds", body, once),
    () => setTitle(""),
  );
  const submit = () => {
    const steps = milestonesOf(milestones);
    const wanted = { target: nanoOf(target), backers: hundredthsOf(share), yield: hundredthsOf(yieldShare) };
    const broken = !steps
      ? "Milestones: one a line, as “Trained: 50”."
      : wanted.target === null
        ? `Target: “${target}” is no amount.`
        : wanted.backers === null || wanted.yield === null
          ? "The backers' and the venue's shares are per cents."
          : !/^\d{1,4}$/.test(days)
            ? "Open for: a number of days."
            : null;
    setFault(broken);
    if (broken) return;
    const deadline_at = Date.now() + Number(days) * DAY;
    command.mutate({ model, title, deadline_at, terms, milestones: steps, ...wanted });
  };
  return (
    <Card title="Open a round">
      <p className="muted small">
        Backers pay into escrow. Met, it is released milestone by milestone; missed, everybody has all back. The
        backers' part of the royalty is a, the yield venue's c; the rest stays yours.
      </p>
      <CommandForm
        label="Open a round"
        submit="Open the round"
        command={command}
        fault={fault}
        done="The round is open."
        onSubmit={submit}
      >
        <Choice
          label="Version"
          value={model}
          options={models.map((one) => ({ value: one, label: one }))}
          onChange={setModel}
        />
        <Field label="Title" value={title} onChange={setTitle} />
        <Field label="Target, USDC" value={target} onChange={setTarget} numeric />
        <Field label="Open for, days" value={days} onChange={setDays} numeric />
        <Field label="Backers' part of the royalty (a), %" value={share} onChange={setShare} numeric />
        <Field label="Yield venue's part (c), %" value={yieldShare} onChange={setYield} numeric />
        <Textarea
          className="wide"
          label="Terms that a backer agrees to"
          value={terms}
          onChange={(event) => setTerms(event.currentTarget.value)}
          rows={3}
        />
        <Textarea
          className="wide"
          label="Milestones, with the share of the escrow that each releases, %"
          value={milestones}
          onChange={(event) => setMilestones(event.currentTarget.value)}
          rows={3}
        />
      </CommandForm>
    </Card>
  );
}

function milestonesOf(text: string): { name: string; share: number }[] | null {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const steps = lines.map((line) => {
    const [, name = "", share = ""] = /^(.*):\s*([\d.,]+)\s*%?\s*$/.exec(line) ?? [];
    return { name: name.trim(), share: hundredthsOf(share) };
  });
  const isWhole = steps.length > 0 && steps.every(({ name, share }) => name !== "" && share !== null);
  return isWhole ? (steps as { name: string; share: number }[]) : null;
}
