import "@mantine/core/styles/Input.layer.css";
import { Button, NativeSelect } from "@mantine/core";
import { useState } from "react";
import type { ConsoleTask } from "../../shared/console-protocol.ts";
import { Badge } from "../ui/badge.tsx";
import { Card } from "../ui/card.tsx";
import { EmptyState } from "../ui/empty-state.tsx";
import { Moment } from "../ui/moment.tsx";
import { Money } from "../ui/money.tsx";
import { countText, durationText } from "../ui/quantity-text.ts";
import { TimeAgo } from "../ui/time-ago.tsx";
import { useNow } from "../ui/use-now.ts";
import { type Feed, feedLimits } from "./feed.ts";
import { SidePanel } from "./side-panel.tsx";
import { shortId, taskTones } from "./state-look.ts";

const PAGE_ROWS = 50;
const any = "";

export function TasksView({ feed }: { feed: Feed }) {
  const [state, setState] = useState(any);
  const [model, setModel] = useState(any);
  const [shown, setShown] = useState(PAGE_ROWS);
  const [open, setOpen] = useState<string | null>(null);
  const now = useNow();
  const tasks = [...feed.tasksById.values()];
  const rows = tasks.filter((task) => (!state || task.state === state) && (!model || task.model === model));
  const choices = (values: string[], all: string) => [
    { value: any, label: all },
    ...[...new Set(values)].sort().map((value) => ({ value, label: value })),
  ];
  return (
    <Card title="Tasks" aside={`the last ${countText(tasks.length)}, at most ${countText(feedLimits.tasks)}`}>
      {tasks.length === 0 ? (
        <EmptyState title="No request yet">
          In another terminal: <code className="command">npm run demo</code>
        </EmptyState>
      ) : (
        <>
          <div className="filters">
            <NativeSelect
              aria-label="State"
              value={state}
              data={choices([...tasks.map((task) => task.state), ...(state ? [state] : [])], "Any state")}
              onChange={(event) => setState(event.currentTarget.value)}
            />
            <NativeSelect
              aria-label="Model"
              value={model}
              data={choices([...tasks.map((task) => task.model), ...(model ? [model] : [])], "Any model")}
              onChange={(event) => setModel(event.currentTarget.value)}
            />
            <span className="muted small">{countText(rows.length)} match</span>
          </div>
          {rows.length === 0 ? (
            <EmptyState title="None of these tasks match">Choose another state or model.</EmptyState>
          ) : (
            <div className="scroll">
              <table className="data rows">
                <thead>
                  <tr>
                    <th>When</th>
                    <th>Task</th>
                    <th>State</th>
                    <th>Model</th>
                    <th>Level</th>
                    <th>Basis</th>
                    <th>Took</th>
                    <th className="number">Price</th>
                  </tr>
                </thead>
                <tbody>
                  {rows.slice(0, shown).map((task) => (
                    <TaskRow key={task.task} task={task} now={now} onOpen={() => setOpen(task.task)} />
                  ))}
                </tbody>
              </table>
            </div>
          )}
          {rows.length > shown ? (
            <Button variant="default" onClick={() => setShown(shown + PAGE_ROWS)}>
              Show {Math.min(PAGE_ROWS, rows.length - shown)} more
            </Button>
          ) : null}
        </>
      )}
      {open === null ? null : <TaskPanel task={feed.tasksById.get(open)} onClose={() => setOpen(null)} />}
    </Card>
  );
}

function TaskRow({ task, now, onOpen }: { task: ConsoleTask; now: number; onOpen(): void }) {
  const last = task.timeline.length > 1 ? task.timeline.at(-1) : undefined;
  return (
    <tr>
      <td className="muted">
        <TimeAgo at={task.submittedAt} now={now} />
      </td>
      <td>
        <button type="button" className="open mono" onClick={onOpen} aria-label={`Timeline of ${task.task}`}>
          {shortId(task.task)}
        </button>
      </td>
      <td>
        <Badge tone={taskTones[task.state]}>{task.state}</Badge>
      </td>
      <td className="mono">{task.model}</td>
      <td>{task.level}</td>
      <td className="muted">{task.basis ?? "–"}</td>
      <td className="muted">{last ? durationText(Math.max(0, last.at - task.submittedAt)) : "–"}</td>
      <td className="number">
        <Money nano={task.price} />
      </td>
    </tr>
  );
}

function TaskPanel({ task, onClose }: { task: ConsoleTask | undefined; onClose(): void }) {
  if (!task) {
    return (
      <SidePanel title="Task" onClose={onClose}>
        <EmptyState title="No longer listed">The console keeps the newest tasks; the API has them all.</EmptyState>
      </SidePanel>
    );
  }
  return (
    <SidePanel title={`Task ${shortId(task.task)}`} onClose={onClose}>
      <p className="invariants">
        <Badge tone={taskTones[task.state]}>{task.state}</Badge>
        {task.basis ? <span className="muted">basis of the verdict: {task.basis}</span> : null}
      </p>
      <dl className="facts">
        <dt>Task</dt>
        <dd className="mono wrap-anywhere">{task.task}</dd>
        <dt>Model</dt>
        <dd className="mono">{task.model}</dd>
        <dt>Customer</dt>
        <dd className="mono wrap-anywhere">{task.customer}</dd>
        <dt>Level</dt>
        <dd>{task.level}</dd>
        <dt>Price</dt>
        <dd>
          <Money nano={task.price} />
        </dd>
        <dt>Submitted</dt>
        <dd>
          <Moment at={task.submittedAt} />
        </dd>
      </dl>
      <h2 className="panel-title">Timeline</h2>
      <ol className="timeline">
        {task.timeline.map((entry, place) => (
          <li key={`${entry.at} ${entry.what}`} data-last={place === task.timeline.length - 1 || undefined}>
            <span className="muted small">+{durationText(Math.max(0, entry.at - task.submittedAt))}</span>
            <span className="wrap-anywhere">{entry.what}</span>
          </li>
        ))}
      </ol>
    </SidePanel>
  );
}
