import type { HubCalls } from "../economy/hub-calls.ts";
import { ParametersCard, Proposals, ProposeCard } from "../economy/proposals.tsx";

/** What there is to vote on, and what a vote may change. */
export function VotesView({ calls }: { calls: HubCalls }) {
  return (
    <>
      <Proposals calls={calls} votes />
      <ProposeCard calls={calls} />
      <ParametersCard calls={calls} />
    </>
  );
}
