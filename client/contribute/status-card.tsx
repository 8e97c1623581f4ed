import { Button } from "@mantine/core";
import { memo } from "react";
import type { MinerView } from "../miner/contract.ts";
import { durationText } from "../ui/quantity-text.ts";
import { useNow } from "../ui/use-now.ts";
import { controlsOf, seenText, statusOf, suggestsDemo, textProgress } from "./status-text.ts";
import type { MinerPage } from "./use-miner.ts";
import { WorkGrid } from "./work-grid.tsx";

/** What the miner does now and why, and the buttons that change it. */
export function StatusCard({ page, view, localHub }: { page: MinerPage; view: MinerView; localHub: boolean }) {
  const status = statusOf(view);
  return (
    <section className="card status" data-tone={status.tone} data-state={view.state} aria-label="State">
      <div className="status-line">
        <div className="status-words" role="status" aria-live="polite" data-testid="status">
          <h1>{status.label}</h1>
          <p className="muted">{status.sentence}</p>
        </div>
        <ControlButtons
          state={view.state}
          role={view.role}
          atWork={view.current.length > 0}
          start={page.start}
          command={page.command}
        />
      </div>
      <WorkGrid work={view.work} underWay={view.current.map(({ assignment }) => assignment).join(" ")} />
      {suggestsDemo(view, localHub) ? (
        <p className="callout">
          {view.role === "validator"
            ? "Nothing to check yet. Let another tab compute answers, and ask for some in another terminal: "
            : "No requests yet. In another terminal: "}
          <code className="command">npm run demo</code>
        </p>
      ) : (
        <CurrentTasks view={view} />
      )}
      <Seen view={view} />
      {page.fault ? (
        <p className="callout" data-tone="bad" role="alert">
          {page.fault}
        </p>
      ) : null}
    </section>
  );
}

/** Availability is paid for: whoever is paid sees what it is paid by. */
function Seen({ view: { seen, role } }: { view: MinerView }) {
  const now = useNow();
  const text = seen && role === "miner" ? seenText(seen, now) : null;
  return text ? (
    <p className="muted small" data-testid="seen">
      {text}
    </p>
  ) : null;
}

interface ControlButtonsProps extends Pick<MinerView, "state" | "role">, Pick<MinerPage, "start" | "command"> {
  atWork: boolean;
}

const ControlButtons = memo(function ControlButtons({ state, role, atWork, start, command }: ControlButtonsProps) {
  const controls = controlsOf(state);
  return (
    <div className="controls">
      {controls.start ? (
        <Button size="lg" data-testid="start" onClick={start}>
          Start again
        </Button>
      ) : null}
      {controls.pause ? (
        <Button size="lg" data-testid="pause" onClick={() => command("pause")}>
          Pause
        </Button>
      ) : null}
      {controls.resume ? (
        <Button size="lg" data-testid="pause" onClick={() => command("resume")}>
          Resume
        </Button>
      ) : null}
      {controls.finish ? (
        <Button size="lg" variant="default" data-testid="finish" onClick={() => command("finishThenStop")}>
          {atWork ? `Finish this ${role === "validator" ? "check" : "task"}, then stop` : "Stop"}
        </Button>
      ) : null}
      {controls.stop ? (
        <Button size="lg" variant="default" data-testid="stop" onClick={() => command("stop")}>
          {state === "draining" ? "Stop now" : "Stop"}
        </Button>
      ) : null}
    </div>
  );
});

function CurrentTasks({ view }: { view: MinerView }) {
  const now = useNow();
  if (view.current.length === 0) return <p className="muted small current">No task under way.</p>;
  return (
    <ul className="current small">
      {view.current.map((task) => (
        <li key={task.assignment}>
          <span className="mono">{task.model}</span>
          <span className="muted mono task-id">{task.assignment}</span>
          {task.text ? <span data-testid="text-progress">{textProgress(task.text)}</span> : null}
          <span className="muted">{durationText(Math.max(0, now - task.sinceMs))}</span>
        </li>
      ))}
    </ul>
  );
}
