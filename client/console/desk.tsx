import { useSyncExternalStore } from "react";
import { Badge } from "../ui/badge.tsx";
import { Brand } from "../ui/logo.tsx";
import { countText, durationText } from "../ui/quantity-text.ts";
import type { Feed } from "./feed.ts";
import type { FetchEntries } from "./ledger-entries.ts";
import { LedgerView } from "./ledger-view.tsx";
import { MinersView } from "./miners-view.tsx";
import { Overview } from "./overview.tsx";
import { TasksView } from "./tasks-view.tsx";

const places = ["overview", "miners", "tasks", "ledger"] as const;
type Place = (typeof places)[number];
const titles: Record<Place, string> = { overview: "Overview", miners: "Miners", tasks: "Tasks", ledger: "Ledger" };

/** The console at work: one view at a time, chosen by the address's fragment. `lost` says why the data stands still. */
export function Desk(props: { feed: Feed; lost: string | null; fetchEntries: FetchEntries }) {
  const { feed, lost, fetchEntries } = props;
  const place = usePlace();
  const counts: Partial<Record<Place, number>> = { miners: feed.minersBySession.size, tasks: feed.tasksById.size };
  return (
    <>
      <header className="bar">
        <Brand href="#overview" place="console" />
        <nav aria-label="Views">
          {places.map((name) => (
            <a key={name} href={`#${name}`} aria-current={name === place ? "page" : undefined}>
              {titles[name]}
              {counts[name] === undefined ? null : <span className="muted small"> {countText(counts[name])}</span>}
            </a>
          ))}
        </nav>
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
              {lost} Reconnecting; what you see is the state of {new Date(feed.at).toLocaleTimeString()}.
            </p>
          )}
        </div>
        <h1 className="unseen">{titles[place]}</h1>
        {place === "overview" ? <Overview feed={feed} /> : null}
        {place === "miners" ? <MinersView feed={feed} /> : null}
        {place === "tasks" ? <TasksView feed={feed} /> : null}
        {place === "ledger" ? <LedgerView ledger={feed.ledger} fetchEntries={fetchEntries} /> : null}
      </main>
    </>
  );
}

function usePlace(): Place {
  const hash = useSyncExternalStore(
    (listener) => {
      addEventListener("hashchange", listener);
      return () => removeEventListener("hashchange", listener);
    },
    () => location.hash.slice(1),
  );
  return places.find((place) => place === hash) ?? "overview";
}
