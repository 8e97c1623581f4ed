import { memo } from "react";
import type { Device, SessionRole } from "../../shared/protocol.ts";
import { Badge } from "../ui/badge.tsx";
import { Card } from "../ui/card.tsx";
import { bytesText } from "../ui/quantity-text.ts";
import type { DeviceProbe } from "./device-probe.ts";

/**
 * The machine as this page sees it before Start (`probe`) and as the miner uses it after (`device`, with `note` saying
 * why WebGPU is not used).
 */
export const DeviceCard = memo(function DeviceCard(props: {
  probe: DeviceProbe | null;
  device: Device | null;
  note: string | null;
  role: SessionRole;
}) {
  const { probe, device, note, role } = props;
  const onGpu = device ? device.runtime === "webgpu" : probe?.webgpu;
  return (
    <Card
      title="This machine"
      aside={onGpu === undefined ? null : <Runtime onGpu={onGpu} software={device?.fallback} />}
    >
      {probe === null && device === null ? <p className="muted">Asking the browser what it offers…</p> : null}
      <dl className="facts">
        {device ? (
          <>
            <dt>Adapter</dt>
            <dd>{device.adapter}</dd>
            <dt>Memory budget</dt>
            <dd>{bytesText(device.memoryBytes)}</dd>
          </>
        ) : probe?.webgpu ? (
          <>
            <dt>Adapter</dt>
            <dd>{probe.adapter}</dd>
          </>
        ) : null}
        {onGpu && probe?.webgpu
          ? probe.limits.map((limit) => (
              <div key={limit.label} style={{ display: "contents" }}>
                <dt>{limit.label}</dt>
                <dd>{bytesText(limit.bytes)}</dd>
              </div>
            ))
          : null}
        {device && device.features.length > 0 ? (
          <>
            <dt>Features</dt>
            <dd>
              <details>
                <summary>{device.features.length} of WebGPU</summary>
                <span className="small">{device.features.join(", ")}</span>
              </details>
            </dd>
          </>
        ) : null}
        {device ? (
          <>
            <dt>Engine</dt>
            <dd>ONNX Runtime Web {device.ortVersion}</dd>
          </>
        ) : null}
      </dl>
      {device ? (
        note ? (
          <p className="callout" data-tone="busy">
            {note}
          </p>
        ) : null
      ) : probe && !probe.webgpu ? (
        <p className="callout" data-tone="busy">
          {probe.problem}{" "}
          {role === "validator"
            ? "Checking needs none: it runs on the processor."
            : "You can start anyway: work then runs on the processor and earns less."}
        </p>
      ) : null}
    </Card>
  );
});

function Runtime({ onGpu, software }: { onGpu: boolean; software: boolean | undefined }) {
  if (!onGpu) return <Badge tone="busy">Processor (WebAssembly)</Badge>;
  return software ? <Badge tone="busy">WebGPU, software adapter</Badge> : <Badge tone="good">GPU (WebGPU)</Badge>;
}
