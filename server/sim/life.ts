import type { ModelKey } from "../../shared/ids.ts";
import { NANO_PER_MICRO } from "../../shared/money.ts";
import { nextInt, type Rng, seededRng } from "../../shared/random.ts";
import { assert } from "../../shared/result.ts";
import { freshStanding } from "../core/trust.ts";
import { Auditor } from "./auditor.ts";
import { fingerprint, honestAnswer, inputValue, modelOf, SimMiner, someBehaviour } from "./miner.ts";
import { World } from "./world.ts";

/** One random life of the network out of a seed: at least 20 miners, 200 tasks and one crash, judged by the auditor. */
export interface LifeReport {
  seed: number;
  faults: string[];
  miners: number;
  tasks: number;
  commits: number;
  crashes: number;
  executions: number;
  counts: Auditor["counts"];
  /** Of the transfers in the books. */
  kinds: Set<string>;
}

export interface LifeOptions {
  miners?: number;
  tasks?: number;
  /** Whether there is a person who decides cases; there is, where it is left out. */
  isReviewed?: boolean;
  /** Number of the commit at which the process dies; random where it is left out. */
  crashAt?: { commit: number; when: "before" | "after" };
}

/** Of those who come: they take checks only, honestly, by copying what they hear, or hand in hand with cheating miners. */
const VALIDATORS = 0.15;
const CUSTOMERS = 3;
/** Deadlines, leases of checks, signatures: all have come or gone by then. */
const REST_MS = 150_000;

export function live(seed: number, options: LifeOptions = {}): LifeReport {
  const rng = seededRng(seed * 2_654_435_761);
  const tasks = options.tasks ?? 200 + nextInt(rng, 60);
  const models = [modelOf("alpha", 5), modelOf("beta", rng.next() < 0.2 ? null : 5)];
  const auditor = new Auditor(models.filter((model) => model.referenceMs === null).map((model) => model.key));
  const calm = rng.next() < 0.3;
  const world = new World({
    seed,
    models,
    watchers: [auditor],
    referenceBacklog: [0, 2, 4, 16][nextInt(rng, 4)] as number,
    crashes: options.crashAt
      ? new Map([[options.crashAt.commit, options.crashAt.when]])
      : someCrashes(rng, Math.floor(tasks / 2)),
    network: {
      delayMs: calm ? [1, 5] : [1, 20 + nextInt(rng, 200)],
      lossRate: calm ? 0 : rng.next() * 0.03,
      duplicateRate: calm ? 0 : rng.next() * 0.1,
      serviceMs: [2, 5 + nextInt(rng, 60)],
      referenceMs: 2 + nextInt(rng, 40),
      referenceFailureRate: rng.next() < 0.2 ? 0.05 : 0,
    },
    review: (miner) => {
      if (options.isReviewed === false || rng.next() < 0.3) return null;
      const isCheat = miner && !["honest", "flaky", "silent"].includes(miner.traits.behaviour);
      const ruling = !isCheat ? "dismissed" : rng.next() < 0.5 ? "minor" : "severe";
      return { ruling, afterMs: 200 + rng.next() * 2_000 };
    },
  });
  for (let c = 0; c < CUSTOMERS; c++) world.grant(`c${c}`, c === 0 ? 300n * NANO_PER_MICRO : 10n ** 12n);
  const miners = population(world, auditor, rng, options.miners ?? 20 + nextInt(rng, 8), models[0]?.key as ModelKey);
  if (rng.next() < 0.4) {
    world.faults = [
      { deviceClass: nextInt(rng, 3), since: world.now + rng.next() * 4_000, share: 0.3 + rng.next() * 0.7 },
    ];
  }
  const gapMs = 2 + rng.next() * 40;
  const weeks = renewals(seed, tasks);
  for (let t = 0; t < tasks; t++) {
    submitOne(world, rng, `${seed}n${t}`, t, models[rng.next() < 0.8 ? 0 : 1]?.key as ModelKey);
    if (rng.next() < 0.02) world.cancel(`${seed}n${nextInt(rng, t + 1)}`);
    const miner = miners[nextInt(rng, miners.length)] as SimMiner;
    if (rng.next() < 0.01) world.leave(miner);
    else if (rng.next() < 0.03) world.join(miner);
    const values = weeks.get(t);
    if (values) world.renewProbes(models[0]?.key as ModelKey, values);
    world.runUntil(world.now + rng.next() * 2 * gapMs);
  }
  world.runUntil(world.now + REST_MS);
  const { state, books, commits, crashes } = world.hub;
  auditor.finish({
    tasks: state.tasks.size,
    assignments: state.assignments.size,
    "queued items": state.queue.size,
    "reference runs": state.referenceInFlight,
    holds: books.openHolds().length,
  });
  const { executions } = world;
  const { faults, counts } = auditor;
  const kinds = new Set<string>(books.transfers.map(({ kind }) => kind));
  return { kinds, seed, faults, miners: miners.length, tasks, commits, crashes, executions, counts };
}

function someCrashes(rng: Rng, within: number): Map<number, "before" | "after"> {
  const crashes = new Map<number, "before" | "after">();
  for (let left = 1 + nextInt(rng, 3); left > 0; left--) {
    crashes.set(2 + nextInt(rng, within), rng.next() < 0.5 ? "before" : "after");
  }
  return crashes;
}

/** In two lives of five, up to three times: by number of the task, the values of the new known answers. */
function renewals(seed: number, within: number): Map<number, [number, number]> {
  const rng = seededRng(seed * 40_503 + 7);
  const at = new Map<number, [number, number]>();
  if (rng.next() < 0.6) return at;
  for (let left = 1 + nextInt(rng, 3); left > 0; left--)
    at.set(nextInt(rng, within), [1 + rng.next() * 300, 400 + rng.next() * 300]);
  return at;
}

const validatorBehaviours = ["honest", "honest", "copying", "colluding"] as const;

function population(world: World, auditor: Auditor, rng: Rng, count: number, model: ModelKey): SimMiner[] {
  const isLocal = rng.next() < 0.1;
  return Array.from({ length: count }, (_, index) => {
    const role = rng.next() < VALIDATORS ? ("validator" as const) : ("miner" as const);
    const behaviour = role === "miner" ? someBehaviour(rng) : validatorBehaviours[nextInt(rng, 4)];
    assert(behaviour, "one of four");
    const network = isLocal ? null : behaviour === "sybil" ? "198.51.100.0/24" : `203.0.${nextInt(rng, 60)}.0/24`;
    const rate = behaviour === "flaky" ? 0.05 : 0.1 + rng.next() * 0.6;
    const forgetRate = behaviour === "silent" ? 0.5 : behaviour === "flaky" ? 0.02 : 0;
    const miner = new SimMiner(
      `n${index}`,
      { behaviour, rate, deviceClass: nextInt(rng, 3), network, role, forgetRate, oddBits: index % 9 === 4 },
      seededRng(nextInt(rng, 2 ** 30)),
    );
    if (rng.next() < 0.6) giveAPast(world, auditor, miner, rng, model);
    world.join(miner);
    return miner;
  });
}

/** Most of a run would pass before anyone is trusted: some begin with passed checks and held pay. */
function giveAPast(world: World, auditor: Auditor, miner: SimMiner, rng: Rng, model: ModelKey): void {
  const passes = [10, 30, 120, 300][nextInt(rng, 4)] as number;
  const { deviceClass } = miner.traits;
  const golden = modelOf("alpha", 5).golden.map(({ inputs }) => honestAnswer(inputValue(inputs), deviceClass));
  const key = `${model}|${deviceClass % 2 === 0 ? "webgpu" : "wasm"}|${fingerprint(golden.flat()).slice(-16)}`;
  const standing = freshStanding(miner.owner, world.now);
  standing.passed[key] = passes;
  standing.proven[key] = passes;
  standing.alpha += passes;
  standing.strikes = Math.max(-4.6, -0.095 * passes);
  world.remember(standing, ([0n, 400n, 100_000n][nextInt(rng, 3)] ?? 0n) * NANO_PER_MICRO);
  auditor.remember(miner.owner, model, passes);
}

function submitOne(world: World, rng: Rng, name: string, index: number, model: ModelKey): void {
  const level =
    (["fast", "fast", "fast", "fast", "fast", "verified", "verified", "quorum-3"] as const)[nextInt(rng, 8)] ?? "fast";
  const micros = index > 70 && rng.next() < 0.02 ? 5_000 : 1 + nextInt(rng, 20);
  const value = 1 + nextInt(rng, 5_000) / 16;
  world.submit(name, `c${nextInt(rng, CUSTOMERS)}`, model, value, level, BigInt(micros) * NANO_PER_MICRO);
}
