import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import type { CaseReply, Decision } from "../../shared/case-api.ts";
import { Badge } from "../ui/badge.tsx";
import { Moment } from "../ui/moment.tsx";
import { ScrollRegion } from "../ui/scroll-region.tsx";
import type { CaseCalls } from "./case-calls.ts";
import { CaseDecision } from "./case-decision.tsx";
import { ExchangeView } from "./case-exchange.tsx";
import { ExhibitCard } from "./case-exhibit.tsx";
import { caseLook, caseTitle, historyText, numberText } from "./case-text.ts";
import { QueryState } from "./query-state.tsx";
import { SidePanel } from "./side-panel.tsx";

/** One case with all that a reviewer may know of it. */
export function CasePanel({ id, calls, onClose }: { id: string; calls: CaseCalls; onClose(): void }) {
  const query = useQuery({ queryKey: ["case", id], queryFn: ({ signal }) => calls.one(id, signal) });
  const [asked, setAsked] = useState<Decision["ruling"] | null>(null);
  const found = query.data;
  return (
    <SidePanel title={found ? `Case of ${found.party}` : "Case"} onClose={onClose} isCovered={asked !== null}>
      <QueryState what="case" query={query} />
      {found ? (
        <CaseBody found={found}>
          <CaseDecision found={found} calls={calls} asked={asked} onAsk={setAsked} />
        </CaseBody>
      ) : null}
    </SidePanel>
  );
}

function CaseBody({ found, children }: { found: CaseReply; children: ReactNode }) {
  const { evidence } = found;
  const look = caseLook(found);
  return (
    <>
      <p className="invariants">
        <Badge tone={look.tone}>{look.label}</Badge>
        <span className="muted">{caseTitle(found)}</span>
      </p>
      <dl className="facts">
        <dt>Case</dt>
        <dd className="mono wrap-anywhere">{found.case}</dd>
        <dt>Opened</dt>
        <dd>
          <Moment at={found.opened_at} />
        </dd>
        <dt>{found.closed_at === null ? "Rule by" : "Closed"}</dt>
        <dd>
          <Moment at={found.closed_at ?? found.due_at} />
        </dd>
        {evidence.kind === "suspension" ? (
          <>
            <dt>Strikes</dt>
            <dd>{numberText(evidence.strikes)}, 9.2 suspends</dd>
          </>
        ) : null}
      </dl>
      {found.state === "open" ? children : <Outcome found={found} />}
      {evidence.kind === "report" ? <Report evidence={evidence} /> : <Suspension evidence={evidence} />}
      <h3 className="panel-title">Audit log</h3>
      <ol className="entries small">
        {found.audit.map((line) => (
          <li key={line.cursor}>
            <strong>{line.action}</strong> by {line.actor}
            <div className="muted">
              <Moment at={line.at} />
            </div>
          </li>
        ))}
      </ol>
    </>
  );
}

function Outcome({ found }: { found: CaseReply }) {
  const decided = found.audit.find(({ action }) => action === "case-decided");
  const moved = (["slashed", "returned", "interest"] as const).flatMap((name) => {
    const nano = decided?.detail[name];
    return typeof nano === "string" && nano !== "0" ? [`${name} ${numberText(Number(nano) / 1_000)} µUSDC`] : [];
  });
  return (
    <div className="callout" data-tone={caseLook(found).tone === "good" ? "good" : undefined} data-testid="outcome">
      <p>
        <strong>{found.ruling ?? "withdrawn"}</strong>
        {found.reviewer ? ` by ${found.reviewer}` : ""}: {found.reason}
      </p>
      {found.ruling ? <p>{moved.length > 0 ? `Moved: ${moved.join(", ")}.` : "No money moved."}</p> : null}
    </div>
  );
}

type Evidence = CaseReply["evidence"];

function Report({ evidence }: { evidence: Extract<Evidence, { kind: "report" }> }) {
  return (
    <>
      <h3 className="panel-title">What the customer says</h3>
      <blockquote className="callout">{evidence.complaint}</blockquote>
      <h3 className="panel-title">The answer</h3>
      <dl className="facts">
        <dt>Model</dt>
        <dd className="mono">{evidence.model}</dd>
        <dt>Level</dt>
        <dd>{evidence.level}</dd>
        <dt>Basis</dt>
        <dd>
          {evidence.basis ?? "–"}, {evidence.executions} {evidence.executions === 1 ? "execution" : "executions"}
        </dd>
        <dt>Settled</dt>
        <dd>
          <Moment at={evidence.settled_at} />
        </dd>
        <dt>Inputs</dt>
        <dd className="mono wrap-anywhere">{evidence.input_hash}</dd>
        <dt>Answer</dt>
        <dd className="mono wrap-anywhere">{evidence.commitment}</dd>
      </dl>
      {evidence.exchange ? (
        <ExchangeView exchange={evidence.exchange} />
      ) : (
        <p className="muted small" data-testid="hashes-only">
          Question and answer were no longer kept when it was reported: only these hashes remain. Whoever reported it
          can show both, and the hashes prove them.
        </p>
      )}
    </>
  );
}

function Suspension({ evidence }: { evidence: Extract<Evidence, { kind: "suspension" }> }) {
  return (
    <>
      <h3 className="panel-title">Refuted results</h3>
      {evidence.exhibits.map((exhibit, place) => (
        <ExhibitCard
          key={`${exhibit.at} ${exhibit.commitment} ${exhibit.input_hash}`}
          exhibit={exhibit}
          number={place + 1}
        />
      ))}
      <h3 className="panel-title">Passes and mismatches, oldest first</h3>
      <ScrollRegion label="Passes and mismatches">
        <table className="data">
          <thead>
            <tr>
              <th>When</th>
              <th>What</th>
              <th className="number">Strikes after</th>
            </tr>
          </thead>
          <tbody>
            {evidence.history.map((line) => (
              <tr key={`${line.at} ${line.kind} ${line.strikes}`}>
                <td className="muted small">
                  <Moment at={line.at} />
                </td>
                <td>{historyText(line)}</td>
                <td className="number">{numberText(line.strikes)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </ScrollRegion>
    </>
  );
}
