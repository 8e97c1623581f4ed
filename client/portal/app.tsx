import "@mantine/core/styles/Input.layer.css";
import "@mantine/core/styles/PasswordInput.layer.css";
import "@mantine/core/styles/ActionIcon.layer.css";
import "../console/console.css";
import "../economy/economy.css";
import { Button, PasswordInput } from "@mantine/core";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { type SelfReply, selfSchema } from "../../shared/economy-api.ts";
import { Domains } from "../economy/domains.tsx";
import type { HubCalls } from "../economy/hub-calls.ts";
import { Refused } from "../economy/refused.ts";
import { Brand } from "../ui/logo.tsx";
import { UiRoot } from "../ui/ui-root.tsx";
import { usePlace, ViewsNav } from "../ui/views-nav.tsx";
import { BackerView } from "./backer-view.tsx";
import { BalancesView } from "./balances-view.tsx";
import { CreatorView } from "./creator-view.tsx";
import { DemandView } from "./demand-view.tsx";
import { StakeView } from "./stake-view.tsx";
import { VotesView } from "./votes-view.tsx";

/** Creators, backers and stakers: an API key opens what its customer has and may do. The key is kept for this tab alone. */
const STORAGE_KEY = "tabgrid-api-key";
/** Others act too: what they changed is seen within a while. */
const queries = new QueryClient({
  defaultOptions: { queries: { retry: false, staleTime: 2_000, refetchInterval: 15_000 } },
});

export function App({ callsOf }: { callsOf(key: string): HubCalls }) {
  const [session, setSession] = useState<{ calls: HubCalls; self: SelfReply } | null>(null);
  const leave = () => {
    sessionStorage.removeItem(STORAGE_KEY);
    queries.clear();
    setSession(null);
  };
  return (
    <UiRoot>
      <QueryClientProvider client={queries}>
        {session === null ? (
          <SignIn callsOf={callsOf} onOpen={setSession} />
        ) : (
          <Portal calls={session.calls} self={session.self} onLeave={leave} />
        )}
      </QueryClientProvider>
    </UiRoot>
  );
}

function SignIn(props: {
  callsOf(key: string): HubCalls;
  onOpen(session: { calls: HubCalls; self: SelfReply }): void;
}) {
  const [key, setKey] = useState(() => sessionStorage.getItem(STORAGE_KEY) ?? "");
  const [problem, setProblem] = useState<string | null>(null);
  const [isAsking, setAsking] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (key.trim() === "" || isAsking) return;
    setAsking(true);
    try {
      const calls = props.callsOf(key.trim());
      const self = await calls.get(selfSchema, "/self");
      sessionStorage.setItem(STORAGE_KEY, key.trim());
      props.onOpen({ calls, self });
    } catch (error) {
      const isRefusal = error instanceof Refused && (error.status === 401 || error.status === 403);
      setProblem(isRefusal ? "The hub does not know this API key." : `The hub did not answer: ${String(error)}`);
      setAsking(false);
    }
  };
  return (
    <main className="login">
      <form className="card" onSubmit={(event) => void submit(event)}>
        <Brand href="/portal" place="portal" />
        <p className="muted">
          For creators, backers and stakers: what your models earn, which rounds are open, and what there is to vote on.
        </p>
        {problem === null ? null : (
          <p className="callout" data-tone="bad" role="alert">
            {problem}
          </p>
        )}
        <PasswordInput
          label="API key"
          value={key}
          onChange={(event) => setKey(event.currentTarget.value)}
          autoComplete="off"
          spellCheck={false}
          data-testid="key"
        />
        <Button type="submit" size="md" loading={isAsking} data-testid="open">
          Open the portal
        </Button>
        <p className="muted small">It is kept for this browser tab only.</p>
      </form>
    </main>
  );
}

const titles = {
  balances: "Balances",
  create: "Create",
  back: "Back",
  demand: "Demand",
  stake: "Stake",
  votes: "Votes",
  domains: "Domains",
};
const places = Object.keys(titles) as (keyof typeof titles)[];

function Portal({ calls, self, onLeave }: { calls: HubCalls; self: SelfReply; onLeave(): void }) {
  const place = usePlace(places);
  return (
    <>
      <header className="bar">
        <Brand href="#balances" place="portal" />
        <ViewsNav titles={titles} place={place} />
        <span className="bar-state">
          <span className="muted small">{self.name || self.customer}</span>
          <Button size="xs" variant="default" onClick={onLeave}>
            Leave
          </Button>
        </span>
      </header>
      <main className="desk">
        <h1 className="unseen">{titles[place]}</h1>
        {place === "balances" ? <BalancesView calls={calls} /> : null}
        {place === "create" ? <CreatorView calls={calls} /> : null}
        {place === "back" ? <BackerView calls={calls} /> : null}
        {place === "demand" ? <DemandView calls={calls} /> : null}
        {place === "stake" ? <StakeView calls={calls} /> : null}
        {place === "votes" ? <VotesView calls={calls} /> : null}
        {place === "domains" ? <Domains calls={calls} viewer={self.customer} /> : null}
      </main>
    </>
  );
}
