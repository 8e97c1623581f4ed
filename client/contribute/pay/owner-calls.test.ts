import { expect, it } from "vitest";
import { z } from "zod";
import type { HubCalls } from "../../economy/hub-calls.ts";
import { Refused } from "../../economy/refused.ts";
import { ownerCallsOf } from "./owner-calls.ts";

/** A hub that keeps what was sent, and answers as it is told. */
function scripted(answers: (Error | "done")[]) {
  const sent: { request: string; signature: string }[] = [];
  const open: HubCalls = {
    get: async (schema) => schema.parse({ epoch: 1, hub: "hub-key", data: [] }),
    text: async () => "",
    send: async (schema, _method, _path, body) => {
      sent.push(body as (typeof sent)[number]);
      const answer = answers[sent.length - 1];
      if (answer instanceof Error) throw answer;
      return schema.parse({});
    },
  };
  let signed = 0;
  const identity = { publicKey: new Uint8Array(32), sign: async () => new Uint8Array([255, 254, signed++]) };
  const calls = ownerCallsOf(identity, open);
  const ask = (once: string) => calls.signed(z.object({}), "owner-request", "/earnings/spend", { amount: "1" }, once);
  return { sent, ask };
}

it("after a lost answer the very same text is sent again, so that nothing moves twice", async () => {
  const { sent, ask } = scripted([new Error("The hub cannot be reached."), "done", "done"]);
  await expect(ask("a")).rejects.toThrow("reached");
  await ask("a");
  expect(sent[1]).toEqual(sent[0]);
  expect(JSON.parse(sent[0]?.request ?? "")).toMatchObject({ amount: "1", hub: "hub-key" });
  expect(sent[0]?.signature).toBe("__4A");
  await ask("b");
  expect(sent[2]?.signature).not.toBe(sent[1]?.signature);
});

it("what was refused is signed anew", async () => {
  const { sent, ask } = scripted([new Refused(401, { detail: "not signed just now" }), "done"]);
  await expect(ask("a")).rejects.toThrow("just now");
  await ask("a");
  expect(sent[1]?.signature).not.toBe(sent[0]?.signature);
});
