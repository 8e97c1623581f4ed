import { io, type Socket } from "socket.io-client";
import parser from "socket.io-msgpack-parser";
import { deltaSchema, type HubToConsole, snapshotSchema } from "../../shared/console-protocol.ts";
import { applyDelta, type Feed, openFeed } from "./feed.ts";

/**
 * The console's link to the hub.
 *
 *   connecting   no snapshot yet; `problem` says why the last attempt failed
 *   live         the feed is current
 *   lost         the feed is the last one known; the link is being restored
 *   refused      the hub did not accept the token
 *   mismatched   the hub sent what this page does not understand: it is of another version
 */
export type ConsoleState =
  | { phase: "connecting"; problem: string | null }
  | { phase: "live"; feed: Feed }
  | { phase: "lost"; feed: Feed; problem: string }
  | { phase: "refused"; problem: string }
  | { phase: "mismatched"; problem: string };

export interface ConsoleConnection {
  state(): ConsoleState;
  /** Calls back on every change; returns the function that ends it. */
  subscribe(listener: () => void): () => void;
  close(): void;
}

const RETRY_MS = 2_000;

/** `origin` is empty for the page's own. */
export function connectConsole(token: string, origin = ""): ConsoleConnection {
  let state: ConsoleState = { phase: "connecting", problem: null };
  const listeners = new Set<() => void>();
  const socket: Socket<HubToConsole> = io(`${origin}/console`, {
    transports: ["websocket"],
    parser,
    auth: { token },
  });

  const become = (next: ConsoleState) => {
    state = next;
    for (const listener of listeners) listener();
  };
  const lose = (problem: string) => {
    if (state.phase === "live" || state.phase === "lost") become({ phase: "lost", feed: state.feed, problem });
    else if (state.phase === "connecting") become({ phase: "connecting", problem });
  };
  const mismatch = (problem: string) => {
    socket.disconnect();
    become({ phase: "mismatched", problem });
  };

  socket.on("connect_error", (error) => {
    // `active` tells a network fault, which is retried, from the hub's own refusal, which is not.
    if (socket.active) lose(`The hub cannot be reached: ${error.message}.`);
    else become({ phase: "refused", problem: error.message });
  });
  socket.on("disconnect", (reason) => {
    if (reason === "io client disconnect") return;
    lose(`The connection was closed (${reason}).`);
    if (!socket.active) setTimeout(() => socket.connect(), RETRY_MS);
  });
  socket.on("snapshot", (message) => {
    const parsed = snapshotSchema.safeParse(message);
    if (!parsed.success) return mismatch(parsed.error.issues[0]?.message ?? "unreadable snapshot");
    const previous = state.phase === "live" || state.phase === "lost" ? state.feed : null;
    become({ phase: "live", feed: openFeed(parsed.data, previous) });
  });
  socket.on("delta", (message) => {
    if (state.phase !== "live") return;
    const parsed = deltaSchema.safeParse(message);
    if (!parsed.success) return mismatch(parsed.error.issues[0]?.message ?? "unreadable delta");
    const applied = applyDelta(state.feed, parsed.data);
    if (applied.ok) return become({ phase: "live", feed: applied.value });
    lose(`Message ${applied.error.expected} is missing; asking for a new snapshot.`);
    socket.disconnect().connect();
  });

  return {
    state: () => state,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () => socket.disconnect(),
  };
}
