import { createRoot } from "react-dom/client";
import { App } from "../app.tsx";
import type { ConsoleState } from "../connection.ts";
import { applyDelta, type Feed, openFeed } from "../feed.ts";
import { type Manner, storyCases } from "./story-cases.ts";
import { storySnapshot } from "./story-data.ts";
import { storyEconomy } from "./story-economy.ts";

/** Renders the console in the state named by `?state=`; the fragment chooses the view, as in the product. */
const now = Date.now();
const snapshot = storySnapshot(now);

function grown(): Feed {
  let feed = openFeed({ ...snapshot, at: now - 300_000 }, null);
  for (let step = 1; step <= 1200; step += 1) {
    const wave = Math.sin(step / 90) + Math.sin(step / 23) * 0.3;
    const result = applyDelta(feed, {
      seq: feed.seq + 1,
      at: now - 300_000 + step * 250,
      miners: [],
      gone: [],
      tasks: [],
      totals: {
        ...snapshot.totals,
        perSecond: 36 + wave * 9,
        latencyP50Ms: 18 - wave * 2,
        latencyP95Ms: 55 - wave * 9 + (step % 400 < 30 ? 40 : 0),
      },
      ledger: null,
      openCases: 2,
    });
    if (result.ok) feed = result.value;
  }
  return feed;
}

const bare = openFeed(
  { ...snapshot, miners: [], tasks: [], openCases: 0, ledger: { imbalance: "0", accounts: [], transfers: 0 } },
  null,
);

const states: Record<string, () => ConsoleState> = {
  live: () => ({ phase: "live", feed: grown() }),
  lost: () => ({ phase: "lost", feed: grown(), problem: "The hub cannot be reached: websocket error." }),
  unbalanced: () => ({ phase: "live", feed: { ...grown(), ledger: { ...snapshot.ledger, imbalance: "-335" } } }),
  empty: () => ({ phase: "live", feed: bare }),
  connecting: () => ({ phase: "connecting", problem: null }),
  mismatched: () => ({ phase: "mismatched", problem: "Invalid input: expected number, received undefined" }),
  refused: () => ({ phase: "refused", problem: "This is not the operator token." }),
};

const query = new URLSearchParams(location.search);
const name = query.get("state");
const cases = storyCases((query.get("cases") ?? (name === "empty" ? "empty" : "answers")) as Manner, now);
const state = (states[name ?? ""] ?? (() => ({ phase: "connecting" as const, problem: null })))();

createRoot(document.getElementById("root") as HTMLElement).render(
  <App
    firstToken={name ? "a-token" : null}
    hub={{
      connect: () => ({ state: () => state, subscribe: () => () => {}, close: () => {} }),
      casesOf: () => cases,
      callsOf: () => storyEconomy(now),
      entriesOf: () => async (account, after) => {
        if (account.startsWith("burn")) throw new Error("The hub answered 500.");
        if (account.startsWith("pool")) return { data: [], has_more: false };
        return {
          has_more: after === null,
          data: Array.from({ length: 8 }, (_, index) => ({
            seq: String((after === null ? 900 : Number(after)) - index - 1),
            cursor: String((after === null ? 900 : Number(after)) - index - 1),
            transfer: `x_${after}_${index}`,
            kind: index === 7 ? "credit" : "settle",
            at: now - index * 61_000,
            task: index === 7 ? null : `t_Ab9cQx7aK2mT${index}`,
            legs: [
              { account, asset: "USDC", amount: index === 7 ? "100000000000" : "-2000" },
              { account: "miner:own_Zk3v0:held", asset: "USDC", amount: "670" },
              { account: "pool:commons", asset: "USDC", amount: "1330" },
            ],
            hash: "00",
          })),
        };
      },
    }}
    onAccepted={() => {}}
    onRefused={() => {}}
  />,
);
