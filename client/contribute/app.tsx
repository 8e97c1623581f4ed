import type { MinerId } from "../../shared/ids.ts";
import type { MinerView } from "../miner/contract.ts";
import { Badge } from "../ui/badge.tsx";
import { Brand } from "../ui/logo.tsx";
import { UiRoot } from "../ui/ui-root.tsx";
import { ConsentPoints } from "./consent.tsx";
import { CreditTable } from "./credit-table.tsx";
import { DeviceCard } from "./device-card.tsx";
import type { DeviceProbe } from "./device-probe.ts";
import { EarningsCard } from "./earnings-card.tsx";
import { ModelsCard } from "./models-card.tsx";
import { NoticesCard } from "./notices-card.tsx";
import { PayCard } from "./pay/pay-card.tsx";
import { SettingsCard } from "./settings-card.tsx";
import { StatusCard } from "./status-card.tsx";
import { hubText } from "./status-text.ts";
import { type MinerConnection, type MinerPage, useMiner } from "./use-miner.ts";
import { Welcome } from "./welcome.tsx";
import "./contribute.css";

export interface AppProps {
  connection: MinerConnection;
  /** null while the browser is still being asked. */
  probe: DeviceProbe | null;
  localHub: boolean;
  phone: boolean;
}

export function App({ connection, probe, localHub, phone }: AppProps) {
  const page = useMiner(connection);
  const { view } = page;
  return (
    <UiRoot>
      <header className="top">
        <Brand href="/" />
        {view ? (
          <Badge tone={view.hub.connected ? "good" : "idle"}>{hubText(view)}</Badge>
        ) : (
          <Badge tone="idle">Nothing is running</Badge>
        )}
      </header>
      {view ? (
        <Dashboard page={page} view={view} probe={probe} localHub={localHub} />
      ) : (
        <Welcome page={page} probe={probe} phone={phone} />
      )}
    </UiRoot>
  );
}

function Dashboard(props: { page: MinerPage; view: MinerView; probe: DeviceProbe | null; localHub: boolean }) {
  const { page, view, probe, localHub } = props;
  return (
    <main className="dashboard">
      <div className="column">
        <StatusCard page={page} view={view} localHub={localHub} />
        <ModelsCard models={view.models} />
        <CreditTable work={view.work} />
        <SettingsCard
          settings={page.settings}
          configure={page.configure}
          command={page.command}
          cacheBytes={view.cacheBytes}
          dutyNow={view.dutyNow}
        />
      </div>
      <div className="column">
        <EarningsCard
          role={view.role}
          available={view.available}
          held={view.held}
          completed={view.completed}
          passed={view.passed}
          failed={view.failed}
          trust={view.trust}
        />
        <DeviceCard probe={probe} device={view.device} note={view.deviceNote} role={view.role} />
        <NoticesCard notices={view.notices} />
      </div>
      {view.miner ? (
        <div className="pay">
          <PayCard miner={view.miner as MinerId} />
        </div>
      ) : null}
      <footer className="muted small">
        {view.miner ? (
          <p>
            You are <span className="mono wrap-anywhere">{view.miner}</span>, a key that stays in this browser.
          </p>
        ) : null}
        <details>
          <summary>What you agreed to</summary>
          <ConsentPoints />
        </details>
      </footer>
    </main>
  );
}
