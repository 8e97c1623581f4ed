import { agoText } from "./quantity-text.ts";

export function TimeAgo({ at, now }: { at: number; now: number }) {
  const date = new Date(at);
  return (
    <time dateTime={date.toISOString()} title={date.toLocaleString()} style={{ whiteSpace: "nowrap" }}>
      {agoText(at, now)}
    </time>
  );
}
