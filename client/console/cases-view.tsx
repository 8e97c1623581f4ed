import { Button } from "@mantine/core";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { CaseSummary } from "../../shared/case-api.ts";
import { Badge } from "../ui/badge.tsx";
import { Card } from "../ui/card.tsx";
import { EmptyState } from "../ui/empty-state.tsx";
import { countText } from "../ui/quantity-text.ts";
import { TimeAgo } from "../ui/time-ago.tsx";
import { useNow } from "../ui/use-now.ts";
import type { CaseCalls } from "./case-calls.ts";
import { CasePanel } from "./case-panel.tsx";
import { caseLook, caseTitle, dueText } from "./case-text.ts";
import { QueryState } from "./query-state.tsx";

/** Cases without a name: those that wait for a ruling first, the oldest at the top, then all that are closed. */
export function CasesView({ openCases, calls }: { openCases: number; calls: CaseCalls }) {
  const [opened, setOpened] = useState<string | null>(null);
  const now = useNow();
  const waiting = useCases("open", openCases, calls);
  const all = useCases(null, openCases, calls);
  const open = rowsOf(waiting).toReversed();
  const closed = rowsOf(all).filter(({ state }) => state !== "open");
  return (
    <>
      <Card title="Waiting for a ruling" aside={countText(openCases)}>
        <p className="muted small">
          Each is about a party whose name, miner and network you are not told. Nothing is slashed before you rule.
        </p>
        <QueryState what="cases" query={waiting} />
        {waiting.isSuccess && open.length === 0 ? (
          <EmptyState title="No case is open">
            One opens when a miner is suspended, or when a customer reports an answer as harmful.
          </EmptyState>
        ) : null}
        <CaseTable rows={open} now={now} onOpen={setOpened} />
        <More query={waiting} />
      </Card>
      <Card title="Closed">
        <QueryState what="closed cases" query={all} />
        {all.isSuccess && closed.length === 0 ? <EmptyState title="None yet" /> : null}
        <CaseTable rows={closed} now={now} onOpen={setOpened} />
        <More query={all} />
      </Card>
      {opened === null ? null : <CasePanel id={opened} calls={calls} onClose={() => setOpened(null)} />}
    </>
  );
}

/** Asked again whenever the number of open cases changes. */
function useCases(state: "open" | null, openCases: number, calls: CaseCalls) {
  return useInfiniteQuery({
    queryKey: ["cases", state, openCases],
    queryFn: ({ pageParam, signal }) => calls.list(state, pageParam, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => (page.has_more ? page.data.at(-1)?.case : undefined),
    placeholderData: keepPreviousData,
  });
}
type CasesQuery = ReturnType<typeof useCases>;

const rowsOf = (query: CasesQuery): CaseSummary[] => query.data?.pages.flatMap((page) => page.data) ?? [];

function More({ query }: { query: CasesQuery }) {
  if (!query.hasNextPage) return null;
  return (
    <Button variant="default" loading={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
      Show more
    </Button>
  );
}

function CaseTable({ rows, now, onOpen }: { rows: CaseSummary[]; now: number; onOpen(id: string): void }) {
  if (rows.length === 0) return null;
  return (
    <div className="scroll">
      <table className="data rows cases">
        <thead>
          <tr>
            <th>Opened</th>
            <th>Party</th>
            <th>What for</th>
            <th>Model</th>
            <th>State</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.case}>
              <td className="muted">
                <TimeAgo at={row.opened_at} now={now} />
              </td>
              <td>
                <button
                  type="button"
                  className="open"
                  onClick={() => onOpen(row.case)}
                  aria-label={`Case of ${row.party}`}
                >
                  {row.party}
                </button>
              </td>
              <td>{caseTitle(row)}</td>
              <td className="mono">{row.model ?? "–"}</td>
              <td>
                <Badge tone={caseLook(row).tone}>{caseLook(row).label}</Badge>
                {row.state === "open" ? <div className="muted small">{dueText(row.due_at, now)}</div> : null}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
