import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { limits } from "../../shared/limits.ts";
import { type HubToMiner, preimages, type SessionRole } from "../../shared/protocol.ts";
import { assert } from "../../shared/result.ts";
import { openDigitsStage } from "../journeys/digits-stage.ts";
import type { WireMiner } from "../sim/wire-miner.ts";
import { ed25519PublicKey, verifyEd25519 } from "../sockets/identity.ts";
import type { RunningHub } from "../start-hub.ts";
import { openHub } from "../test-hub.ts";

/** A validator attests a miner over real sockets; the word, what proves it and the day's sums end up in the store. */

const stage = openDigitsStage(1);
let dataDir: string;
let hub: RunningHub;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "tabgrid-attestations-"));
  hub = await openHub(dataDir);
});
afterAll(async () => {
  await hub?.close();
  await stage.close();
  await rm(dataDir, { recursive: true, force: true });
});

async function joined(role: SessionRole): Promise<WireMiner> {
  const miner = stage.miner(hub.url, { role });
  await miner.connect();
  await expect.poll(() => hub.state.roster.able("digits@1" as never, role).length, { timeout: 30_000 }).toBe(1);
  return miner;
}

/** Its time has come: the next sweep has it looked at. */
function makeDue(miner: WireMiner): void {
  for (const session of hub.state.roster.sessions.values()) {
    if (session.miner === miner.welcome?.miner) session.witnessDueAt = 0;
  }
}

/** Stands in the way of one message of the hub's. */
async function caught<Event extends keyof HubToMiner>(miner: WireMiner, event: Event) {
  assert(miner.socket, "it is connected");
  miner.socket.removeAllListeners(event);
  const [message] = (await once(miner.socket as never, event)) as Parameters<HubToMiner[Event]>;
  return message as Parameters<HubToMiner[Event]>[0];
}

it("keeps a validator's word with its proof, and refuses what is not signed by who it is about", {
  timeout: 60_000,
}, async () => {
  const [ann, phone] = [await joined("miner"), await joined("validator")];
  const { owner } = ann.welcome as { owner: string };
  const day = { from: Date.now() - 60_000, to: Date.now() + 600_000, owner: owner as never };
  makeDue(ann);
  await expect.poll(() => hub.store.availability(day), { timeout: 10_000 }).toHaveLength(1);
  const [sum] = await hub.store.availability(day);
  expect(sum).toMatchObject({ model: "digits@1", present: 1, absent: 0, availableMs: limits.witnessEveryMs });
  expect(sum?.roundTripMs).toBeGreaterThanOrEqual(0);

  // Anybody can verify both signatures.
  const [word] = (await hub.store.attestations({ owner: owner as never, limit: 10 })) ?? [];
  assert(word?.proof, "the proof is kept");
  const proof = word.proof as Record<string, string> & { present: boolean; roundTripMs: number; at: number };
  const bytes = (name: string) => Buffer.from(proof[name] as string, "base64url");
  const said = preimages.witness(proof.session as string, bytes("nonce"));
  expect(verifyEd25519(ed25519PublicKey(ann.publicKey), said, bytes("testimony"))).toBe(true);
  const attested = preimages.attestation(ann.publicKey, bytes("nonce"), proof);
  expect(verifyEd25519(ed25519PublicKey(phone.publicKey), attested, bytes("signature"))).toBe(true);

  // A signature by another key is refused and never passed on.
  makeDue(ann);
  const { witness } = await caught(ann, "witness");
  ann.socket?.emit("witnessed", { witness, signature: Buffer.alloc(64) });
  await expect.poll(() => ann.refusals).toMatchObject([{ event: "witnessed", error: { code: "bad-signature" } }]);
  // Nor may a validator speak for the miner, or give a word that is not its own.
  phone.socket?.emit("witnessed", { witness, signature: Buffer.alloc(64) });
  const word2 = { witness, present: true, roundTripMs: 1, at: 1, signature: Buffer.alloc(64) };
  phone.socket?.emit("attested", word2);
  phone.socket?.emit("nonce", { witness, nonce: Buffer.alloc(32) });
  phone.socket?.emit("nonce", { witness: "w_gone", nonce: Buffer.alloc(32) });
  phone.socket?.emit("nonce", { witness, nonce: Buffer.alloc(31) });
  await expect
    .poll(() => phone.refusals)
    .toMatchObject([
      { event: "witnessed", error: { code: "forbidden", field: "witness" } },
      { event: "attested", error: { code: "bad-signature", field: "signature" } },
      { event: "nonce", error: { code: "wrong-state", field: "nonce" } },
      { event: "nonce", error: { code: "malformed-message", field: "nonce", expected: "exactly 32 bytes" } },
    ]);
  expect(await hub.store.availability(day)).toMatchObject([{ present: 1, absent: 0 }]);
  await Promise.all([ann, phone].map((one) => one.drop()));
});
