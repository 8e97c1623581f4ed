import { io } from "socket.io-client";
import * as parser from "socket.io-msgpack-parser";
import type { z } from "zod";
import { failure, type TabgridError } from "../../shared/errors.ts";
import { errorSchema, type HelloAnswer, type MinerToHub, protocolSchemas } from "../../shared/protocol.ts";

type Incoming = typeof protocolSchemas.hubToMiner;

export type HubHandlers = {
  [Event in keyof Incoming]: (message: z.infer<Incoming[Event]>) => void;
} & {
  connected(): void;
  lost(reason: string): void;
  /** The hub sent something that the protocol does not know; it was dropped. */
  malformed(event: string, problem: string): void;
};

/** One connection to the hub. It never reconnects by itself: shared/miner-session.ts decides when. */
export interface HubSocket {
  hello(message: Parameters<MinerToHub["hello"]>[0]): Promise<HelloAnswer>;
  send<Event extends Exclude<keyof MinerToHub, "hello">>(event: Event, message: Parameters<MinerToHub[Event]>[0]): void;
  /** Ends the connection without a word to the handlers. */
  close(): void;
}

const HELLO_ANSWER_MS = 10_000;

export function dialHub(origin: string, handlers: HubHandlers): HubSocket {
  const socket = io(`${origin}/miner`, {
    transports: ["websocket"],
    parser,
    reconnection: false,
    forceNew: true,
  });
  socket.on("connect", () => handlers.connected());
  socket.on("connect_error", (error) => handlers.lost(error.message));
  socket.on("disconnect", (reason) => handlers.lost(reason));
  for (const [event, schema] of Object.entries(protocolSchemas.hubToMiner)) {
    socket.on(event, (raw: unknown) => {
      const message = schema.safeParse(fromWire(raw));
      if (message.success) (handlers[event as keyof Incoming] as (message: unknown) => void)(message.data);
      else handlers.malformed(event, describeIssue(message.error));
    });
  }
  return {
    async hello(message) {
      try {
        const answer: unknown = await socket.timeout(HELLO_ANSWER_MS).emitWithAck("hello", toWire(message));
        return readHelloAnswer(fromWire(answer));
      } catch {
        return { ok: false, error: failure("internal", "the hub did not answer the hello") };
      }
    },
    send(event, message) {
      socket.emit(event, toWire(message));
    },
    close() {
      socket.off();
      socket.disconnect();
    },
  };
}

function readHelloAnswer(answer: unknown): HelloAnswer {
  const { ok, welcome, error } = (answer ?? {}) as { ok?: unknown; welcome?: unknown; error?: unknown };
  if (ok === true) {
    const parsed = protocolSchemas.answers.hello.safeParse(welcome);
    if (parsed.success) return { ok: true, welcome: parsed.data };
    return { ok: false, error: failure("malformed-message", `the hub's welcome: ${describeIssue(parsed.error)}`) };
  }
  const parsed = errorSchema.safeParse(error);
  const problem: TabgridError = parsed.success
    ? parsed.data
    : failure("malformed-message", "the hub refused the hello without a reason");
  return { ok: false, error: problem };
}

function describeIssue(error: z.ZodError): string {
  const [issue] = error.issues;
  return issue ? `${issue.path.join(".")}: ${issue.message}` : error.message;
}

/** In browsers the msgpack parser writes binary data only from an ArrayBuffer, and reads it as one. */
function toWire(value: unknown): unknown {
  if (value instanceof Uint8Array) {
    const whole = value.byteOffset === 0 && value.byteLength === value.buffer.byteLength;
    return whole ? value.buffer : value.slice().buffer;
  }
  return mapValues(value, toWire);
}

function fromWire(value: unknown): unknown {
  return value instanceof ArrayBuffer ? new Uint8Array(value) : mapValues(value, fromWire);
}

function mapValues(value: unknown, map: (value: unknown) => unknown): unknown {
  if (Array.isArray(value)) return value.map(map);
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, map(each)]));
}
