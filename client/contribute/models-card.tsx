import "@mantine/core/styles/Progress.layer.css";
import { Progress } from "@mantine/core";
import { memo } from "react";
import type { ModelView } from "../miner/contract.ts";
import { Badge, type Tone } from "../ui/badge.tsx";
import { Card } from "../ui/card.tsx";
import { EmptyState } from "../ui/empty-state.tsx";
import { bytesText, durationText } from "../ui/quantity-text.ts";

const looks: Record<ModelView["state"], { label: string; tone: Tone }> = {
  downloading: { label: "Downloading", tone: "busy" },
  preparing: { label: "Proving", tone: "busy" },
  admitted: { label: "Admitted", tone: "good" },
  refused: { label: "Refused", tone: "bad" },
};

export const ModelsCard = memo(function ModelsCard({ models }: { models: ModelView[] }) {
  return (
    <Card title="Models" className="models">
      {models.length === 0 ? (
        <EmptyState title="No model yet">The hub names the models that it needs here.</EmptyState>
      ) : (
        <ul className="model-list">
          {models.map((model) => (
            <li key={model.key}>
              <div className="model-line">
                <span>
                  <strong>{model.title}</strong> <span className="muted small wrap-anywhere">{model.key}</span>
                </span>
                <Badge tone={looks[model.state].tone}>{looks[model.state].label}</Badge>
              </div>
              {model.state === "downloading" ? <Download model={model} /> : null}
              {model.state === "preparing" ? (
                <p className="muted small">Loaded; computing the hub's known-answer examples.</p>
              ) : null}
              {model.state === "admitted" ? (
                <p className="muted small">
                  {bytesText(model.bytesTotal)}
                  {model.serviceMs === null ? "" : ` · ${durationText(model.serviceMs)} per run here`}
                </p>
              ) : null}
              {model.problem ? <p className="small bad-text wrap-anywhere">{model.problem}</p> : null}
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
});

function Download({ model }: { model: ModelView }) {
  const share = model.bytesTotal > 0 ? model.bytesDone / model.bytesTotal : 0;
  const speed = model.bytesPerSecond === null ? "" : ` · ${bytesText(Math.round(model.bytesPerSecond))}/s`;
  const rest = model.etaMs === null ? "" : ` · ${durationText(model.etaMs)} left`;
  return (
    <>
      <Progress value={share * 100} aria-label={`Download of ${model.title}`} size="sm" color="var(--busy-fill)" />
      <p className="muted small">
        {bytesText(model.bytesDone)} of {bytesText(model.bytesTotal)}
        {speed}
        {rest}
      </p>
    </>
  );
}
