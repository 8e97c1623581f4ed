import { memo } from "react";
import { momentText } from "./moment.tsx";
import { agoText } from "./quantity-text.ts";

export function TimeAgo({ at, now }: { at: number; now: number }) {
  return <MomentAgo at={at} ago={agoText(at, now)} />;
}

/** Drawn again only where its words change. */
export const MomentAgo = memo(function MomentAgo({ at, ago }: { at: number; ago: string }) {
  const date = new Date(at);
  return (
    <time dateTime={date.toISOString()} title={momentText(at)} style={{ whiteSpace: "nowrap" }}>
      {ago}
    </time>
  );
});
