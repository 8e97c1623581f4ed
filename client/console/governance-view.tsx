import { useQuery } from "@tanstack/react-query";
import { type RoundReply, roundSchema, roundsSchema } from "../../shared/economy-api.ts";
import { CommandButton } from "../economy/form-parts.tsx";
import type { HubCalls } from "../economy/hub-calls.ts";
import { ParametersCard, Proposals } from "../economy/proposals.tsx";
import { percentText } from "../economy/units.ts";
import { useCommand } from "../economy/use-command.ts";
import { Card } from "../ui/card.tsx";
import { EmptyState } from "../ui/empty-state.tsx";
import { unitText } from "../ui/money-text.ts";
import { QueryState } from "./query-state.tsx";

/** Votes, and the milestones that a person has to have seen. */
export function GovernanceView({ calls }: { calls: HubCalls }) {
  return (
    <>
      <Proposals calls={calls} votes={false} />
      <Milestones calls={calls} />
      <ParametersCard calls={calls} />
    </>
  );
}

function Milestones({ calls }: { calls: HubCalls }) {
  const rounds = useQuery({
    queryKey: ["rounds", "building"],
    queryFn: ({ signal }) => calls.get(roundsSchema, "/rounds?state=building&limit=100", signal),
  });
  const rows = rounds.data?.data ?? [];
  return (
    <Card title="Milestones to look at">
      <QueryState what="rounds" query={rounds} />
      {rounds.isSuccess && rows.length === 0 ? <EmptyState title="No round is building" /> : null}
      {rows.map((round) => (
        <Building key={round.round} round={round} calls={calls} />
      ))}
    </Card>
  );
}

function Building({ round, calls }: { round: RoundReply; calls: HubCalls }) {
  const path = `/rounds/${round.round}/milestones`;
  const release = useCommand((_: null, once) => calls.send(roundSchema, "POST", path, {}, once));
  const next = round.milestones.find(({ released }) => !released);
  return (
    <article className="item" aria-label={round.title} data-testid="building">
      <header>
        <h3 className="panel-title">{round.title}</h3>
        <span className="mono small">{round.model}</span>
      </header>
      <p className="small">
        {unitText(round.escrow)} of {unitText(round.raised)} USDC in escrow. Next: {next?.name ?? "none"}.
      </p>
      {next ? (
        <CommandButton command={release} input={null} isMain>
          I saw that “{next.name}” is reached: release its {percentText(next.share)} %
        </CommandButton>
      ) : null}
    </article>
  );
}
