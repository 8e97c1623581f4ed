import "../miner/zod-jitless.ts";
import { createRoot } from "react-dom/client";
import { hubCallsOf } from "../economy/hub-calls.ts";
import { App } from "./app.tsx";

createRoot(document.getElementById("root") as HTMLElement).render(<App callsOf={hubCallsOf} />);
