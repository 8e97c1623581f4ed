import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { pino } from "pino";
import { drawDigit, side } from "../models/digits/draw.ts";
import { loadConfig } from "../server/config.ts";
import type { Change } from "../server/runtime/change.ts";
import { type RunningHub, startHub } from "../server/start-hub.ts";
import { seededRng } from "../shared/random.ts";
import { assert } from "../shared/result.ts";
import { type Tensor, tensorOf } from "../shared/tensor.ts";
import { Crowd, MODEL, preset } from "./hub-crowd.ts";
import { type Echo, startEcho } from "./hub-echo.ts";
import { pace, saturate } from "./hub-load.ts";
import type { Counts } from "./hub-miners.ts";

/**
 * Verified tasks per second through a hub with many miners, beside the round trips per second of a bare Socket.IO echo of
 * the same messages, in turns in the same run (../shared/design.md, section 13). bench/README.md tells what is counted.
 */
const { values } = parseArgs({
  options: { sockets: { type: "string", default: "1000" }, seconds: { type: "string", default: "4" } },
});
const sockets = Number(values.sockets);
const seconds = Number(values.seconds);
assert(Number.isInteger(sockets) && sockets > 1 && sockets <= 8_000, "--sockets is an integer from 2 to 8000");
assert(seconds > 0 && seconds <= 60, "--seconds is a number up to 60");

const ROUNDS = 3;
/** No round begins after this, so that a busy machine costs rounds and not minutes. */
const LAST_ROUND_MS = 50_000;
/** Longer than a miner waits before it signs: from then on as many tasks are settled as are submitted. */
const WARM_UP_MS = 3_000;

const rng = seededRng(1);
const pictures = Array.from({ length: 256 }, (_, index) =>
  tensorOf(
    "image",
    "float32",
    [1, 1, side, side],
    drawDigit(index % 10, () => rng.next()),
  ),
);
const picture = (index: number): Tensor => pictures[index % pictures.length] as Tensor;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const rounded = (value: number, digits = 0): number => Number(value.toFixed(digits));
const median = (list: readonly number[]): number => quantile(list, 0.5);

function quantile(list: readonly number[], q: number): number {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

/** After collection: pages of the process, and what its objects and buffers take. */
async function memory(): Promise<{ resident: number; live: number }> {
  for (let i = 0; i < 4; i++) {
    collectGarbage();
    await pause(100);
  }
  const { rss, heapUsed, external } = process.memoryUsage();
  return { resident: rss, live: heapUsed + external };
}

/** What the hub has settled, seen as any observer sees it. */
class Tally {
  tasks = 0;
  checks = 0;
  referenceChecks = 0;
  canaries = 0;

  committed({ settled, transfers }: Change): void {
    this.tasks += settled.length;
    for (const { executions } of settled) {
      this.checks += executions.length - 1;
      if (executions.slice(1).some(({ by }) => by === "reference")) this.referenceChecks++;
    }
    for (const { kind } of transfers) if (kind === "pool-work") this.canaries++;
  }
}

function cpuMs(): () => number {
  const before = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1_000;
  };
}

async function hubRound(hub: RunningHub, crowd: Crowd) {
  const load = saturate(hub.gateway, picture, sockets);
  await pause(WARM_UP_MS);
  const tally = new Tally();
  hub.runtime.observers.add(tally);
  await crowd.ask<Counts>({ kind: "count" });
  const [started, spent, replies] = [performance.now(), cpuMs(), load.replies];
  await pause(seconds * 1_000);
  const [ms, hubMs] = [performance.now() - started, spent()];
  const counted = { ...tally };
  const replied = load.replies - replies;
  hub.runtime.observers.delete(tally);
  const miners = await crowd.ask<Counts>({ kind: "count" });
  await load.stop();
  while (hub.runtime.live.size > 0) await pause(50);
  const { tasks, checks, referenceChecks, canaries } = counted;
  return {
    tasksPerSecond: rounded((tasks / ms) * 1_000),
    repliesPerSecond: rounded((replied / ms) * 1_000),
    checkRate: checks / tasks,
    referenceShareOfChecks: referenceChecks / checks,
    canariesPerTask: canaries / tasks,
    tasksPerMessage: rounded(miners.items / miners.messages, 3),
    hubCpuMicros: rounded((hubMs / tasks) * 1_000, 1),
    minersCpuMicros: rounded((miners.cpuMs / tasks) * 1_000, 1),
    hubBusy: rounded(hubMs / ms, 2),
    refusals: miners.refusals,
  };
}

async function echoRound(echo: Echo, crowd: Crowd, forSeconds: number) {
  await crowd.ask<Counts>({ kind: "count" });
  const [started, spent] = [performance.now(), cpuMs()];
  const trips = await echo.run(forSeconds * 1_000);
  const [ms, hubMs] = [performance.now() - started, spent()];
  const peers = await crowd.ask<Counts>({ kind: "count" });
  return {
    tripsPerSecond: rounded(trips / forSeconds),
    serverCpuMicros: rounded((hubMs / trips) * 1_000, 1),
    peersCpuMicros: rounded((peers.cpuMs / trips) * 1_000, 1),
    serverBusy: rounded(hubMs / ms, 2),
  };
}

async function latencyAt(hub: RunningHub, crowd: Crowd, perSecond: number) {
  await pause(1_000);
  await crowd.ask<Counts>({ kind: "count" });
  const load = pace(hub.gateway, picture, perSecond);
  await pause(WARM_UP_MS);
  load.latencies.length = 0;
  await pause(seconds * 1_000);
  const latencies = load.latencies.slice();
  await load.stop();
  const { ownMs } = await crowd.ask<Counts>({ kind: "count" });
  while (hub.runtime.live.size > 0) await pause(50);
  return {
    offeredPerSecond: rounded(perSecond),
    tasks: latencies.length,
    minersOwnMs: rounded(ownMs, 3),
    p50AboveMs: rounded(quantile(latencies, 0.5) - ownMs, 2),
    p99AboveMs: rounded(quantile(latencies, 0.99) - ownMs, 2),
  };
}

async function measure(hub: RunningHub, crowd: Crowd) {
  const echo = await startEcho("msgpack", pictures);
  const plain = await startEcho("default", pictures);
  const keys = await crowd.ask<string[]>({ kind: "make", url: hub.url, miners: sockets, pictures });
  await preset(hub, keys);
  // Asked for once, so that it is what fresh miners load first.
  await saturate(hub.gateway, picture, 1).stop();

  const before = await memory();
  await crowd.ask({ kind: "echo", url: echo.url, parser: "msgpack", sockets });
  const withBare = await memory();
  await crowd.ask({ kind: "join" });
  while (hub.state.roster.able(MODEL).length < sockets) await pause(50);
  const withMiners = await memory();

  const hubRounds: Awaited<ReturnType<typeof hubRound>>[] = [];
  const echoRounds: Awaited<ReturnType<typeof echoRound>>[] = [];
  for (let round = 0; round === 0 || (round < ROUNDS && performance.now() < LAST_ROUND_MS); round++) {
    hubRounds.push(await hubRound(hub, crowd));
    echoRounds.push(await echoRound(echo, crowd, seconds));
    process.stderr.write(
      `${hubRounds.at(-1)?.tasksPerSecond} tasks/s, ${echoRounds.at(-1)?.tripsPerSecond} echoes/s\n`,
    );
  }
  const of = <T>(rounds: readonly T[], value: (round: T) => number) => median(rounds.map(value));
  const tasksPerSecond = of(hubRounds, (one) => one.tasksPerSecond);
  const echoesPerSecond = of(echoRounds, (one) => one.tripsPerSecond);
  const perMiner = (of: "resident" | "live") => {
    const bare = (withBare[of] - before[of]) / sockets / 1024;
    const miner = (withMiners[of] - withBare[of]) / sockets / 1024;
    return { bare: rounded(bare, 1), miner: rounded(miner, 1), above: rounded(miner - bare, 1) };
  };
  const latency = await latencyAt(hub, crowd, tasksPerSecond / 2);
  await crowd.ask({ kind: "echo", url: plain.url, parser: "default", sockets });
  const byDefault = await echoRound(plain, crowd, Math.min(3, seconds));
  const { USDC } = await hub.gateway.imbalance();
  await echo.close();
  await plain.close();

  return {
    bench: "hub",
    node: process.version,
    cpus: cpus().length,
    sockets,
    secondsPerRound: seconds,
    database: "SQLite, synchronous = full",
    submitted: "through the Gateway in the hub's process, not over HTTP",
    tasksPerSecond,
    echoesPerSecond,
    ratioIs: "settled tasks a second over echo round trips a second: a task at check rate q makes 1 + q round trips",
    ratio: rounded(median(hubRounds.map((one, i) => one.tasksPerSecond / (echoRounds[i]?.tripsPerSecond ?? 0))), 3),
    cpuRatio: rounded(of(echoRounds, (one) => one.serverCpuMicros) / of(hubRounds, (one) => one.hubCpuMicros), 3),
    checkRate: rounded(
      of(hubRounds, (one) => one.checkRate),
      4,
    ),
    referenceShareOfChecks: rounded(
      of(hubRounds, (one) => one.referenceShareOfChecks),
      3,
    ),
    canariesPerTask: rounded(
      of(hubRounds, (one) => one.canariesPerTask),
      4,
    ),
    halfLoad: latency,
    memoryKibPerMiner: { resident: perMiner("resident"), live: perMiner("live") },
    parsers: {
      msgpackTripsPerSecond: echoesPerSecond,
      defaultTripsPerSecond: byDefault.tripsPerSecond,
      msgpackServerCpuMicros: of(echoRounds, (one) => one.serverCpuMicros),
      defaultServerCpuMicros: byDefault.serverCpuMicros,
    },
    ledgerImbalance: USDC.toString(),
    hubRounds,
    echoRounds,
  };
}

const dataDir = mkdtempSync(join(tmpdir(), "tabgrid-bench-"));
const config = loadConfig({ TABGRID_DATA: dataDir, TABGRID_PORT: "0", TABGRID_TRUST_PROXY: "loopback" });
assert(config.ok, "the settings are valid");
const hub = await startHub({
  config: config.value,
  log: pino({ level: "silent" }),
  version: "bench",
  clientDir: null,
  fatal(error) {
    throw error;
  },
});
const crowd = new Crowd();
try {
  console.log(JSON.stringify(await measure(hub, crowd), null, 2));
} finally {
  crowd.close();
  await hub.close();
  rmSync(dataDir, { recursive: true });
}
