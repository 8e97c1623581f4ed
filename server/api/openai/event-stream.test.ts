import { createServer, type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import express, { type Response } from "express";
import { expect, it } from "vitest";
import { EventStream } from "./event-stream.ts";

/** What a handler writes to a reader who does not read until told. */
async function open(handle: (response: Response) => void): Promise<{ reader: IncomingMessage; close: () => void }> {
  const server = createServer(express().get("/", (_request, response) => handle(response)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const reader = await new Promise<IncomingMessage>((resolve) => {
    request({ port: (server.address() as AddressInfo).port, host: "127.0.0.1" }, resolve).end();
  });
  return {
    reader,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
const read = async (reader: IncomingMessage): Promise<string> => {
  let text = "";
  for await (const part of reader) text += part;
  return text;
};

it("a quiet stream says that it lives, before and between events", async () => {
  const { reader, close } = await open((response) => {
    const stream = new EventStream(response, 20);
    setTimeout(() => stream.send({ a: 1 }), 110);
    setTimeout(() => stream.end(() => stream.send("[DONE]")), 220);
  });
  const text = await read(reader);
  expect(text).toMatch(/^: ping\n\n/);
  expect(text).toMatch(/data: \{"a":1\}\n\n(: ping\n\n)+data: \[DONE\]\n\n$/);
  expect(reader.headers["cache-control"]).toContain("no-transform");
  close();
});

it("a reader who falls too far behind has enough, and is told so", async () => {
  let sent = 0;
  const { reader, close } = await open((response) => {
    const stream = new EventStream(response);
    const event = { text: "x".repeat(64 * 1024) };
    while (stream.send(event)) sent++;
    stream.end(() => stream.send("[DONE]"));
  });
  const text = await read(reader);
  expect(sent).toBeGreaterThan(10);
  expect(sent).toBeLessThan(200);
  expect(text).toContain('"code":"cancelled"');
  expect(text).not.toContain("[DONE]");
  close();
});
