import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { z } from "zod";
import { parametersSchema } from "../../shared/economy-api.ts";
import { epochSchema, epochsSchema, previewSchema } from "../../shared/epoch-api.ts";
import { CommandButton, Problem } from "../economy/form-parts.tsx";
import type { HubCalls } from "../economy/hub-calls.ts";
import { useCommand } from "../economy/use-command.ts";
import { Badge, type Tone } from "../ui/badge.tsx";
import { Card } from "../ui/card.tsx";
import { Moment } from "../ui/moment.tsx";
import { unitText } from "../ui/money-text.ts";
import { saveFile } from "../ui/save-file.ts";
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
        <Past key={epoch.epoch} epoch={epoch} calls={calls} />
      ))}
    </>
  );
}

const tones: Record<Epoch["state"], Tone> = { open: "idle", previewed: "busy", approved: "busy", closed: "good" };

function Current({ epoch, calls }: { epoch: Epoch; calls: HubCalls }) {
  const [shown, setShown] = useState<Preview | null>(null);
  const path = `/epochs/${epoch.epoch}`;
  const length = useEpochLength(calls);
  const approve = useCommand((digest: string, once) =>
    calls.send(epochSchema, "POST", `${path}/approve`, { digest }, once),
  );
  const preview = useCommand(
    (_: null, once) => calls.send(previewSchema, "POST", `${path}/preview`, {}, once),
    (plan) => {
      setShown(plan);
      approve.reset();
    },
  );
  const close = useCommand(
    (_: null, once) => calls.send(epochSchema, "POST", `${path}/close`, {}, once),
    () => setShown(null),
  );
  const digest = shown?.epoch.digest ?? "";
  const isShown = epoch.state === "previewed" && digest !== "" && digest === epoch.digest;
  return (
    <Card title={`Epoch ${epoch.epoch}`} aside={<Badge tone={tones[epoch.state]}>{epoch.state}</Badge>}>
      <p className="small">
        Opened <Moment at={epoch.opened_at} />
        {length === null ? "" : ", over "}
        {length === null ? null : <Moment at={epoch.opened_at + length} />}. A preview fences it: what is posted later
        belongs to the next one. Nothing is posted before the plan that was shown is approved and closed.
      </p>
      {epoch.plan ? <Plan plan={epoch.plan} /> : null}
      {epoch.digest === null ? null : (
        <p className="small">
          Digest of the plan: <span className="mono wrap-anywhere">{epoch.digest}</span>
        </p>
      )}
      {epoch.state === "previewed" && !isShown ? (
        <p className="muted small">To approve it, preview it again: what is approved is what this page shows.</p>
      ) : null}
      <div className="filters">
        <CommandButton command={preview} input={null} isOfRow disabled={epoch.state === "approved"}>
          Preview
        </CommandButton>
        <CommandButton command={approve} input={digest} isMain isOfRow disabled={!isShown}>
          Approve what is shown
        </CommandButton>
        <CommandButton command={close} input={null} isMain isOfRow disabled={epoch.state !== "approved"}>
          Close
        </CommandButton>
      </div>
      <Problem error={preview.error ?? approve.error ?? close.error} />
      {shown ? <Transfers shown={shown} /> : null}
    </Card>
  );
}

/** How long an epoch is, at least; null until it is known. */
function useEpochLength(calls: HubCalls): number | null {
  const { data } = useQuery({
    queryKey: ["governance"],
    queryFn: ({ signal }) => calls.get(parametersSchema, "/governance", signal),
  });
  const value = data?.network.find(({ parameter }) => parameter === "epoch.lengthMs")?.value;
  return value === undefined || value === null ? null : Number(value);
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

function Past({ epoch, calls }: { epoch: Epoch; calls: HubCalls }) {
  return (
    <Card title={`Epoch ${epoch.epoch}`} aside={<Badge tone={tones[epoch.state]}>{epoch.state}</Badge>}>
      {epoch.plan ? <Plan plan={epoch.plan} /> : <p className="small">It runs.</p>}
      {epoch.approved_by !== null && epoch.approved_at !== null ? (
        <p className="muted small">
          Approved by {epoch.approved_by}, <Moment at={epoch.approved_at} />.
        </p>
      ) : null}
      {epoch.receipts ? (
        <p className="small">
          Signed roots of receipts: {epoch.receipts.size.toLocaleString("en")}, under{" "}
          <span className="mono wrap-anywhere">{epoch.receipts.root}</span>
        </p>
      ) : null}
      {epoch.state === "closed" ? <Payouts epoch={epoch.epoch} calls={calls} /> : null}
    </Card>
  );
}

/** What left the ledger for addresses: a root for each asset, and all that lies under it. */
function Payouts({ epoch, calls }: { epoch: number; calls: HubCalls }) {
  const one = useQuery({
    queryKey: ["epoch", epoch],
    queryFn: ({ signal }) => calls.get(epochSchema, `/epochs/${epoch}`, signal),
  });
  const file = useCommand(async (asset: string) =>
    saveFile(
      `payouts-${epoch}-${asset}.csv`,
      await calls.text(`/epochs/${epoch}/payouts.csv?asset=${asset}`),
      "text/csv",
    ),
  );
  const payouts = one.data?.payouts ?? [];
  return (
    <>
      <QueryState what="payouts" query={one} />
      {one.isSuccess && payouts.length === 0 ? (
        <p className="muted small">Nothing was paid out of the ledger.</p>
      ) : null}
      {payouts.map(({ asset, root, payees }) => (
        <div className="item" key={asset}>
          <p className="small">
            {asset} of {payees} {payees === 1 ? "address" : "addresses"} under{" "}
            <span className="mono wrap-anywhere">{root}</span>
          </p>
          <CommandButton command={file} input={asset} isOfRow>
            Save them as CSV
          </CommandButton>
        </div>
      ))}
      <Problem error={file.error} />
    </>
  );
}
