import { useQuery } from "@tanstack/react-query";
import { roundsSchema } from "../../shared/economy-api.ts";
import { QueryState } from "../console/query-state.tsx";
import type { HubCalls } from "../economy/hub-calls.ts";
import { EmptyState } from "../ui/empty-state.tsx";
import { RoundCard } from "./round-card.tsx";

/** Rounds to back, and what the viewer holds of them. */
export function BackerView({ calls }: { calls: HubCalls }) {
  const rounds = useQuery({
    queryKey: ["rounds"],
    queryFn: ({ signal }) => calls.get(roundsSchema, "/rounds?limit=100", signal),
  });
  const rows = rounds.data?.data ?? [];
  return (
    <>
      <QueryState what="rounds" query={rounds} />
      {rounds.isSuccess && rows.length === 0 ? (
        <EmptyState title="No round yet">A creator opens one to sell a share of a model's royalty.</EmptyState>
      ) : null}
      {rows.map((round) => (
        <RoundCard key={round.round} round={round} calls={calls} viewer="backer" />
      ))}
    </>
  );
}
