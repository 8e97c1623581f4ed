import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { connectMiner, readConsent } from "../miner/connect.ts";
import { watchPageSignals } from "../miner/page-signals.ts";
import { App } from "./app.tsx";
import { type DeviceProbe, probeDevice } from "./device-probe.ts";
import { isLocalHub } from "./status-text.ts";

const root = createRoot(document.getElementById("root") as HTMLElement);
const connection = { remote: connectMiner(), consent: await readConsent(), watchSignals: watchPageSignals };
const localHub = isLocalHub(location.hostname);

const render = (probe: DeviceProbe | null) =>
  root.render(
    <StrictMode>
      <App connection={connection} probe={probe} localHub={localHub} />
    </StrictMode>,
  );

render(null);
render(await probeDevice());
