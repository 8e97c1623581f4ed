import { createRoot } from "react-dom/client";
import { defaultSettings, type MinerPageRemote, roleDefaults } from "../../miner/contract.ts";
import { App } from "../app.tsx";
import { isLocalHub } from "../status-text.ts";
import { views } from "./views.ts";

declare global {
  /** Commands that the page gave, in order. */
  var commands: string[];
}

/** Renders the contribute page in the state named by `?view=`, or before Start without one. */
const name = new URLSearchParams(location.search).get("view");
const view = name ? views[name] : undefined;
globalThis.commands = [];

const note =
  (command: string) =>
  async (...details: unknown[]) => {
    globalThis.commands.push(details.length > 0 ? `${command} ${JSON.stringify(details[0])}` : command);
  };
const remote: MinerPageRemote = {
  start: note("start"),
  pause: note("pause"),
  resume: note("resume"),
  finishThenStop: note("finishThenStop"),
  stop: note("stop"),
  configure: note("configure"),
  signals: async () => {},
  clearCache: note("clearCache"),
  subscribe: async (listener) => listener(view ?? (views.ready as NonNullable<typeof view>)),
};

createRoot(document.getElementById("root") as HTMLElement).render(
  <App
    connection={{
      remote,
      consent: {
        consented: view !== undefined,
        settings: { ...defaultSettings, ...roleDefaults[view?.role ?? "miner"] },
      },
      watchSignals: () => () => {},
    }}
    probe={
      name === "blocked"
        ? {
            webgpu: false,
            problem: "WebGPU needs https:// or localhost; this page is neither.",
          }
        : {
            webgpu: true,
            adapter: "Intel Iris Xe (gen-12lp)",
            limits: [
              { label: "Largest buffer", bytes: 4 * 1024 ** 3 },
              { label: "Largest binding", bytes: 2 * 1024 ** 3 },
              { label: "Workgroup memory", bytes: 32 * 1024 },
            ],
          }
    }
    localHub={isLocalHub(location.hostname)}
    phone={innerWidth <= 480}
  />,
);
