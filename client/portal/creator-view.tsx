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
import { amountFault, shareFault, textFault, wholeFault } from "../economy/faults.ts";
import { Choice, CommandButton, CommandForm, Field } from "../economy/form-parts.tsx";
import type { HubCalls } from "../economy/hub-calls.ts";
import { hundredthsOf, nanoOf, percentText } from "../economy/units.ts";
import { useCommand } from "../economy/use-command.ts";
import { Card } from "../ui/card.tsx";
import { EmptyState } from "../ui/empty-state.tsx";
import { unitText } from "../ui/money-text.ts";
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
          A version is minted, with its royalty, by the operator of this hub, who also says which customer is behind the
          creator's name on it; its royalties are yours from then on.
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
      <CommandButton command={collect} input={null} isMain disabled={one.usdc === "0" && one.dn === "0"}>
        Collect
      </CommandButton>
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
  const command = useCommand(
    (body: object, once) => calls.send(roundSchema, "POST", "/rounds", body, once),
    () => {
      setTitle("");
      setTarget("");
    },
  );
  const submit = () => {
    const deadline_at = Date.now() + Number(days) * DAY;
    const shares = { backers: hundredthsOf(share), yield: hundredthsOf(yieldShare) };
    command.mutate({ model, title, target: nanoOf(target), deadline_at, terms, milestones: steps, ...shares });
  };
  const steps = milestonesOf(milestones);
  const faults = {
    title: textFault(title, "what the round is for"),
    target: amountFault(target),
    days: wholeFault(days, 1, 3_650),
    backers: shareFault(share, 0.01),
    yield: shareFault(yieldShare, 0, 99.99),
    terms: textFault(terms, "what a backer agrees to"),
    milestones: milestonesFault(steps),
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
        faults={faults}
        done="The round is open."
        onSubmit={submit}
      >
        <Choice
          label="Version"
          value={model}
          options={models.map((one) => ({ value: one, label: one }))}
          onChange={setModel}
        />
        <Field label="Title" name="title" value={title} onChange={setTitle} />
        <Field label="Target, USDC" name="target" unit="amount" value={target} onChange={setTarget} numeric />
        <Field label="Open for, days" name="days" value={days} onChange={setDays} numeric />
        <Field
          label="Backers' part of the royalty (a), %"
          name="backers"
          unit="share"
          value={share}
          onChange={setShare}
          numeric
        />
        <Field label="Yield venue's part (c), %" name="yield" value={yieldShare} onChange={setYield} numeric />
        <Field label="Terms that a backer agrees to" name="terms" value={terms} onChange={setTerms} rows={3} />
        <Field
          label="Milestones, with the share of the escrow that each releases, %"
          name="milestones"
          description="one a line, as “Trained: 50”; they sum to 100"
          value={milestones}
          onChange={setMilestones}
          rows={3}
        />
      </CommandForm>
    </Card>
  );
}

interface Step {
  name: string;
  /** Null where it is none. */
  share: number | null;
}

function milestonesOf(text: string): Step[] {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines.map((line) => {
    const [, name = line, share = ""] = /^(.*):\s*([\d.,]+)\s*%?\s*$/.exec(line) ?? [];
    return { name: name.trim(), share: hundredthsOf(share) };
  });
}

function milestonesFault(steps: readonly Step[]): string | null {
  const broken = steps.find(({ name, share }) => name === "" || share === null || share === 0);
  if (broken) return `Expected lines such as “Trained: 50”, got “${broken.name}”.`;
  const sum = steps.reduce((before, { share }) => before + (share ?? 0), 0);
  return sum === 10_000 ? null : `Expected shares that sum to 100 %, got ${percentText(sum)} %.`;
}
