import { QueryClientProvider } from "@tanstack/react-query";
import type { HubCalls } from "../economy/hub-calls.ts";
import { Badge } from "../ui/badge.tsx";
import { Brand } from "../ui/logo.tsx";
import { Moment } from "../ui/moment.tsx";
import { countText, durationText } from "../ui/quantity-text.ts";
import { usePlace, ViewsNav } from "../ui/views-nav.tsx";
import type { CaseCalls } from "./case-calls.ts";
import { CasesView } from "./cases-view.tsx";
import { DomainsView } from "./domains-view.tsx";
import { EpochsView } from "./epochs-view.tsx";
import type { Feed } from "./feed.ts";
import { GovernanceView } from "./governance-view.tsx";
import type { FetchEntries } from "./ledger-entries.ts";
import { LedgerView } from "./ledger-view.tsx";
import { MarketView } from "./market-view.tsx";
import { MinersView } from "./miners-view.tsx";
import { Overview } from "./overview.tsx";
import { PartiesView } from "./parties-view.tsx";
import { queries } from "./queries.ts";
import { TasksView } from "./tasks-view.tsx";

const titles = {
  overview: "Overview",
  miners: "Miners",
  tasks: "Tasks",
  cases: "Cases",
  ledger: "Ledger",
  parties: "Parties",
  domains: "Domains",
  market: "Market",
  epochs: "Epochs",
  governance: "Governance",
};
type Place = keyof typeof titles;
const places = Object.keys(titles) as Place[];

/** The console at work: one view at a time, chosen by the address's fragment. `lost` says why the data stands still. */
export function Desk(props: {
  feed: Feed;
  lost: string | null;
  fetchEntries: FetchEntries;
  caseCalls: CaseCalls;
  calls: HubCalls;
}) {
  const { feed, lost, fetchEntries, caseCalls, calls } = props;
  const place = usePlace(places);
  const counts: Partial<Record<Place, number>> = { miners: feed.minersBySession.size, tasks: feed.tasksById.size };
  return (
    <QueryClientProvider client={queries}>
      <header className="bar tall">
        <Brand href="#overview" place="console" />
        <ViewsNav
          titles={titles}
          place={place}
          beside={(name) => (
            <>
              {counts[name] === undefined ? null : <span className="muted small"> {countText(counts[name])}</span>}
              {name === "cases" && feed.openCases > 0 ? (
                <span className="waiting-cases" title={`${countText(feed.openCases)} open`}>
                  {countText(feed.openCases)}
                </span>
              ) : null}
            </>
          )}
        />
        <span className="bar-state">
          <span className="muted small">
            v{feed.version}, up {durationText(Math.max(0, feed.at - feed.startedAt))}
          </span>
          {lost === null ? <Badge tone="good">Live</Badge> : <Badge tone="bad">Not live</Badge>}
        </span>
      </header>
      <main className="desk">
        <div role="status" aria-live="polite">
          {lost === null ? null : (
            <p className="callout" data-tone="bad">
              {lost} Reconnecting; what you see is the state of <Moment at={feed.at} />.
            </p>
          )}
        </div>
        <h1 className="unseen">{titles[place]}</h1>
        {place === "overview" ? <Overview feed={feed} caseCalls={caseCalls} /> : null}
        {place === "miners" ? <MinersView feed={feed} /> : null}
        {place === "tasks" ? <TasksView feed={feed} /> : null}
        {place === "cases" ? <CasesView openCases={feed.openCases} calls={caseCalls} /> : null}
        {place === "ledger" ? <LedgerView ledger={feed.ledger} fetchEntries={fetchEntries} /> : null}
        {place === "parties" ? <PartiesView calls={calls} /> : null}
        {place === "domains" ? <DomainsView calls={calls} /> : null}
        {place === "market" ? <MarketView calls={calls} /> : null}
        {place === "epochs" ? <EpochsView calls={calls} /> : null}
        {place === "governance" ? <GovernanceView calls={calls} /> : null}
      </main>
    </QueryClientProvider>
  );
}
