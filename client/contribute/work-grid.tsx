import { memo } from "react";
import type { WorkLine } from "../../shared/protocol.ts";

const cellCount = 120;
const legend = [
  ["paid", "paid"],
  ["unpaid", "earned nothing"],
  ["refuted", "refuted"],
  ["current", "under way"],
] as const;

interface WorkGridProps {
  work: WorkLine[];
  /** Assignments, separated by spaces: the same text as long as they are the same. */
  underWay: string;
}

/** The last tasks as a grid of tabs: green was paid, red was refuted, grey earned nothing, amber is under way. */
export const WorkGrid = memo(function WorkGrid({ work, underWay }: WorkGridProps) {
  const current = underWay.split(" ").filter(Boolean);
  const finished = work
    .toSorted((a, b) => a.at - b.at)
    .slice(-(cellCount - current.length))
    .map((line) => ({ key: line.assignment, look: line.outcome as string }));
  const cells = [...finished, ...current.map((key) => ({ key, look: "current" }))];
  const blank = Math.max(0, cellCount - cells.length);
  const paid = finished.filter((cell) => cell.look === "paid").length;
  return (
    <div className="work">
      <div
        className="work-grid"
        role="img"
        aria-label={`Last ${finished.length} tasks: ${paid} paid; ${current.length} under way`}
      >
        {cells.map((cell) => (
          <i key={cell.key} data-look={cell.look} />
        ))}
        {Array.from({ length: blank }, (_, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: blanks are all alike and keep their place
          <i key={`blank-${index}`} />
        ))}
      </div>
      <ul className="legend muted small">
        {legend.map(([look, label]) => (
          <li key={look}>
            <i data-look={look} aria-hidden="true" />
            {label}
          </li>
        ))}
      </ul>
    </div>
  );
});
