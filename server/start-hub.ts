import { createHash, randomBytes, randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import type { Logger } from "pino";
import { Server } from "socket.io";
import * as msgpack from "socket.io-msgpack-parser";
import type { ConsoleToHub, HubToConsole } from "../shared/console-protocol.ts";
import { type AccountId, type ModelKey, modelKey, type OwnerId } from "../shared/ids.ts";
import { limits } from "../shared/limits.ts";
import type { HubToMiner, MinerToHub } from "../shared/protocol.ts";
import { seededRng } from "../shared/random.ts";
import { ok } from "../shared/result.ts";
import { type Clock, systemClock } from "../shared/time.ts";
import { AgentDesk } from "./agents/desk.ts";
import { createApi } from "./api/app.ts";
import { createOpenAi } from "./api/openai/openai.ts";
import { defaultRateLimits, type RateLimits } from "./api/rate-limit.ts";
import { bootstrap } from "./bootstrap.ts";
import { quarantinedGrounds } from "./cases/revisions.ts";
import type { Config } from "./config.ts";
import { PRICES_KEPT } from "./core/check-policy.ts";
import { HubState } from "./core/state.ts";
import { accounts } from "./economy/accounts.ts";
import { voidHold } from "./economy/holds.ts";
import type { Transfer } from "./economy/ledger.ts";
import { type EconomyDesk, openEconomyDesk } from "./economy-desk/economy-desk.ts";
import { createGateway } from "./gateway/hub-gateway.ts";
import { createImporter } from "./import/importer.ts";
import { createReferenceDesk } from "./reference/desk.ts";
import { createReferenceNode, type ReferenceNode } from "./reference/node.ts";
import { createRegistry } from "./registry/registry.ts";
import { Compatibility } from "./runtime/compatibility.ts";
import { ProbeKeeper } from "./runtime/probes.ts";
import { Runtime } from "./runtime/runtime.ts";
import { Statistics } from "./runtime/statistics.ts";
import { DomainMap } from "./settlement/domain-map.ts";
import { openSettlement } from "./settlement/open-settlement.ts";
import { BlobStore } from "./sockets/blobs.ts";
import { ConsoleFeed } from "./sockets/console.ts";
import { EarningsFeed } from "./sockets/earnings.ts";
import { commitmentOf } from "./sockets/identity.ts";
import { MinerSockets } from "./sockets/miners.ts";
import { openStore } from "./store/open.ts";
import type { Store } from "./store/store.ts";
import { WebhookDesk } from "./webhooks/desk.ts";

/** The composition root: opens everything, joins it, and hands back what can be closed again. */

export interface HubOptions {
  config: Config;
  log: Logger;
  version: string;
  /** The built pages; null serves none. */
  clientDir: string | null;
  /** Whether requests that no miner can take are served by the reference node. */
  referenceServes?: boolean;
  rateLimits?: RateLimits;
  /** Lets webhooks go to this machine itself, over plain HTTP: for tests. */
  webhooksToLoopback?: boolean;
  /** The same for tool servers of agents. */
  toolsOnLoopback?: boolean;
  /** The machine's where it is left out; tests move their own. */
  clock?: Clock;
  /** Called when the hub cannot go on: a commit failed, an invariant broke. The process should end. */
  fatal(error: unknown): void;
}

export type RunningHub = Awaited<ReturnType<typeof startHub>>;

/** Reference runs in flight above which peers are preferred as checkers. */
const REFERENCE_BACKLOG = 16;
const builtInDir = fileURLToPath(new URL("../models", import.meta.url));

export async function startHub(options: HubOptions) {
  const { config, log } = options;
  const hub = "hub-1";
  const store = await openStore(
    config.databaseUrl
      ? { kind: "postgres", url: config.databaseUrl, hub }
      : { kind: "sqlite", folder: config.dataDir, hub },
  );
  const reference = createReferenceNode();
  try {
    await store.migrate();
    return await assemble(options, store, reference);
  } catch (error) {
    log.debug({ err: error }, "start failed");
    await reference.close();
    await store.close();
    throw error;
  }
}

async function assemble(options: HubOptions, store: Store, reference: ReferenceNode) {
  const { config, log } = options;
  const clock = options.clock ?? systemClock;
  await voidOpenHolds(store, clock.now());
  const { hubKey, keys, firstKey, adminToken, isOperator } = await bootstrap(store, config, clock.now());
  const registry = createRegistry({ dataDir: config.dataDir, builtInDir, reference });
  const models = await registry.load();
  const askReference = createReferenceDesk(reference, (model) => registry.modelFiles(model));

  const state = new HubState({
    idPrefix: randomBytes(9).toString("base64url"),
    referenceServes: options.referenceServes ?? true,
    referenceBacklog: REFERENCE_BACKLOG,
  });
  for (const price of await store.recentPrices(PRICES_KEPT)) state.prices.add(price);
  const domains = new DomainMap();
  domains.epoch = (await store.settlement.running()).epoch;
  const posted = (transfers: readonly Transfer[]) => runtime.posted(transfers);
  const hubKeyText = Buffer.from(hubKey.publicKey).toString("base64url");
  /** Tells the core what an owner has to lose, and what it may not work for. */
  const changed = async (owner: OwnerId) => {
    const published = gateway.models().map(({ manifest }) => modelKey(manifest.id, manifest.version));
    const barred = await parties.miners.barred(owner, published);
    const atRisk = await parties.miners.atRisk(owner);
    runtime.report({ kind: "owner.funds", at: clock.now(), owner, atRisk, barred });
  };
  const parties: EconomyDesk = await openEconomyDesk({ store, clock, domains, posted }, keys, models, {
    hubKey: hubKeyText,
    changed,
  });
  const pools = new Map<string, bigint>();
  for (const domain of domains.names()) {
    pools.set(domain, (await store.account(accounts.pool(domain)))?.balance ?? 0n);
  }
  const deposits = new Map<AccountId, bigint>();
  for (const { body } of await store.parties.all("registration")) {
    if (body.deposit > 0n) deposits.set(accounts.collateral(body.domain, body.owner), body.deposit);
  }
  const sign = (preimage: Uint8Array) => Buffer.from(hubKey.sign(preimage)).toString("base64url");
  const compatibility = new Compatibility(await store.compatibility());
  const runtime: Runtime = new Runtime(
    {
      state,
      rng: seededRng(randomInt(2 ** 32 - 1)),
      store,
      clock,
      domains,
      compatibility,
      sign,
      filesHash: (model) => {
        const registered = registry.get(model);
        return registered ? filesHash(registered.manifest.files) : undefined;
      },
      runReference: async (question, progress) => {
        const run = await askReference(question, progress);
        return run.ok ? ok({ ...run.value, commitment: commitmentOf(run.value.outputs).toString("hex") }) : run;
      },
      proofOf: (witness) => sockets.witnesses.takeProof(witness),
      fatal: options.fatal,
    },
    { pools, deposits, credits: await store.settlement.credits() },
  );

  const statistics = new Statistics(state, clock.now);
  const blobs = new BlobStore();
  const importer = createImporter({ dataDir: config.dataDir, endpoint: config.hfEndpoint });
  const desks = { parties, importer };
  const gatewayParts = { state, runtime, store, registry, blobs, statistics, compatibility, domains, clock, ...desks };

  // The app needs the sockets and the sockets need the server: the server takes its handler last.
  const server = config.tls ? createHttpsServer(config.tls) : createHttpServer();
  const io = new Server<MinerToHub & ConsoleToHub, HubToMiner & HubToConsole>(server, {
    parser: msgpack,
    transports: ["websocket"],
    serveClient: false,
    maxHttpBufferSize: limits.socketMessageBytes,
    perMessageDeflate: false,
  });
  const trust: { fn: (address: string, hop: number) => boolean } = { fn: () => false };
  const warn = (message: string, detail: Record<string, unknown>) => log.warn(detail, message);
  const sockets: MinerSockets = new MinerSockets({
    namespace: io.of("/miner") as never,
    hubKey,
    blobs,
    clock,
    trusts: (address, hop) => trust.fn(address, hop),
    report: (event) => runtime.report(event),
    admit: async ({ miner, owner, publicKey }) => {
      const at = clock.now();
      const identity = {
        miner,
        owner,
        publicKey: Buffer.from(publicKey).toString("base64url"),
        firstSeenAt: at,
        lastSeenAt: at,
      };
      await store.commit({ miners: [identity] });
      await earnings.open(owner);
      await changed(owner);
      return store.standing(owner);
    },
    goldenInputs: (model) => registry.get(model)?.golden.map((vector) => vector.inputs) ?? [],
    keepChain: (session, miner, { seq, link, signature }) => {
      runtime.keepChain({
        session,
        miner,
        seq,
        link: Buffer.from(link).toString("hex"),
        signature: Buffer.from(signature).toString("base64url"),
        at: clock.now(),
      });
    },
    warn,
  });
  runtime.deliver = (effect) => sockets.deliver(effect);
  const earnings: EarningsFeed = new EarningsFeed(state, store, (owner, update) => sockets.sendAccount(owner, update));
  const consoleFeed = new ConsoleFeed({
    namespace: io.of("/console") as never,
    state,
    clock,
    version: options.version,
    isOperator,
    totals: () => statistics.totals(),
    ledger: async () => {
      const [page, imbalance, counts] = await Promise.all([
        store.accounts({ limit: 100, after: null }),
        store.imbalance(),
        store.counts(),
      ]);
      return {
        imbalance: (imbalance.USDC + imbalance.DN).toString(),
        accounts: page.data.map(({ account, asset, balance }) => ({ account, asset, balance: balance.toString() })),
        transfers: counts.transfers,
      };
    },
    openCases: () => store.openCases(),
    earned: (owner) => earnings.of(owner),
    warn,
  });
  for (const observer of [statistics, earnings, consoleFeed]) runtime.observers.add(observer);

  const settlement = await openSettlement({
    runtime,
    store,
    clock,
    domains,
    catchUp: parties.catchUp,
    rail: config.payouts,
    dataDir: config.dataDir,
    sign,
    hubKey: hubKeyText,
  });
  // Ed25519 signs alike every time, and this preimage for nothing else: a secret that needs no storing.
  const seedKey = hubKey.sign(new TextEncoder().encode("tabgrid/seeds/1\n"));
  const gateway = createGateway({ ...gatewayParts, settlement, sockets, hubKey: hubKeyText, seedKey });
  for (const model of models) gateway.publish(model);
  const probes = new ProbeKeeper({
    state,
    store,
    clock,
    ask: (model, inputs) => askReference({ model, mode: "run", inputs }, { piece: () => {}, isWanted: () => true }),
    report: (event) => runtime.report(event),
    warn,
  });
  await probes.load(models.map(({ manifest }) => `${manifest.id}@${manifest.version}` as ModelKey));
  probes.start(options.fatal);
  for (const ground of await quarantinedGrounds(store)) {
    runtime.report({ kind: "class.ruled", at: clock.now(), ground, quarantined: true });
  }
  await store.idempotency.releaseOwn();
  const agents = new AgentDesk({ gateway, clock, store: store.agents, loopback: options.toolsOnLoopback ?? false });
  const openAi = createOpenAi({ gateway, store, dataDir: config.dataDir, clock, log, agents });
  const webhookDesk = new WebhookDesk({
    store: store.webhooks,
    clock,
    loopback: options.webhooksToLoopback ?? false,
    warn,
  });
  webhookDesk.start();
  const app = createApi({
    gateway,
    openAi,
    webhooks: webhookDesk,
    agents,
    replies: store.idempotency,
    clock,
    keys,
    config: {
      trustProxy: config.trustProxy,
      version: options.version,
      clientDir: options.clientDir,
      rateLimits: options.rateLimits ?? defaultRateLimits,
      log,
    },
  });
  trust.fn = app.get("trust proxy fn");
  server.on("request", app);
  await runtime.settled();
  settlement.maturer.start(options.fatal);
  await openAi.start();
  await listen(server, config);

  const { port } = server.address() as AddressInfo;
  const host = config.host.includes(":") ? `[${config.host}]` : config.host;
  return {
    url: `${config.tls ? "https" : "http"}://${host}:${port}`,
    /** `fresh` only on the start that made it. */
    firstKey,
    adminToken,
    state,
    runtime,
    store,
    gateway,
    parties,
    probes,
    domains,
    /** Answers what is under way, commits it, and lets go of everything. */
    async close(): Promise<void> {
      server.close();
      io.disconnectSockets(true);
      await openAi.close();
      await webhookDesk.close();
      consoleFeed.close();
      earnings.close();
      await settlement.maturer.close();
      await probes.close();
      await runtime.close();
      server.closeAllConnections();
      await io.close();
      await reference.close();
      await store.close();
    },
  };
}

/** A restart voids the holds of requests whose callers it has lost. */
async function voidOpenHolds(store: Store, at: number): Promise<void> {
  const open = await store.openHolds();
  if (open.length > 0) await store.commit({ transfers: open.map((hold) => voidHold(hold, at)) });
}

/** One hash over all files of a model version, in order of path; part of every receipt. */
function filesHash(files: readonly { path: string; sha256: string }[]): string {
  const hash = createHash("sha256");
  for (const { path, sha256 } of [...files].sort((a, b) => (a.path < b.path ? -1 : 1)))
    hash.update(`${path}\n${sha256}\n`);
  return hash.digest("hex");
}

async function listen(server: ReturnType<typeof createHttpServer>, { host, port }: Config): Promise<void> {
  server.listen(port, host);
  await once(server, "listening");
}
