import { memo } from "react";
import type { WorkLine } from "../../shared/protocol.ts";
import { Badge, type Tone } from "../ui/badge.tsx";
import { Card } from "../ui/card.tsx";
import { EmptyState } from "../ui/empty-state.tsx";
import { Money } from "../ui/money.tsx";
import { agoText } from "../ui/quantity-text.ts";
import { MomentAgo } from "../ui/time-ago.tsx";
import { useNow } from "../ui/use-now.ts";

const outcomes: Record<WorkLine["outcome"], { label: string; tone: Tone }> = {
  paid: { label: "Paid", tone: "good" },
  unpaid: { label: "Not paid", tone: "idle" },
  refuted: { label: "Refuted", tone: "bad" },
};

const shown = 50;

/** Every line of credit with the hub's reason, newest first. */
export const CreditTable = memo(function CreditTable({ work }: { work: WorkLine[] }) {
  const now = useNow();
  const lines = work.toSorted((a, b) => b.at - a.at).slice(0, shown);
  return (
    <Card title="Explain my credit" className="credit" aside={lines.length === 0 ? null : `last ${lines.length} tasks`}>
      {lines.length === 0 ? (
        <EmptyState title="Nothing settled yet">
          Each finished task appears here with what it earned and why, once its check is done.
        </EmptyState>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
        <section className="scroll credit-scroll" tabIndex={0} aria-label="Credit lines">
          <table className="data">
            <thead>
              <tr>
                <th>When</th>
                <th>Outcome</th>
                <th className="number">Earned</th>
                <th>Model</th>
                <th>Part</th>
                <th>Why</th>
              </tr>
            </thead>
            <tbody>
              {lines.map((line) => (
                <CreditLine key={line.assignment} line={line} ago={agoText(line.at, now)} />
              ))}
            </tbody>
          </table>
        </section>
      )}
    </Card>
  );
});

const CreditLine = memo(function CreditLine({ line, ago }: { line: WorkLine; ago: string }) {
  return (
    <tr>
      <td>
        <MomentAgo at={line.at} ago={ago} />
      </td>
      <td>
        <Badge tone={outcomes[line.outcome].tone}>{outcomes[line.outcome].label}</Badge>
      </td>
      <td className="number">
        <Money nano={line.amount} />
      </td>
      <td className="mono">{line.model}</td>
      <td>{line.role === "primary" ? "answer" : "check"}</td>
      <td className="reason">{line.reason}</td>
    </tr>
  );
});
