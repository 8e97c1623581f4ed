import "../miner/zod-jitless.ts";
import { createRoot } from "react-dom/client";
import { hubCallsOf } from "../economy/hub-calls.ts";
import { App } from "./app.tsx";
import { caseCallsOf } from "./case-calls.ts";
import { connectConsole } from "./connection.ts";
import { entriesOf } from "./ledger-entries.ts";
import { forgetToken, keepToken, takeToken } from "./operator-token.ts";

createRoot(document.getElementById("root") as HTMLElement).render(
  <App
    firstToken={takeToken()}
    hub={{ connect: connectConsole, entriesOf, casesOf: caseCallsOf, callsOf: hubCallsOf }}
    onAccepted={keepToken}
    onRefused={forgetToken}
  />,
);
