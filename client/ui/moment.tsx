const format = new Intl.DateTimeFormat("en-GB", {
  year: "numeric",
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  timeZoneName: "short",
});

/** Date, time and zone, with the month as a word: "22 Nov 2026, 01:23 UTC". */
export const momentText = (at: number): string => format.format(at);

export function Moment({ at }: { at: number }) {
  const exact = new Date(at).toISOString();
  return (
    <time dateTime={exact} title={exact}>
      {momentText(at)}
    </time>
  );
}
