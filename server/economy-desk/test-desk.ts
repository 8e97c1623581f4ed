import { generateKeyPairSync, sign } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { customerSchema } from "../../shared/economy-api.ts";
import type { CustomerId, ModelKey, OwnerId } from "../../shared/ids.ts";
import { requestText } from "../../shared/signed-request.ts";
import { manualClock } from "../../shared/time.ts";
import { KeyRing } from "../api/auth.ts";
import { keys, startApi } from "../api/scripted-gateway.ts";
import type { Transfer } from "../economy/ledger.ts";
import { DomainMap } from "../settlement/domain-map.ts";
import { minerIdOf, rawPublicKey } from "../sockets/identity.ts";
import { openStore } from "../store/open.ts";
import { openEconomyDesk } from "./economy-desk.ts";

/** The desk on a real store behind real HTTP, with a clock that tests move; parties by name. */
export const DAY = 86_400_000;
export const UNIT = 1_000_000_000n;

export type TestDesk = Awaited<ReturnType<typeof startTestDesk>>;

export async function startTestDesk() {
  const folder = await mkdtemp(join(tmpdir(), "tabgrid-desk-"));
  const clock = manualClock(1_000_000);
  const ring = new KeyRing();
  const domains = new DomainMap();
  domains.epoch = 1; // the first, which the store begins with
  const posted: Transfer[] = [];
  const parts = { clock, domains, posted: (transfers: readonly Transfer[]) => void posted.push(...transfers) };
  const hub = { hubKey: "the-hub", changed: async () => {} };
  const open = async () => {
    const store = await openStore({ kind: "sqlite", folder, hub: "one" });
    await store.migrate();
    const desk = await openEconomyDesk({ ...parts, store }, ring, [], hub);
    const api = await startApi({}, [], { ring, parties: desk });
    return { store, desk, api };
  };
  let living = await open();
  const close = async () => {
    await living.api.close();
    await living.store.close();
  };

  async function call(method: string, path: string, key: string | null, body?: unknown, headers = {}) {
    const response = await living.api.fetch(`/api/v1${path}`, {
      method,
      headers: { ...(key !== null && { authorization: `Bearer ${key}` }), ...headers },
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }
  const get = (path: string, key: string | null = keys.operator) => call("GET", path, key);
  const post = (path: string, key: string | null, body: unknown = {}, headers = {}) =>
    call("POST", path, key, body, headers);
  /** Fails the test where the hub refuses. */
  async function must(path: string, key: string | null, body: unknown = {}, method = "POST") {
    const answer = await call(method, path, key, body);
    expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(300);
    return answer.body;
  }
  async function customer(name: string, usdc = 100n * UNIT, dn = 100n * UNIT) {
    const made = customerSchema.parse(await must("/customers", keys.operator, { name }));
    const grants = { usdc: String(usdc), dn: String(dn) };
    await must(`/customers/${made.customer}/grants`, keys.operator, grants);
    return made as { customer: CustomerId; key: string };
  }
  /** A version that is published, as registration leaves it. */
  async function publish(model: string, creator: string, royaltyBasisPoints = 2_000, domain = "commons") {
    const version = { model: model as ModelKey, domain, creator, royaltyBasisPoints, round: null };
    const foundation = { customer: null, key: null };
    const drafted = await living.desk.domains.draft(foundation, version);
    if (drafted.ok) await living.desk.domains.mint(foundation, version);
    return drafted;
  }
  /** A miner that has come once. */
  async function miner() {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const raw = rawPublicKey(publicKey);
    const id = minerIdOf(raw);
    const owner = `own_${id.slice(2)}` as OwnerId;
    const text = Buffer.from(raw).toString("base64url");
    await living.store.commit({
      miners: [{ miner: id, publicKey: text, owner, firstSeenAt: 1, lastSeenAt: 1 }],
    });
    const signed = (request: object, by = privateKey) => {
      const asked = JSON.stringify({ hub: "the-hub", at: clock.now(), ...request });
      const signature = sign(null, Buffer.from(requestText("miner-request", asked)), by).toString("base64url");
      return { public_key: text, request: asked, signature };
    };
    return { id, owner, privateKey, signed };
  }

  return {
    clock,
    domains,
    posted,
    get store() {
      return living.store;
    },
    get desk() {
      return living.desk;
    },
    operator: keys.operator,
    call,
    get,
    post,
    must,
    customer,
    publish,
    miner,
    balance: async (account: string) => (await living.store.account(account as never))?.balance ?? 0n,
    /** As after a restart of the process. */
    async restart() {
      await close();
      living = await open();
    },
    async close() {
      await close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
