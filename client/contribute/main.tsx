import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { connectMiner, readConsent } from "../miner/connect.ts";
import { watchPageSignals } from "../miner/page-signals.ts";
import { withRoleFromUrl } from "../miner/settings-from-url.ts";
import { App } from "./app.tsx";
import { type DeviceProbe, isPhoneSized, probeDevice } from "./device-probe.ts";
import { isLocalHub } from "./status-text.ts";

const root = createRoot(document.getElementById("root") as HTMLElement);
const { consented, settings } = await readConsent();
const consent = { consented, settings: withRoleFromUrl(location.search, settings) };
const connection = { remote: connectMiner(), consent, watchSignals: watchPageSignals };
const localHub = isLocalHub(location.hostname);
const phone = isPhoneSized(screen);

const render = (probe: DeviceProbe | null) =>
  root.render(
    <StrictMode>
      <App connection={connection} probe={probe} localHub={localHub} phone={phone} />
    </StrictMode>,
  );

render(null);
render(await probeDevice());
