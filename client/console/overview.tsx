import { Card } from "../ui/card.tsx";
import { EmptyState } from "../ui/empty-state.tsx";
import { countText, durationText } from "../ui/quantity-text.ts";
import { BalanceBadge } from "./balance-badge.tsx";
import type { CaseCalls } from "./case-calls.ts";
import { CompatibilityCard } from "./compatibility-card.tsx";
import type { Feed } from "./feed.ts";
import { TimeChart } from "./time-chart.tsx";

export function Overview({ feed, caseCalls }: { feed: Feed; caseCalls: CaseCalls }) {
  const { totals, ledger, samples } = feed;
  const miners = [...feed.minersBySession.values()];
  const working = miners.filter((miner) => miner.state === "working").length;
  const ms = (value: number | null) => (value === null ? "–" : durationText(value));
  const tiles: { label: string; value: string; note: string; bad?: boolean }[] = [
    { label: "Verified / s", value: totals.perSecond.toFixed(1), note: "mean of ten seconds" },
    { label: "Latency p50", value: ms(totals.latencyP50Ms), note: "from submit to reply" },
    { label: "Latency p95", value: ms(totals.latencyP95Ms), note: "from submit to reply" },
    { label: "Miners", value: countText(miners.length), note: `${working} working` },
    { label: "Queued", value: countText(totals.queued), note: `${countText(totals.inFlight)} in flight` },
    { label: "Verified", value: countText(totals.verified), note: `${countText(totals.referenceRuns)} reference runs` },
    { label: "Refuted", value: countText(totals.refuted), note: "answers that a check rejected" },
    { label: "Failed", value: countText(totals.failed), note: "requests without an answer", bad: totals.failed > 0 },
  ];
  return (
    <>
      <dl className="tiles">
        {tiles.map((tile) => (
          <div key={tile.label} className="card tile">
            <dt>{tile.label}</dt>
            <dd className={tile.bad ? "bad-text" : ""}>{tile.value}</dd>
            <dd className="muted small">{tile.note}</dd>
          </div>
        ))}
      </dl>
      {miners.length === 0 ? (
        <div className="card">
          <EmptyState title="No miner is connected">
            Requests are answered by the hub's own reference node. <a href="/">Open the contribute page</a> in a tab and
            press Start to add one.
          </EmptyState>
        </div>
      ) : null}
      <div className="charts">
        <Card title="Verified tasks per second">
          <TimeChart
            caption="Verified tasks per second over the last five minutes"
            now={feed.at}
            times={samples.map((sample) => sample.at)}
            series={[
              { label: "per second", tone: "good", values: samples.map((sample) => sample.perSecond), filled: true },
            ]}
          />
        </Card>
        <Card title="Latency in milliseconds">
          <TimeChart
            caption="Latency in milliseconds over the last five minutes"
            now={feed.at}
            times={samples.map((sample) => sample.at)}
            series={[
              { label: "p50", tone: "good", values: samples.map((sample) => sample.latencyP50Ms) },
              { label: "p95", tone: "busy", values: samples.map((sample) => sample.latencyP95Ms) },
            ]}
          />
        </Card>
      </div>
      <CompatibilityCard miners={miners.length} calls={caseCalls} />
      <Card title="Invariants">
        <p className="invariants">
          <BalanceBadge imbalance={ledger.imbalance} />
          <span className="muted small">
            {countText(ledger.transfers)} transfers over {countText(ledger.accounts.length)} accounts
          </span>
        </p>
      </Card>
    </>
  );
}
