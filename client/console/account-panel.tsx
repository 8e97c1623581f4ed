import { Button } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { EmptyState } from "../ui/empty-state.tsx";
import { Moment } from "../ui/moment.tsx";
import { Money } from "../ui/money.tsx";
import { sumNano } from "../ui/money-text.ts";
import type { Entry, FetchEntries } from "./ledger-entries.ts";
import { SidePanel } from "./side-panel.tsx";
import { shortId } from "./state-look.ts";

/** The transfers that touched one account, with what each moved in or out of it. */
export function AccountPanel(props: { account: string; fetchEntries: FetchEntries; onClose(): void }) {
  const { account, fetchEntries, onClose } = props;
  const entries = useInfiniteQuery({
    queryKey: ["entries", account],
    queryFn: ({ pageParam, signal }) => fetchEntries(account, pageParam, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => (page.has_more ? page.data.at(-1)?.cursor : undefined),
  });
  const rows = entries.data?.pages.flatMap((page) => page.data) ?? [];
  return (
    <SidePanel title="Entries" onClose={onClose}>
      <p className="mono wrap-anywhere">{account}</p>
      {entries.isPending ? (
        <div role="status">
          <EmptyState title="Reading the ledger…" />
        </div>
      ) : null}
      {entries.isError ? (
        <div className="callout" data-tone="bad" role="alert">
          <p>The entries could not be read: {entries.error.message}</p>
          <Button variant="default" size="xs" mt="xs" onClick={() => void entries.refetch()}>
            Try again
          </Button>
        </div>
      ) : null}
      {entries.isSuccess && rows.length === 0 ? (
        <EmptyState title="No entries">Nothing moved here yet.</EmptyState>
      ) : null}
      <ol className="entries">
        {rows.map((entry) => (
          <EntryRow key={entry.transfer} entry={entry} account={account} />
        ))}
      </ol>
      {entries.hasNextPage ? (
        <Button variant="default" loading={entries.isFetchingNextPage} onClick={() => void entries.fetchNextPage()}>
          Show more
        </Button>
      ) : null}
    </SidePanel>
  );
}

function EntryRow({ entry, account }: { entry: Entry; account: string }) {
  const own = entry.legs.filter((leg) => leg.account === account);
  const others = entry.legs.filter((leg) => leg.account !== account);
  return (
    <li>
      <div className="entry-line">
        <strong>{entry.kind}</strong>
        <Money nano={sumNano(own.map((leg) => leg.amount))} asset={own[0]?.asset ?? "USDC"} />
      </div>
      <div className="muted small">
        <Moment at={entry.at} /> · no. {entry.seq}
        {entry.task ? ` · task ${shortId(entry.task)}` : ""}
      </div>
      <details className="small">
        <summary className="muted">
          {others.length} other {others.length === 1 ? "account" : "accounts"}
        </summary>
        <ul>
          {others.map((leg) => (
            <li key={`${leg.account} ${leg.asset}`} className="entry-line">
              <span className="mono wrap-anywhere">{leg.account}</span>
              <Money nano={leg.amount} asset={leg.asset} />
            </li>
          ))}
        </ul>
      </details>
    </li>
  );
}
