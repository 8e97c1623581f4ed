import "@mantine/core/styles/Slider.layer.css";
import "@mantine/core/styles/Input.layer.css";
import "@mantine/core/styles/InlineInput.layer.css";
import "@mantine/core/styles/Switch.layer.css";
import { Button, NativeSelect, Slider, Switch } from "@mantine/core";
import { memo, useState } from "react";
import { limits, MIB } from "../../shared/limits.ts";
import type { SessionRole } from "../../shared/protocol.ts";
import { type MinerSettings, roleDefaults } from "../miner/contract.ts";
import { Card } from "../ui/card.tsx";
import { bytesText, percentText } from "../ui/quantity-text.ts";
import { roleTexts } from "./role-choice.tsx";
import type { MinerCommands } from "./use-miner.ts";

interface SettingsCardProps extends Pick<MinerCommands, "configure" | "command"> {
  settings: MinerSettings;
  /** null before Start. */
  cacheBytes: number | null;
  dutyNow: number | null;
}

const diskChoices = [256, 512, 1024, 2048, 4096, 8192, 16_384].map((size) => size * MIB);

const runtimeChoices: { value: MinerSettings["runtime"]; label: string }[] = [
  { value: "webgpu", label: "GPU if there is one" },
  { value: "wasm", label: "Processor only" },
  { value: "software", label: "Software GPU (slow, for tests)" },
];

/** The limits that a person sets; they hold from the next task on. */
export const SettingsCard = memo(function SettingsCard(props: SettingsCardProps) {
  const { settings, configure, command, cacheBytes, dutyNow } = props;
  return (
    <Card title="Limits" className="settings">
      <Duty duty={settings.duty} dutyNow={dutyNow} onChange={(duty) => configure({ duty })} />
      <div className="switches">
        <Switch
          label="Pause on battery"
          checked={settings.pauseOnBattery}
          onChange={(event) => configure({ pauseOnBattery: event.currentTarget.checked })}
        />
        <Switch
          label="Pause on metered connections"
          checked={settings.pauseOnMetered}
          onChange={(event) => configure({ pauseOnMetered: event.currentTarget.checked })}
        />
        <IdleOnly on={settings.pauseWhenActive} onChange={(pauseWhenActive) => configure({ pauseWhenActive })} />
        <Hours hours={settings.hours} onChange={(hours) => configure({ hours })} />
      </div>
      <div className="choices">
        {cacheBytes !== null ? (
          <NativeSelect
            label="This tab is here to"
            data-testid="role"
            value={settings.role}
            data={Object.entries(roleTexts).map(([value, { title }]) => ({ value, label: title.toLowerCase() }))}
            onChange={(event) => configure(roleDefaults[event.currentTarget.value as SessionRole])}
          />
        ) : null}
        <NativeSelect
          label="Runs on"
          value={settings.runtime}
          data={runtimeChoices}
          onChange={(event) => configure({ runtime: event.currentTarget.value as MinerSettings["runtime"] })}
        />
        {settings.role === "validator" ? null : (
          <NativeSelect
            label="Tasks at once"
            value={String(settings.slots)}
            data={Array.from({ length: limits.slotsMax }, (_, index) => String(index + 1))}
            onChange={(event) => configure({ slots: Number(event.currentTarget.value) })}
          />
        )}
        <NativeSelect
          label="Disk for models"
          value={String(settings.diskBytes)}
          data={[...new Set([...diskChoices, settings.diskBytes])]
            .sort((a, b) => a - b)
            .map((bytes) => ({ value: String(bytes), label: bytesText(bytes) }))}
          onChange={(event) => configure({ diskBytes: Number(event.currentTarget.value) })}
        />
      </div>
      {cacheBytes !== null ? (
        <div className="cache">
          <span className="muted">{bytesText(cacheBytes)} of models kept in this browser</span>
          <Button variant="default" size="xs" disabled={cacheBytes === 0} onClick={() => command("clearCache")}>
            Delete them
          </Button>
        </div>
      ) : null}
    </Card>
  );
});

function Duty(props: { duty: number; dutyNow: number | null; onChange(duty: number): void }) {
  const [dragged, setDragged] = useState<number | null>(null);
  const shown = dragged ?? props.duty;
  const slowed = props.dutyNow !== null && props.dutyNow < props.duty - 0.005;
  return (
    <div>
      <div className="duty-line">
        <span>Compute at most</span>
        <strong>{percentText(shown)} of the time</strong>
      </div>
      <Slider
        min={0.1}
        max={1}
        step={0.05}
        label={null}
        value={shown}
        thumbLabel="Share of time that may be computed"
        thumbProps={{ "aria-valuetext": percentText(shown) }}
        onChange={setDragged}
        onChangeEnd={(duty) => {
          setDragged(null);
          props.onChange(duty);
        }}
      />
      {slowed && props.dutyNow !== null ? (
        <p className="muted small">Now at {percentText(props.dutyNow)}, to keep this machine responsive.</p>
      ) : null}
    </div>
  );
}

/** The idle-detection API is Chromium's alone and asks the person; where it is missing the switch is not shown. */
interface IdlePermission {
  requestPermission(): Promise<"granted" | "denied">;
}

function IdleOnly({ on, onChange }: { on: boolean; onChange(on: boolean): void }) {
  const [denied, setDenied] = useState(false);
  const detector = (globalThis as { IdleDetector?: IdlePermission }).IdleDetector;
  if (!detector) return null;
  return (
    <Switch
      label="Pause while I use this machine"
      description={denied ? "The browser was not allowed to tell when you are away." : undefined}
      checked={on}
      onChange={async (event) => {
        const wanted = event.currentTarget.checked;
        const granted = !wanted || (await detector.requestPermission().catch(() => "denied")) === "granted";
        setDenied(!granted);
        onChange(wanted && granted);
      }}
    />
  );
}

const hourChoices = Array.from({ length: 24 }, (_, hour) => ({
  value: String(hour),
  label: `${String(hour).padStart(2, "0")}:00`,
}));
const night: MinerSettings["hours"] = [22, 7];

function Hours({ hours, onChange }: { hours: MinerSettings["hours"]; onChange(hours: MinerSettings["hours"]): void }) {
  const [from, to] = hours;
  const limited = from !== to;
  return (
    <fieldset className="hours">
      <legend className="unseen">Hours</legend>
      <Switch
        label="Only at certain hours"
        checked={limited}
        onChange={(event) => onChange(event.currentTarget.checked ? night : [0, 0])}
      />
      {limited ? (
        <div className="hours-range">
          <NativeSelect
            aria-label="From"
            value={String(from)}
            data={hourChoices.filter((hour) => hour.value !== String(to))}
            onChange={(event) => onChange([Number(event.currentTarget.value), to])}
          />
          <span className="muted">to</span>
          <NativeSelect
            aria-label="To"
            value={String(to)}
            data={hourChoices.filter((hour) => hour.value !== String(from))}
            onChange={(event) => onChange([from, Number(event.currentTarget.value)])}
          />
        </div>
      ) : null}
    </fieldset>
  );
}
