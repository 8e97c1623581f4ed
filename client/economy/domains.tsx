import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { type DomainReply, type DomainsReply, domainsSchema } from "../../shared/economy-api.ts";
import { QueryState } from "../console/query-state.tsx";
import { Card } from "../ui/card.tsx";
import { DomainSettings } from "./domain-settings.tsx";
import type { HubCalls } from "./hub-calls.ts";

/** Every domain with what holds in it. `viewer`: a customer, null is the operator; each changes its own. */
export function Domains({ calls, viewer }: { calls: HubCalls; viewer: string | null }) {
  const domains = useQuery({
    queryKey: ["domains"],
    queryFn: ({ signal }) => calls.get(domainsSchema, "/domains", signal),
  });
  const { data } = domains;
  return (
    <>
      <QueryState what="domains" query={domains} />
      {data?.data.map((domain) => (
        <Domain key={domain.domain} domain={domain} epoch={data.epoch} calls={calls} viewer={viewer} />
      ))}
    </>
  );
}

function Domain(props: { domain: DomainReply; epoch: DomainsReply["epoch"]; calls: HubCalls; viewer: string | null }) {
  const { domain, epoch, calls, viewer } = props;
  const [isOpen, setOpen] = useState(false);
  // What would hold in the next epoch if nobody changed it.
  const settings = domain.planned.find(({ from }) => from === epoch + 1)?.settings ?? domain.settings;
  const isOwn = domain.owner === viewer;
  const whose = domain.owner === null ? "run by the operator" : `owned by ${isOwn ? "you" : domain.owner}`;
  return (
    <Card title={domain.title} aside={<span className="mono">{domain.domain}</span>}>
      <p className="small wrap-anywhere">
        {whose}; {domain.models.length} {domain.models.length === 1 ? "version" : "versions"}:{" "}
        <span className="mono">{domain.models.join(", ") || "none yet"}</span>
      </p>
      {domain.planned.map(({ from, by }) => (
        <p className="callout wrap-anywhere" key={from}>
          A change by {by} takes effect in epoch {from}. It does not reach back.
        </p>
      ))}
      {settings ? (
        <details open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
          <summary>Settings{isOwn ? ", to change" : ", as its owner set them"}</summary>
          {isOpen ? (
            <DomainSettings domain={domain} settings={settings} epoch={epoch} calls={calls} isReadOnly={!isOwn} />
          ) : null}
        </details>
      ) : (
        <p className="muted small">Nothing holds in it yet: its settings begin with a later epoch.</p>
      )}
    </Card>
  );
}
