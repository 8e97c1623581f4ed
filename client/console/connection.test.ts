import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type Namespace, Server } from "socket.io";
import parser from "socket.io-msgpack-parser";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { HubToConsole } from "../../shared/console-protocol.ts";
import { type ConsoleConnection, type ConsoleState, connectConsole } from "./connection.ts";
import { storySnapshot } from "./story/story-data.ts";

/** A real Socket.IO server that speaks the console's half of the wire. */
let io: Server;
let hub: Namespace<Record<string, never>, HubToConsole>;
let origin: string;
let snapshots: number;
let connection: ConsoleConnection | null = null;
const snapshot = storySnapshot(1_000_000);

beforeEach(async () => {
  const http = createServer();
  io = new Server(http, { parser, transports: ["websocket"] });
  snapshots = 0;
  hub = io.of("/console");
  hub.use((socket, next) =>
    next(socket.handshake.auth.token === "right-token" ? undefined : new Error("This is not the operator token.")),
  );
  hub.on("connection", (socket) => {
    snapshots += 1;
    socket.emit("snapshot", snapshot);
  });
  await new Promise<void>((listening) => http.listen(0, "127.0.0.1", listening));
  origin = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
});

afterEach(async () => {
  connection?.close();
  connection = null;
  await io.close();
});

const delta = (seq: number) => ({
  seq,
  at: snapshot.at + seq,
  miners: [],
  gone: [],
  tasks: [],
  totals: snapshot.totals,
  ledger: null,
  openCases: 2,
});

/** Resolves with the first state, now or later, for which `wanted` holds. */
function reach(wanted: (state: ConsoleState) => boolean): Promise<ConsoleState> {
  const open = connection as ConsoleConnection;
  return new Promise((resolve) => {
    const look = () => {
      if (!wanted(open.state())) return;
      end();
      resolve(open.state());
    };
    const end = open.subscribe(look);
    look();
  });
}
const reachSeq = (seq: number) => reach((state) => state.phase === "live" && state.feed.seq === seq);

test("a wrong token is refused with the hub's reason, and not tried again", async () => {
  connection = connectConsole("wrong-token", origin);
  expect(await reach((state) => state.phase !== "connecting")).toEqual({
    phase: "refused",
    problem: "This is not the operator token.",
  });
  expect(snapshots).toBe(0);
});

test("a snapshot, then deltas", async () => {
  connection = connectConsole("right-token", origin);
  await reachSeq(snapshot.seq);
  hub.emit("delta", delta(snapshot.seq + 1));
  hub.emit("delta", delta(snapshot.seq + 2));
  await reachSeq(snapshot.seq + 2);
  expect(snapshots).toBe(1);
});

test("a missing delta brings a new snapshot, with the last data shown until it comes", async () => {
  connection = connectConsole("right-token", origin);
  await reachSeq(snapshot.seq);
  hub.emit("delta", delta(snapshot.seq + 2));
  const lost = await reach((state) => state.phase === "lost");
  expect(lost).toMatchObject({ feed: { seq: snapshot.seq }, problem: expect.stringContaining(`${snapshot.seq + 1}`) });
  await reachSeq(snapshot.seq);
  expect(snapshots).toBe(2);
});

test("a cut connection is lost, then live again", async () => {
  connection = connectConsole("right-token", origin);
  await reachSeq(snapshot.seq);
  for (const socket of await hub.fetchSockets()) hub.sockets.get(socket.id)?.conn.close();
  await reach((state) => state.phase === "lost");
  await reachSeq(snapshot.seq);
  expect(snapshots).toBe(2);
});

test("a message of another version says so instead of showing half of it", async () => {
  connection = connectConsole("right-token", origin);
  await reachSeq(snapshot.seq);
  hub.emit("delta", { ...delta(snapshot.seq + 1), totals: {} as typeof snapshot.totals });
  expect(await reach((state) => state.phase !== "live")).toMatchObject({ phase: "mismatched" });
});
