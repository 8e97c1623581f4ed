import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { z } from "zod";
import { PROTOCOL_VERSION, protocolSchemas } from "./protocol.ts";

/** One line a version, newest last; a miner and a hub of different versions refuse each other. */
const history: Record<number, string> = {
  1: "e14a8dc72289fe1b",
  2: "b4d55c376cb7c655",
};

it("pins the wire: a changed schema needs a new PROTOCOL_VERSION and a line in the history", () => {
  const json = Object.entries(protocolSchemas).map(([direction, events]) =>
    Object.entries(events).map(([event, schema]) => [
      direction,
      event,
      z.toJSONSchema(schema, { unrepresentable: "any" }),
    ]),
  );
  const hash = createHash("sha256").update(JSON.stringify(json)).digest("hex").slice(0, 16);
  expect(hash, `the protocol's schemas changed: raise PROTOCOL_VERSION and add ${hash} to the history`).toBe(
    history[PROTOCOL_VERSION],
  );
  expect(Object.keys(history).at(-1)).toBe(String(PROTOCOL_VERSION));
});
