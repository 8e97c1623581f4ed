import { once } from "node:events";
import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Server } from "socket.io";
import * as msgpack from "socket.io-msgpack-parser";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { CustomerId, ModelKey, SessionId, TaskId } from "../../shared/ids.ts";
import { type Challenge, PROTOCOL_VERSION, type Refused, type SessionRole } from "../../shared/protocol.ts";
import { seededRng } from "../../shared/random.ts";
import { type Tensor, tensorOf, toNumbers } from "../../shared/tensor.ts";
import { systemClock } from "../../shared/time.ts";
import type { CoreModel, HubEffect, HubEvent } from "../core/events.ts";
import { step } from "../core/hub.ts";
import { HubState } from "../core/state.ts";
import { WireMiner } from "../sim/wire-miner.ts";
import { BlobStore } from "./blobs.ts";
import { hubKeyFrom, newHubKeyPkcs8 } from "./identity.ts";
import { type MinerEffect, MinerSockets } from "./miners.ts";
import { clientAddress, networkOf } from "./network.ts";

/** Real sockets, real keys and the production core; only the store and the reference node are left out. */

const model: CoreModel = {
  key: "double@1" as ModelKey,
  memoryBytes: 1_000,
  downloadBytes: 1_000,
  batchLimit: 8,
  rowsIndependent: true,
  comparator: { kind: "dense", relL2Pass: 1e-4, relL2Fail: 5e-4, abs: 1e-4, rel: 1e-3 },
  outputs: [{ name: "y", dtype: "float32", shape: ["n"] }],
  nonFiniteOutputs: false,
  golden: [{ inputs: [x(2)], outputs: [y(4)] }],
  creator: "tabgrid",
  royaltyBasisPoints: 2000,
  referenceMs: 5,
};
function x(value: number): Tensor {
  return tensorOf("x", "float32", [1], Float32Array.of(value));
}
function y(value: number): Tensor {
  return tensorOf("y", "float32", [1], Float32Array.of(value));
}
const double = (_: string, inputs: Tensor[]) =>
  inputs.map(({ data, shape }) =>
    tensorOf(
      "y",
      "float32",
      shape,
      Float32Array.from(toNumbers({ dtype: "float32", data }), (v) => v * 2),
    ),
  );

let http: HttpServer;
let sockets: MinerSockets;
let state: HubState;
let url: string;
let effects: HubEffect[];
let chains: number;
const miners: WireMiner[] = [];
const blobs = new BlobStore();

beforeEach(async () => {
  http = createServer();
  const server = new Server(http, { parser: msgpack, transports: ["websocket"], serveClient: false });
  state = new HubState({ idPrefix: "t", referenceServes: true, referenceBacklog: 0 });
  const rng = seededRng(1);
  effects = [];
  chains = 0;
  const report = (event: HubEvent) => {
    for (const effect of step(state, [event], rng).effects) {
      effects.push(effect);
      if (["prepare", "assign", "cancel", "refuse", "kept", "disconnect"].includes(effect.kind))
        sockets.deliver(effect as MinerEffect);
    }
  };
  sockets = new MinerSockets({
    namespace: server.of("/miner"),
    hubKey: hubKeyFrom(newHubKeyPkcs8()),
    blobs,
    clock: systemClock,
    trusts: () => true,
    report,
    admit: async () => null,
    goldenInputs: () => model.golden.map((vector) => vector.inputs),
    keepChain: () => chains++,
    warn: (message) => expect.fail(message),
  });
  report({ kind: "model.published", at: Date.now(), model });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
});

afterEach(async () => {
  for (const miner of miners.splice(0)) await miner.drop();
  http.closeAllConnections();
  await new Promise((resolve) => http.close(resolve));
});

async function ready(role: SessionRole = "miner"): Promise<WireMiner> {
  const miner = new WireMiner({ url, compute: double, role });
  miners.push(miner);
  miner.automatic = false;
  const prepared = once(miner, "prepared");
  await miner.connect();
  await prepared;
  await expect
    .poll(() => state.roster.able(model.key, role).some((session) => session.id === miner.welcome?.session))
    .toBe(true);
  return miner;
}

function submit(value: number): void {
  const spec = {
    task: `t_${value}_${Math.random()}` as TaskId,
    customer: "c" as CustomerId,
    model: model.key,
    inputs: [x(value)],
    inputHash: "",
    rows: 1,
    dims: { n: 1 },
    work: 1n,
    price: 1000n,
    level: "fast" as const,
    deadlineAt: Date.now() + 60_000,
  };
  const result = step(state, [{ kind: "task.submitted", at: Date.now(), spec }], seededRng(2));
  for (const effect of result.effects) {
    effects.push(effect);
    if (effect.kind === "assign") sockets.deliver(effect);
  }
}

async function assigned(miner: WireMiner): Promise<string> {
  const waiting = once(miner, "assigned");
  submit(3);
  const [message] = (await waiting) as [{ items: { assignment: string }[] }];
  return message.items[0]?.assignment as string;
}

async function refusal(miner: WireMiner, act: () => void): Promise<Refused> {
  const waiting = once(miner, "refused");
  act();
  const [refused] = (await waiting) as [Refused];
  return refused;
}

/** A raw connection that has its challenge and has said nothing yet. */
async function stranger(): Promise<{ miner: WireMiner; challenge: Challenge }> {
  const miner = new WireMiner({ url, compute: double });
  miners.push(miner);
  const challenge = await miner.open();
  return { miner, challenge };
}

describe("/miner, the good way", () => {
  it("admits, assigns, accepts, and takes the chain's signature", async () => {
    const miner = await ready();
    const assignment = await assigned(miner);
    miner.answer(assignment, [y(6)]);
    await expect.poll(() => effects.some((effect) => effect.kind === "reply" && effect.outcome.result.ok)).toBe(true);
    await expect.poll(() => chains).toBe(1);
    expect(miner.refusals).toEqual([]);
  });

  it("gives a validator no answers to compute, and the checks of others'", async () => {
    const validator = await ready("validator");
    submit(3);
    expect(effects.filter((effect) => effect.kind === "assign")).toEqual([]);
    const miner = await ready();
    const assignment = await assigned(miner);
    const waiting = once(validator, "assigned");
    miner.answer(assignment, [y(6)]);
    const [check] = (await waiting) as [{ items: { assignment: string }[] }];
    validator.answer(check.items[0]?.assignment as string, [y(6)]);
    const session = validator.welcome?.session as SessionId;
    await expect.poll(() => state.roster.sessions.get(session)?.accepted).toBe(1);
    expect(validator.refusals).toEqual([]);
  });

  it("signs what an earlier connection left unsigned in the next hello", async () => {
    const miner = await ready();
    const assignment = await assigned(miner);
    miner.answer(assignment, [y(6)]);
    await expect.poll(() => effects.some((effect) => effect.kind === "reply")).toBe(true);
    await miner.drop();
    expect(chains).toBe(0);
    await miner.connect();
    expect(chains).toBe(1);
  });

  it("sends large tensors as blobs that only the session may fetch", async () => {
    const large = tensorOf("x", "float32", [300_000], new Float32Array(300_000).fill(2));
    const hash = blobs.put(large.data);
    const miner = await ready();
    const session = miner.welcome?.session as string;
    expect(sockets.allowsBlob(session, "GET", hash, "00")).toMatchObject({
      ok: false,
      error: { code: "bad-authentication" },
    });
    expect(sockets.allowsBlob("s_nobody", "GET", hash, "00").ok).toBe(false);
    expect(blobs.putAs(hash, large.data)).toMatchObject({ ok: true });
    expect(blobs.putAs(hash, new Uint8Array(3))).toMatchObject({ ok: false, error: { field: "sha256" } });
  });
});

describe("/miner, bad input: each its own error, and nothing changes", () => {
  it("refuses everything before hello", async () => {
    const { miner } = await stranger();
    const refused = await refusal(miner, () => miner.socket?.emit("result", { items: [] }));
    expect(refused).toMatchObject({ event: "result", error: { code: "unauthenticated", expected: "hello first" } });
    expect(state.roster.sessions.size).toBe(0);
  });

  it("refuses an older protocol, naming both versions", async () => {
    const { miner, challenge } = await stranger();
    expect(await miner.hello(challenge, { protocol: 0 })).toMatchObject({
      ok: false,
      error: { code: "protocol-mismatch", field: "protocol", expected: String(PROTOCOL_VERSION), got: "0" },
    });
  });

  it("refuses a hello of another key, a foreign signature and a malformed one, by field", async () => {
    const { miner, challenge } = await stranger();
    const other = new WireMiner({ url, compute: double });
    expect(await miner.hello(challenge, { publicKey: other.publicKey })).toMatchObject({
      error: { code: "bad-signature", field: "signature" },
    });
    expect(await miner.hello({ ...challenge, nonce: new Uint8Array(32) })).toMatchObject({
      error: { code: "bad-signature" },
    });
    expect(await miner.hello(challenge, { slots: 99 })).toMatchObject({
      error: { code: "malformed-message", field: "slots" },
    });
    expect(await miner.hello(challenge, { surprise: 1 })).toMatchObject({ error: { code: "malformed-message" } });
    expect(await miner.hello(challenge, { publicKey: Buffer.alloc(3) })).toMatchObject({
      error: { field: "publicKey" },
    });
    expect(state.roster.sessions.size).toBe(0);
    expect((await miner.hello(challenge)).ok).toBe(true);
    expect(await miner.hello(challenge)).toMatchObject({ error: { code: "stale-nonce" } });
  });

  it("refuses an unauthenticated result, one of a wrong number, and then takes the right one", async () => {
    const miner = await ready();
    const assignment = await assigned(miner);
    const spoilt = await refusal(miner, () => miner.answer(assignment, [y(6)], { mac: Buffer.alloc(32) }));
    expect(spoilt).toMatchObject({ assignment, error: { code: "bad-authentication", field: "mac" } });
    const other = await refusal(miner, () =>
      miner.answer(assignment, [y(6)], { outputs: [{ ...y(7), data: Buffer.from(y(7).data) }] }),
    );
    expect(other.error.code).toBe("bad-authentication");
    const gap = await refusal(miner, () => miner.answer(assignment, [y(6)], { seq: 5 }));
    expect(gap).toMatchObject({ error: { code: "out-of-sequence", field: "seq", expected: "1", got: "5" } });
    const short = await refusal(miner, () => miner.socket?.emit("result", { items: [{ assignment }] } as never));
    expect(short).toMatchObject({ error: { code: "malformed-message", field: "items[0].seq" } });
    const blob = await refusal(miner, () =>
      miner.answer(assignment, [y(6)], {
        outputs: [{ name: "y", dtype: "float32", shape: [1], blob: "0".repeat(64) }],
      }),
    );
    expect(blob).toMatchObject({ error: { code: "unknown-blob", field: "items[0].outputs[0].blob" } });
    expect(state.assignments.size).toBe(1);
    miner.answer(assignment, [y(6)]);
    await expect.poll(() => effects.some((effect) => effect.kind === "reply")).toBe(true);
  });

  it("refuses a second result, another miner's, an unknown one, and wrong outputs", async () => {
    const miner = await ready();
    const assignment = await assigned(miner);
    const other = await ready();
    const foreign = await refusal(other, () => other.answer(assignment, [y(6)]));
    expect(foreign).toMatchObject({ assignment, error: { code: "not-your-assignment" } });
    const shape = await refusal(miner, () =>
      miner.answer(assignment, [tensorOf("y", "float32", [2], Float32Array.of(6, 6))]),
    );
    expect(shape.error).toMatchObject({ code: "wrong-outputs", field: "outputs" });
    const name = await refusal(miner, () => miner.answer(assignment, [{ ...y(6), name: "z" }]));
    expect(name.error).toMatchObject({
      code: "wrong-outputs",
      field: "outputs[0].name",
      expected: "one of y",
      got: "z",
    });
    const bytes = await refusal(miner, () => miner.answer(assignment, [{ ...y(6), data: new Uint8Array(3) }]));
    expect(bytes.error).toMatchObject({ code: "wrong-outputs", field: "outputs[0].data" });
    expect(effects.some((effect) => effect.kind === "reply")).toBe(false);
    miner.answer(assignment, [y(6)]);
    await expect.poll(() => effects.some((effect) => effect.kind === "reply")).toBe(true);
    expect((await refusal(miner, () => miner.answer(assignment, [y(6)]))).error.code).toBe("duplicate-result");
    expect((await refusal(miner, () => miner.answer("a_nobody", [y(6)]))).error.code).toBe("unknown-assignment");
  });

  it("refuses a chain over other results, by another key or out of range", async () => {
    const miner = await ready();
    const assignment = await assigned(miner);
    miner.answer(assignment, [y(6)]);
    const good = miner.chainSignature();
    const send = (chain: typeof good) => refusal(miner, () => miner.socket?.emit("chain", chain));
    expect((await send({ ...good, link: Buffer.alloc(32) })).error).toMatchObject({
      code: "bad-signature",
      field: "link",
    });
    expect((await send({ ...good, signature: Buffer.alloc(64) })).error).toMatchObject({
      code: "bad-signature",
      field: "signature",
    });
    expect((await send({ ...good, seq: 9 })).error).toMatchObject({
      code: "out-of-sequence",
      expected: "1 to 1",
      got: "9",
    });
    expect(chains).toBe(0);
  });

  it("replaces an older connection of the same identity", async () => {
    const miner = await ready();
    const again = new WireMiner({ url, compute: double });
    Object.assign(again, { identity: miner.identity, publicKey: miner.publicKey });
    miners.push(again);
    const refused = once(miner, "refused");
    await again.connect();
    expect((await refused)[0]).toMatchObject({ error: { code: "replaced" } });
    await expect.poll(() => miner.socket?.connected).toBe(false);
    expect(again.welcome?.miner).toBe(miner.welcome?.miner);
  });
});

describe("networks", () => {
  it("are /24 and /48, and nothing for private addresses", () => {
    expect(networkOf("203.0.113.77")).toBe("203.0.113.0/24");
    expect(networkOf("::ffff:203.0.113.77")).toBe("203.0.113.0/24");
    expect(networkOf("2001:db8:1:2::5")).toBe("2001:db8:1::/48");
    expect(networkOf("2001:db8::5")).toBe("2001:db8:0::/48");
    for (const local of [
      "127.0.0.1",
      "::1",
      "10.1.2.3",
      "192.168.0.9",
      "172.20.1.1",
      "fd00::1",
      "fe80::1%eth0",
      "::ffff:10.0.0.1",
      "junk",
    ]) {
      expect(networkOf(local), local).toBeNull();
    }
  });

  it("follow X-Forwarded-For only through trusted hops", () => {
    const trusted = new Set(["127.0.0.1", "10.0.0.2"]);
    const trusts = (address: string) => trusted.has(address);
    expect(clientAddress("127.0.0.1", "203.0.113.7, 10.0.0.2", trusts)).toBe("203.0.113.7");
    expect(clientAddress("127.0.0.1", "1.2.3.4, 203.0.113.7", trusts)).toBe("203.0.113.7");
    expect(clientAddress("203.0.113.9", "1.2.3.4", trusts)).toBe("203.0.113.9");
    expect(clientAddress("127.0.0.1", undefined, trusts)).toBe("127.0.0.1");
  });
});
