import { Button } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { z } from "zod";
import { epochSchema, epochsSchema, previewSchema } from "../../shared/epoch-api.ts";
import type { HubCalls } from "../economy/hub-calls.ts";
import { unitText } from "../economy/units.ts";
import { Badge, type Tone } from "../ui/badge.tsx";
import { Card } from "../ui/card.tsx";
import { ScrollRegion } from "../ui/scroll-region.tsx";
import { QueryState } from "./query-state.tsx";

type Epoch = z.infer<typeof epochsSchema>["data"][number];
type Preview = z.infer<typeof previewSchema>;

/** Closing an epoch: preview what it would post, approve exactly that, close. */
export function EpochsView({ calls }: { calls: HubCalls }) {
  const epochs = useQuery({
    queryKey: ["epochs"],
    queryFn: ({ signal }) => calls.get(epochsSchema, "/epochs?limit=20", signal),
  });
  // The oldest that is not closed: a fenced epoch stands beside the one that runs since.
  const [current, ...others] = (epochs.data?.data ?? []).toSorted((a, b) => {
    return (
      Number(a.state === "closed") - Number(b.state === "closed") ||
      (a.state === "closed" ? b.epoch - a.epoch : a.epoch - b.epoch)
    );
  });
  return (
    <>
      <QueryState what="epochs" query={epochs} />
      {current ? <Current epoch={current} calls={calls} /> : null}
      {others.map((epoch) => (
        <Past key={epoch.epoch} epoch={epoch} />
      ))}
    </>
  );
}

const tones: Record<Epoch["state"], Tone> = { open: "idle", previewed: "busy", approved: "busy", closed: "good" };

function Current({ epoch, calls }: { epoch: Epoch; calls: HubCalls }) {
  const [shown, setShown] = useState<Preview | null>(null);
  const queries = useQueryClient();
  const path = `/epochs/${epoch.epoch}`;
  const again = () => queries.invalidateQueries();
  const preview = useMutation({
    mutationFn: () => calls.send(previewSchema, "POST", `${path}/preview`, {}),
    onSuccess: (plan) => {
      setShown(plan);
      return again();
    },
  });
  const approve = useMutation({
    mutationFn: (digest: string) => calls.send(epochSchema, "POST", `${path}/approve`, { digest }),
    onSuccess: again,
  });
  const close = useMutation({
    mutationFn: () => calls.send(epochSchema, "POST", `${path}/close`, {}),
    onSuccess: () => {
      setShown(null);
      return again();
    },
  });
  const problem = preview.error ?? approve.error ?? close.error;
  const digest = shown?.epoch.digest ?? null;
  return (
    <Card title={`Epoch ${epoch.epoch}`} aside={<Badge tone={tones[epoch.state]}>{epoch.state}</Badge>}>
      <p className="small">
        Opened {new Date(epoch.opened_at).toLocaleString()}. A preview fences it: what is posted later belongs to the
        next one. Nothing is posted before the plan that was shown is approved and closed.
      </p>
      {epoch.plan ? <Plan plan={epoch.plan} /> : null}
      <div className="filters">
        <Button
          variant="default"
          disabled={epoch.state === "approved" || epoch.state === "closed"}
          loading={preview.isPending}
          onClick={() => preview.mutate()}
        >
          Preview
        </Button>
        <Button
          disabled={epoch.state !== "previewed" || digest === null}
          loading={approve.isPending}
          onClick={() => digest !== null && approve.mutate(digest)}
        >
          Approve what is shown
        </Button>
        <Button disabled={epoch.state !== "approved"} loading={close.isPending} onClick={() => close.mutate()}>
          Close
        </Button>
      </div>
      {problem ? (
        <p className="callout" data-tone="bad" role="alert">
          {problem.message}
        </p>
      ) : null}
      {shown ? <Transfers shown={shown} /> : null}
    </Card>
  );
}

function Plan({ plan }: { plan: NonNullable<Epoch["plan"]> }) {
  return (
    <dl className="facts">
      <dt>Matured revenue</dt>
      <dd>{unitText(plan.revenue)} USDC</dd>
      <dt>Level of emission</dt>
      <dd>{plan.level === null ? "off until the pool has 28 days of prices" : `${unitText(plan.level)} DN`}</dd>
      <dt>Minted</dt>
      <dd>{unitText(plan.minted)} DN</dd>
      <dt>Bought and burned</dt>
      <dd>{unitText(plan.burned)} DN</dd>
      <dt>Transfers</dt>
      <dd>{plan.transfers}</dd>
    </dl>
  );
}

function Transfers({ shown }: { shown: Preview }) {
  if (shown.transfers.length === 0) return <p className="muted small">It would post nothing.</p>;
  return (
    <ScrollRegion label="Transfers of the plan">
      <table className="data">
        <thead>
          <tr>
            <th>Transfer</th>
            <th>Account</th>
            <th className="number">Gains</th>
          </tr>
        </thead>
        <tbody>
          {shown.transfers.flatMap(({ id, kind, legs }) =>
            legs.map(({ account, asset, amount }, place) => (
              <tr key={`${id} ${account}`}>
                <td>{place === 0 ? kind : ""}</td>
                <td className="mono wrap-anywhere">{account}</td>
                <td className="number">
                  {unitText(amount)} {asset}
                </td>
              </tr>
            )),
          )}
        </tbody>
      </table>
    </ScrollRegion>
  );
}

function Past({ epoch }: { epoch: Epoch }) {
  return (
    <Card title={`Epoch ${epoch.epoch}`} aside={<Badge tone={tones[epoch.state]}>{epoch.state}</Badge>}>
      {epoch.plan ? <Plan plan={epoch.plan} /> : <p className="small">It runs.</p>}
      {epoch.approved_by !== null && epoch.approved_at !== null ? (
        <p className="muted small">
          Approved by {epoch.approved_by}, {new Date(epoch.approved_at).toLocaleString()}.
        </p>
      ) : null}
      {epoch.receipts ? (
        <p className="small mono wrap-anywhere">
          {epoch.receipts.size} receipts under {epoch.receipts.root}
        </p>
      ) : null}
    </Card>
  );
}
