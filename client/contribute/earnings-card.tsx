import { memo } from "react";
import type { MinerView } from "../miner/contract.ts";
import { Card } from "../ui/card.tsx";
import { Money } from "../ui/money.tsx";
import { countText } from "../ui/quantity-text.ts";

type Sums = Pick<MinerView, "role" | "available" | "held" | "completed" | "passed" | "failed" | "trust">;

export const EarningsCard = memo(function EarningsCard(view: Sums) {
  const things = view.role === "validator" ? "Checks" : "Tasks";
  return (
    <Card title="Earnings" className="earnings">
      <dl className="sums">
        <div>
          <dt>Available</dt>
          <dd>
            <Money nano={view.available} />
          </dd>
        </div>
        <div>
          <dt>Held</dt>
          <dd>
            <Money nano={view.held} />
          </dd>
        </div>
      </dl>
      <p className="muted small">
        Held so that a wrong answer found late can still be taken back. The rule is 72 hours and 50 further accepted
        tasks or 14 clean days.
      </p>
      <dl className="facts counts">
        <dt>{things} completed</dt>
        <dd>{countText(view.completed)}</dd>
        <dt>{things} passed</dt>
        <dd data-testid="passed">{countText(view.passed)}</dd>
        <dt>{things} failed</dt>
        <dd>{countText(view.failed)}</dd>
      </dl>
      <Trust trust={view.trust} />
    </Card>
  );
});

function Trust({ trust }: { trust: number | null }) {
  return (
    <div className="trust">
      <div className="trust-line">
        <span className="muted">Trust</span>
        <strong>{trust === null ? "not rated yet" : trust.toFixed(2)}</strong>
      </div>
      {trust === null ? null : (
        <meter min={0} max={1} value={trust} aria-label="Trust">
          {trust.toFixed(2)}
        </meter>
      )}
      <p className="muted small">
        From 0 to 1. It rises when other machines confirm your answers and falls when they do not. More trust brings
        more work.
      </p>
    </div>
  );
}
