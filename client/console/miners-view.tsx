import { useState } from "react";
import type { ConsoleMiner } from "../../shared/console-protocol.ts";
import { Badge } from "../ui/badge.tsx";
import { Card } from "../ui/card.tsx";
import { EmptyState } from "../ui/empty-state.tsx";
import { Money } from "../ui/money.tsx";
import { countText, durationText } from "../ui/quantity-text.ts";
import { TimeAgo } from "../ui/time-ago.tsx";
import { useNow } from "../ui/use-now.ts";
import type { Feed } from "./feed.ts";
import { SidePanel } from "./side-panel.tsx";
import { SortableHead } from "./sortable-head.tsx";
import { type Column, type Order, sortRows } from "./sorting.ts";
import { minerTones, modelTones, shortId } from "./state-look.ts";

const columns: Column<ConsoleMiner>[] = [
  { id: "miner", label: "Miner", value: (miner) => miner.miner },
  { id: "role", label: "Part", value: (miner) => miner.role },
  { id: "state", label: "State", value: (miner) => miner.state },
  { id: "adapter", label: "Runs on", value: (miner) => `${miner.runtime} ${miner.adapter}` },
  { id: "trust", label: "Trust", value: (miner) => miner.trust },
  { id: "inFlight", label: "In flight", value: (miner) => miner.inFlight },
  { id: "models", label: "Models", value: (miner) => miner.models.length },
  { id: "accepted", label: "Accepted", value: (miner) => miner.accepted, right: true },
  { id: "refuted", label: "Refuted", value: (miner) => miner.refuted, right: true },
  { id: "earned", label: "Earned", value: (miner) => BigInt(miner.earned), right: true },
  { id: "connectedAt", label: "Since", value: (miner) => miner.connectedAt },
];

const roleLabels: Record<ConsoleMiner["role"], string> = { miner: "answers", validator: "checks only" };

export function MinersView({ feed }: { feed: Feed }) {
  const [order, setOrder] = useState<Order>({ column: "accepted", descending: true });
  const [open, setOpen] = useState<string | null>(null);
  const now = useNow();
  const rows = sortRows([...feed.minersBySession.values()], columns, order);
  return (
    <Card title="Miners" aside={`${countText(rows.length)} connected`}>
      {rows.length === 0 ? (
        <EmptyState title="No miner is connected">
          <a href="/">Open the contribute page</a> in a tab and press Start.
        </EmptyState>
      ) : (
        <div className="scroll">
          <table className="data rows">
            <SortableHead columns={columns} order={order} onOrder={setOrder} />
            <tbody>
              {rows.map((miner) => (
                <MinerRow key={miner.session} miner={miner} now={now} onOpen={() => setOpen(miner.session)} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {open === null ? null : (
        <MinerPanel miner={feed.minersBySession.get(open)} now={now} onClose={() => setOpen(null)} />
      )}
    </Card>
  );
}

function MinerRow({ miner, now, onOpen }: { miner: ConsoleMiner; now: number; onOpen(): void }) {
  const admitted = miner.models.filter((model) => model.state === "admitted").length;
  return (
    <tr>
      <td>
        <button type="button" className="open mono" onClick={onOpen} aria-label={`Details of ${miner.miner}`}>
          {shortId(miner.miner)}
        </button>
      </td>
      <td>{miner.role === "validator" ? <Badge tone="idle">{roleLabels.validator}</Badge> : roleLabels.miner}</td>
      <td>
        <Badge tone={minerTones[miner.state]}>{miner.state}</Badge>
        {miner.reason ? <div className="muted small">{miner.reason}</div> : null}
      </td>
      <td>
        {miner.adapter}
        <div className="muted small">
          {miner.runtime}
          {miner.fallback ? ", software" : ""}
        </div>
      </td>
      <td className={miner.trust < 0.2 ? "bad-text" : ""}>{miner.trust.toFixed(2)}</td>
      <td>
        {miner.inFlight} <span className="muted small">of {miner.slots}</span>
      </td>
      <td>
        {admitted} <span className="muted small">of {miner.models.length}</span>
      </td>
      <td className="number">{countText(miner.accepted)}</td>
      <td className={`number ${miner.refuted > 0 ? "bad-text" : ""}`}>{countText(miner.refuted)}</td>
      <td className="number">
        <Money nano={miner.earned} />
      </td>
      <td className="muted">
        <TimeAgo at={miner.connectedAt} now={now} />
      </td>
    </tr>
  );
}

/** Whether it was there when validators looked. */
function Attested({ seen: { present, absent, at }, now }: { seen: ConsoleMiner["seen"]; now: number }) {
  if (present + absent === 0) return <span className="muted">no validator has looked yet</span>;
  return (
    <>
      here {countText(present)} of {countText(present + absent)} times
      {at === null ? null : (
        <span className="muted">
          , last <TimeAgo at={at} now={now} />
        </span>
      )}
    </>
  );
}

function MinerPanel(props: { miner: ConsoleMiner | undefined; now: number; onClose(): void }) {
  const { miner, now, onClose } = props;
  if (!miner) {
    return (
      <SidePanel title="Miner" onClose={onClose}>
        <EmptyState title="This miner has left">Its connection ended; its earnings stay in the ledger.</EmptyState>
      </SidePanel>
    );
  }
  return (
    <SidePanel title={`Miner ${shortId(miner.miner)}`} onClose={onClose}>
      <p className="invariants">
        <Badge tone={minerTones[miner.state]}>{miner.state}</Badge>
        <span className="muted">{miner.reason}</span>
      </p>
      <dl className="facts">
        <dt>Miner</dt>
        <dd className="mono wrap-anywhere">{miner.miner}</dd>
        <dt>Owner</dt>
        <dd className="mono wrap-anywhere">{miner.owner}</dd>
        <dt>Session</dt>
        <dd className="mono wrap-anywhere">{miner.session}</dd>
        <dt>Part</dt>
        <dd>{roleLabels[miner.role]}</dd>
        <dt>Network</dt>
        <dd className="mono">{miner.network}</dd>
        <dt>Runs on</dt>
        <dd>
          {miner.adapter} ({miner.runtime}
          {miner.fallback ? ", software adapter" : ""})
        </dd>
        <dt>Trust</dt>
        <dd>{miner.trust.toFixed(3)}</dd>
        <dt>In flight</dt>
        <dd>
          {miner.inFlight}, {miner.slots} {miner.slots === 1 ? "slot" : "slots"}
        </dd>
        <dt>Accepted</dt>
        <dd>{countText(miner.accepted)}</dd>
        <dt>Refuted</dt>
        <dd>{countText(miner.refuted)}</dd>
        <dt>Attested</dt>
        <dd data-testid="attested">
          <Attested seen={miner.seen} now={now} />
        </dd>
        <dt>Earned</dt>
        <dd>
          <Money nano={miner.earned} />
        </dd>
        <dt>Connected</dt>
        <dd>
          <TimeAgo at={miner.connectedAt} now={now} />
        </dd>
      </dl>
      <h2 className="panel-title">Models</h2>
      {miner.models.length === 0 ? (
        <EmptyState title="None yet" />
      ) : (
        <ul className="panel-list">
          {miner.models.map((model) => (
            <li key={model.model}>
              <span className="mono">{model.model}</span>
              <span className="muted small">
                {model.serviceMs === null ? "" : `${durationText(model.serviceMs)} per run`}
              </span>
              <Badge tone={modelTones[model.state]}>{model.state}</Badge>
            </li>
          ))}
        </ul>
      )}
    </SidePanel>
  );
}
