import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Server, type Socket } from "socket.io";
import * as msgpack from "socket.io-msgpack-parser";
import { asBuffer } from "../server/sockets/identity.ts";
import { limits } from "../shared/limits.ts";
import type { Tensor } from "../shared/tensor.ts";
import type { Parser } from "./hub-miners.ts";

/**
 * The ceiling that the hub is measured against: Socket.IO as the hub sets it up, sending assignments and taking results of
 * the same bytes, and nothing else. Every socket has one message under way.
 */
export interface Echo {
  url: string;
  /** Round trips of so many milliseconds. */
  run(ms: number): Promise<number>;
  close(): Promise<void>;
}

export async function startEcho(parser: Parser, pictures: readonly Tensor[]): Promise<Echo> {
  const server = createServer();
  const io = new Server(server, {
    ...(parser === "msgpack" && { parser: msgpack }),
    transports: ["websocket"],
    serveClient: false,
    maxHttpBufferSize: limits.socketMessageBytes,
    perMessageDeflate: false,
  });
  const sockets: Socket[] = [];
  let isRunning = false;
  let trips = 0;
  let ids = 1_000_000;
  const send = (socket: Socket) => {
    const picture = pictures[ids % pictures.length] as Tensor;
    const items = [
      {
        assignment: `a_AAAAAAAAAAAA${(ids++).toString(36)}`,
        inputs: [{ ...picture, data: asBuffer(picture.data) }],
        leaseMs: 10_000,
      },
    ];
    socket.emit("assign", { model: "digits@1", items });
  };
  io.on("connection", (socket) => {
    sockets.push(socket);
    socket.on("result", () => {
      trips++;
      if (isRunning) send(socket);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async run(ms) {
      trips = 0;
      isRunning = true;
      for (const socket of sockets) send(socket);
      await new Promise((resolve) => setTimeout(resolve, ms));
      isRunning = false;
      const counted = trips;
      await new Promise((resolve) => setTimeout(resolve, 500)); // what is under way comes home
      return counted;
    },
    async close() {
      await io.close();
    },
  };
}
