import { useEffect, useState, useSyncExternalStore } from "react";
import type { HubCalls } from "../economy/hub-calls.ts";
import { EmptyState } from "../ui/empty-state.tsx";
import { Brand } from "../ui/logo.tsx";
import { UiRoot } from "../ui/ui-root.tsx";
import type { CaseCalls } from "./case-calls.ts";
import type { ConsoleConnection, ConsoleState } from "./connection.ts";
import { Desk } from "./desk.tsx";
import type { FetchEntries } from "./ledger-entries.ts";
import { Login } from "./login.tsx";
import "./console.css";
import "../economy/economy.css";

export interface Hub {
  connect(token: string): ConsoleConnection;
  entriesOf(token: string): FetchEntries;
  casesOf(token: string): CaseCalls;
  callsOf(token: string): HubCalls;
}

export interface AppProps {
  firstToken: string | null;
  hub: Hub;
  onAccepted(token: string): void;
  onRefused(): void;
}

/** Asks for the token where there is none, and again, with the hub's reason, where it was refused. */
export function App({ firstToken, hub, onAccepted, onRefused }: AppProps) {
  const [token, setToken] = useState(firstToken);
  const [refusal, setRefusal] = useState<string | null>(null);
  return (
    <UiRoot>
      {token === null ? (
        <Login refusal={refusal} onToken={setToken} />
      ) : (
        <Session
          token={token}
          hub={hub}
          onAccepted={onAccepted}
          onRefused={(problem) => {
            onRefused();
            setRefusal(problem);
            setToken(null);
          }}
        />
      )}
    </UiRoot>
  );
}

interface SessionProps {
  token: string;
  hub: Hub;
  onAccepted(token: string): void;
  onRefused(problem: string): void;
}

function Session({ token, hub, onAccepted, onRefused }: SessionProps) {
  const [connection, setConnection] = useState<ConsoleConnection | null>(null);
  useEffect(() => {
    const opened = hub.connect(token);
    setConnection(opened);
    return () => opened.close();
  }, [hub, token]);
  if (!connection) return null;
  return (
    <Connected
      connection={connection}
      fetchEntries={hub.entriesOf(token)}
      caseCalls={hub.casesOf(token)}
      calls={hub.callsOf(token)}
      onAccepted={() => onAccepted(token)}
      onRefused={onRefused}
    />
  );
}

interface ConnectedProps {
  connection: ConsoleConnection;
  fetchEntries: FetchEntries;
  caseCalls: CaseCalls;
  calls: HubCalls;
  onAccepted(): void;
  onRefused(problem: string): void;
}

function Connected({ connection, fetchEntries, caseCalls, calls, onAccepted, onRefused }: ConnectedProps) {
  const state = useSyncExternalStore(connection.subscribe, connection.state);
  const { phase } = state;
  useEffect(() => {
    if (state.phase === "refused") onRefused(state.problem);
  }, [state, onRefused]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the token is kept once, when the hub first accepts it
  useEffect(() => {
    if (phase === "live") onAccepted();
  }, [phase]);
  if (state.phase === "live" || state.phase === "lost") {
    const lost = state.phase === "lost" ? state.problem : null;
    return <Desk feed={state.feed} lost={lost} fetchEntries={fetchEntries} caseCalls={caseCalls} calls={calls} />;
  }
  return <Waiting state={state} />;
}

function Waiting({ state }: { state: Exclude<ConsoleState, { phase: "live" | "lost" }> }) {
  return (
    <main className="waiting">
      <Brand href="/console" place="console" />
      {state.phase === "mismatched" ? (
        <EmptyState title="This page and the hub are of different versions">
          <p>{state.problem}</p>
          <p>
            <a href="/console">Load the page again</a>
          </p>
        </EmptyState>
      ) : (
        <div role="status">
          <EmptyState title="Connecting to the hub…">{state.problem}</EmptyState>
        </div>
      )}
    </main>
  );
}
