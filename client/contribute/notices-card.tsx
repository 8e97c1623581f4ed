import { memo } from "react";
import type { MinerView } from "../miner/contract.ts";
import { Badge } from "../ui/badge.tsx";
import { Card } from "../ui/card.tsx";
import { EmptyState } from "../ui/empty-state.tsx";
import { TimeAgo } from "../ui/time-ago.tsx";
import { useNow } from "../ui/use-now.ts";

export const NoticesCard = memo(function NoticesCard({ notices }: { notices: MinerView["notices"] }) {
  const now = useNow();
  return (
    <Card title="Notices">
      {notices.length === 0 ? (
        <EmptyState title="All quiet">Warnings and news from the hub and this browser appear here.</EmptyState>
      ) : (
        <ul className="notices">
          {notices
            .toSorted((a, b) => b.at - a.at)
            .map((notice) => (
              <li key={`${notice.at} ${notice.text}`}>
                <div className="notice-line">
                  <Badge tone={notice.kind === "warning" ? "busy" : "idle"}>
                    {notice.kind === "warning" ? "Warning" : "News"}
                  </Badge>
                  <span className="muted small">
                    <TimeAgo at={notice.at} now={now} />
                  </span>
                </div>
                <p className="wrap-anywhere">{notice.text}</p>
              </li>
            ))}
        </ul>
      )}
    </Card>
  );
});
