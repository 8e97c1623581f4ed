import { sign } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { afterAll, beforeAll, expect, it } from "vitest";
import { NANO_PER_UNIT } from "../../shared/money.ts";
import { requestText } from "../../shared/signed-request.ts";
import { verifyReceipt } from "../cli/verify-receipt.ts";
import { CLEAN_MS } from "../economy/maturation.ts";
import { verifyPayout } from "../economy/payouts.ts";
import { digestOf } from "../settlement/personal-sign.ts";
import type { WireMiner } from "../sim/wire-miner.ts";
import type { RunningHub } from "../start-hub.ts";
import { openHub } from "../test-hub.ts";
import { openDigitsStage } from "./digits-stage.ts";

/**
 * The journey of the money: two miners earn on a real hub, time passes on its clock, their pay matures, the operator closes
 * the epoch, and what they earned is spent as API balance and paid out under a root.
 */
const seven = fileURLToPath(new URL("../../models/digits/examples/seven.json", import.meta.url));
const stage = openDigitsStage(1);
let dataDir: string;
let hub: RunningHub;
let shift = 0;
const clock = { now: () => Date.now() + shift };

const start = async () => {
  hub = await openHub(dataDir, { env: { TABGRID_PAYOUTS: "csv" }, clock });
};

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "tabgrid-money-"));
  await start();
});
afterAll(async () => {
  await hub?.close();
  await stage.close();
  await rm(dataDir, { recursive: true, force: true });
});

async function mine(): Promise<WireMiner> {
  const miner = stage.miner(hub.url);
  await miner.connect();
  return miner;
}

async function call(method: string, path: string, { token, body }: { token?: string; body?: unknown } = {}) {
  const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
  const response = await fetch(`${hub.url}${path}`, {
    method,
    headers,
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: await response.json() };
}
const operator = () => ({ token: hub.adminToken.value });

const signedBy = (miner: WireMiner, request: Record<string, unknown>) => {
  const text = JSON.stringify({ hub: hub.gateway.settlement.hubKey, at: clock.now(), ...request });
  const signature = sign(null, Buffer.from(requestText("owner-request", text)), miner.identity.privateKey).toString(
    "base64url",
  );
  return { public_key: miner.publicKey.toString("base64url"), request: text, signature };
};

it("held pay matures, an epoch is closed, earnings are spent and paid out", { timeout: 120_000 }, async () => {
  const [ada, ben] = [await mine(), await mine()];
  await expect
    .poll(async () => (await call("GET", "/v2/models/digits")).body.parameters.miners_ready, { timeout: 30_000 })
    .toBe(2);
  const receipts: string[] = [];
  for (let i = 0; i < 12; i++) {
    const answer = await call("POST", "/v2/models/digits/infer", {
      token: hub.firstKey.value,
      body: JSON.parse(await readFile(seven, "utf8")),
    });
    expect(answer.status).toBe(200);
    receipts.push(answer.body.parameters.receipt);
  }
  const token = hub.firstKey.value;
  for (const receipt of receipts) {
    await expect.poll(async () => (await call("GET", `/api/v1/receipts/${receipt}`, { token })).status).toBe(200);
  }
  const owners = [ada, ben].map((miner) => miner.welcome?.owner as string);
  const earned = async (owner: string) => (await call("GET", `/api/v1/earnings/${owner}`)).body;
  const held = await Promise.all(owners.map(async (owner) => BigInt((await earned(owner)).held)));
  expect(held[0] ?? 0n).toBeGreaterThan(1_000n);
  await Promise.all([ada.drop(), ben.drop()]);

  // The market gets a price of 28 days; by then all pay has matured, on a hub that was started again.
  const seeded = await hub.parties.market.seed(
    { customer: null, key: null } as never,
    50_000n * NANO_PER_UNIT,
    1_000_000n * NANO_PER_UNIT,
  );
  expect(seeded.ok).toBe(true);
  await hub.close();
  shift = 2 * CLEAN_MS + 86_400_000;
  await start();
  expect(await earned(owners[0] as string)).toMatchObject({ held: "0", available: String(held[0]) });

  // Ada spends half of it on the network itself; the same request again moves nothing.
  const half = (held[0] as bigint) / 2n;
  const spend = signedBy(ada, { action: "spend", customer: "first", amount: String(half) });
  const left = String((held[0] as bigint) - half);
  expect(await call("POST", "/api/v1/earnings/spend", { body: spend })).toMatchObject({
    status: 200,
    body: { available: left },
  });
  expect(await call("POST", "/api/v1/earnings/spend", { body: spend })).toMatchObject({
    status: 200,
    body: { available: left },
  });
  const forged = { ...spend, request: spend.request.replace(`"${half}"`, '"1"') };
  expect(await call("POST", "/api/v1/earnings/spend", { body: forged })).toMatchObject({
    status: 401,
    body: { code: "bad-signature" },
  });

  // Ben wants to be paid out; the address proves itself.
  const wallet = secp256k1.utils.randomSecretKey();
  const address = `0x${Buffer.from(keccak_256(secp256k1.getPublicKey(wallet, false).subarray(1)))
    .subarray(12)
    .toString("hex")}`;
  const account = `miner:${owners[1]}`;
  const shown = await call("GET", `/api/v1/payouts/address?account=${account}&address=${address}`);
  const recovered = secp256k1.sign(digestOf(shown.body.message), wallet, { prehash: false, format: "recovered" });
  const proof = `0x${Buffer.from([...recovered.subarray(1), 27 + (recovered[0] as number)]).toString("hex")}`;
  const wrong = signedBy(ben, { action: "payout-address", address: `0x${"11".repeat(20)}`, proof });
  expect(await call("POST", "/api/v1/payouts/address", { body: wrong })).toMatchObject({
    status: 401,
    body: { field: "proof" },
  });
  const set = await call("POST", "/api/v1/payouts/address", {
    body: signedBy(ben, { action: "payout-address", address, proof }),
  });
  expect(set).toMatchObject({ status: 200, body: { account, address } });
  const earlier = signedBy(ben, { action: "payout-address", address, proof, at: clock.now() - 60_000 });
  expect(await call("POST", "/api/v1/payouts/address", { body: earlier })).toMatchObject({
    status: 401,
    body: { code: "stale-nonce", field: "request.at" },
  });

  // The operator closes the epoch; nobody else can.
  expect((await call("POST", "/api/v1/epochs/1/preview", { token })).status).toBe(403);
  const preview = await call("POST", "/api/v1/epochs/1/preview", operator());
  expect(preview).toMatchObject({ status: 200, body: { epoch: { state: "previewed" } } });
  expect((await call("POST", "/api/v1/epochs/1/close", operator())).body.code).toBe("epoch-not-approved");
  const { digest } = preview.body.epoch;
  const approve = { ...operator(), body: { digest } };
  expect(await call("POST", "/api/v1/epochs/1/approve", approve)).toMatchObject({
    status: 200,
    body: { state: "approved" },
  });
  const closed = await call("POST", "/api/v1/epochs/1/close", operator());
  expect(closed).toMatchObject({ status: 200, body: { state: "closed", digest } });
  expect((await call("POST", "/api/v1/epochs/1/close", operator())).body.code).toBe("epoch-closed");
  expect(BigInt(closed.body.plan.minted)).toBeGreaterThan(0n);
  expect((await call("GET", "/api/v1/epochs")).body.data).toMatchObject([{ epoch: 2, state: "open" }, { epoch: 1 }]);

  // Ben's whole on-chain units have left the ledger, and a contract would pay them to his address.
  const promised = (await call("GET", `/api/v1/epochs/1/proof/${account}`)).body.data;
  const usdc = promised.find((one: { asset: string }) => one.asset === "USDC");
  expect(BigInt(usdc.cumulative)).toBe((held[1] as bigint) / 1_000n);
  expect(verifyPayout(usdc.root, address, BigInt(usdc.cumulative), usdc.proof, keccak_256)).toBe(true);
  const claim = { ...operator(), body: { reference: "0xabc", asset: "USDC", address, cumulative: usdc.cumulative } };
  expect((await call("POST", "/api/v1/payouts/claims", claim)).status).toBe(200);
  expect((await call("POST", "/api/v1/payouts/claims", claim)).status).toBe(200);
  const again = { ...operator(), body: { ...claim.body, reference: "0xdef" } };
  expect((await call("POST", "/api/v1/payouts/claims", again)).body.code).toBe("already-claimed");
  expect(existsSync(join(dataDir, "payouts", "epoch-1-USDC.csv"))).toBe(true);

  // A receipt proves itself up to the epoch's root, with nothing but the hub's key.
  const receipt = await call("GET", `/api/v1/receipts/${receipts[0]}`, { token });
  const verified = verifyReceipt(JSON.stringify(receipt.body), hub.gateway.settlement.hubKey);
  expect(verified.ok ? verified.value.at(-1) : verified.error).toContain("under the signed root of epoch 1");
  expect(receipt.body.epoch).toMatchObject({ epoch: 1 });
  expect(await hub.store.integrityCheck()).toEqual([]);
  expect((await call("GET", "/api/v1/ledger/imbalance", operator())).body).toMatchObject({ USDC: "0", DN: "0" });
});
