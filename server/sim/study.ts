import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { seededRng } from "../../shared/random.ts";
import type { Block, OwnerTally } from "./cohort.ts";
import { bootstrap, clopperPearson, type Interval, mean, median } from "./intervals.ts";
import type { Job, JobResult } from "./study-jobs.ts";

/** `npm run sim -- --study verification`: the figures that end ../shared/policy.md, measured on the production core. */
export interface Figure {
  figure: string;
  bar: number;
  value: number;
  interval: [number, number];
  method: string;
  holds: boolean;
  of: string;
}

export interface Curve {
  knob: string;
  points: { setting: string; executions: number; wrongPercent: number }[];
}

export interface Study {
  figures: Figure[];
  curves: Curve[];
  notes: Record<string, number | string>;
  seconds: number;
  lines: string[];
}

const SHORT = { miners: 50, perMiner: 1_000 };
const LONG = { miners: 40, perMiner: 5_000 };
const CURVE = { miners: 40, perMiner: 1_000 };
const mixJob = (seed: number, size: typeof SHORT, checks = {}, washers = true): Job => ({
  kind: "mix",
  seed,
  ...size,
  checks,
  washers,
});
const knobs: [string, string, object, boolean][] = [
  ["as the policy says", "", {}, true],
  ["q once trusted", "0.03", { trustedRate: 0.03 }, true],
  ["q once trusted", "0.02", { trustedRate: 0.02 }, true],
  ["q before", "0.10", { earlyRate: 0.1 }, true],
  ["passes of a newcomer", "10", { newcomerPasses: 10 }, true],
  ["passes until trusted", "50", { trustedPasses: 50 }, true],
  ["rechecks after a fail", "5", { rechecks: 5 }, true],
  ["whitewashers", "none come back", {}, false],
];

const seeds = (from: number, count: number): number[] => Array.from({ length: count }, (_, index) => from + index);
const turncoatJobs = (from: number, count: number, rate: number, trusted: boolean, perMiner: number): Job[] =>
  seeds(from, count).map((seed) => ({ kind: "turncoats", seed, rate, trusted, perMiner }));

const jobs = {
  short: seeds(1, 4).map((seed) => mixJob(seed, SHORT)),
  long: seeds(11, 2).map((seed) => mixJob(seed, LONG)),
  new5: turncoatJobs(20, 3, 0.05, false, 900),
  new10: turncoatJobs(30, 6, 0.1, false, 700),
  new20: turncoatJobs(40, 6, 0.2, false, 250),
  new50: turncoatJobs(50, 3, 0.5, false, 120),
  new100: turncoatJobs(60, 3, 1, false, 80),
  old5: turncoatJobs(120, 3, 0.05, true, 1_200),
  old10: turncoatJobs(130, 6, 0.1, true, 1_000),
  old20: turncoatJobs(140, 6, 0.2, true, 500),
  old50: turncoatJobs(150, 3, 0.5, true, 250),
  old100: turncoatJobs(160, 3, 1, true, 150),
  classFault: seeds(71, 2).map((seed): Job => ({ kind: "class-fault", seed, miners: 50, perMiner: 1_200 })),
  honest: seeds(81, 2).map((seed): Job => ({ kind: "honest", seed, owners: 100_000, errorRate: 0.003 })),
  curves: knobs.map(([, , checks, washers]) => mixJob(91, CURVE, checks, washers)),
} satisfies Record<string, Job[]>;

export async function verificationStudy(workers: number, say: (line: string) => void): Promise<Study> {
  const started = performance.now();
  const groups = Object.entries(jobs) as [keyof typeof jobs, Job[]][];
  const results = await runAll(
    groups.flatMap(([, list]) => list),
    workers,
    say,
  );
  const of = <Kind extends Job["kind"]>(group: keyof typeof jobs): JobResult[Kind][] =>
    jobs[group].map((job) => results.get(job) as JobResult[Kind]);
  const figures = [
    ...mixFigures("1,000", 1.14, of<"mix">("short"), SHORT.miners),
    ...mixFigures("5,000", 1.07, of<"mix">("long"), LONG.miners),
    ...quarantineFigures(of<"class-fault">("classFault")),
    honestFigure(of<"honest">("honest")),
    outFigure("newcomer at 20 %", 30, of<"turncoats">("new20")),
    outFigure("trusted turncoat at 20 %", 130, of<"turncoats">("old20")),
    outFigure("newcomer at 10 %", 115, of<"turncoats">("new10")),
    outFigure("trusted turncoat at 10 %", 375, of<"turncoats">("old10")),
    ...(["new5", "new10", "new20", "new50", "new100", "old5", "old10", "old20", "old50", "old100"] as const).map(
      (group) => profitFigure(group, of<"turncoats">(group)),
    ),
  ];
  const points = of<"mix">("curves").map(({ blocks }, index) => {
    const { accepted, wrong, executions } = total(blocks);
    const [knob, setting] = knobs[index] as (typeof knobs)[number];
    return { knob, setting, executions: executions / accepted, wrongPercent: (100 * wrong) / accepted };
  });
  const curves = [...Map.groupBy(points, ({ knob }) => knob)].map(([knob, list]) => ({ knob, points: list }));
  const mixes = [...of<"mix">("short"), ...of<"mix">("long")];
  const notes = {
    acceptedTasks: mixes.reduce((sum, { accepted }) => sum + accepted, 0),
    honestSuspendedInMixes: mixes.reduce((sum, { honestSuspended }) => sum + honestSuspended, 0),
    honestSuspendedUnderClassFault: of<"class-fault">("classFault").reduce((sum, one) => sum + one.honestSuspended, 0),
    keysOfWhitewashersAndOthers: mixes.reduce((sum, { owners }) => sum + owners, 0),
  };
  const seconds = Math.round((performance.now() - started) / 1_000);
  return { figures, curves, notes, seconds, lines: linesOf(figures, curves, seconds) };
}

async function runAll(list: Job[], workers: number, say: (line: string) => void): Promise<Map<Job, unknown>> {
  const left = [...list].sort((a, b) => sizeOf(b) - sizeOf(a));
  const results = new Map<Job, unknown>();
  const one = async (): Promise<void> => {
    const worker = new Worker(new URL("./study-worker.ts", import.meta.url));
    for (let job = left.shift(); job; job = left.shift()) {
      worker.postMessage(job);
      const [result] = await once(worker, "message"); // rejects with the worker's error
      results.set(job, result);
      say(`${results.size} of ${list.length}: ${JSON.stringify(job)}`);
    }
    await worker.terminate();
  };
  await Promise.all(Array.from({ length: workers }, one));
  return results;
}

/** Longest first. */
const sizeOf = (job: Job): number => {
  if (job.kind === "honest") return job.owners * 0.5;
  return job.kind === "turncoats" ? 24 * job.perMiner : job.miners * job.perMiner;
};

const total = (blocks: readonly Block[]): Block => ({
  accepted: blocks.reduce((sum, { accepted }) => sum + accepted, 0),
  wrong: blocks.reduce((sum, { wrong }) => sum + wrong, 0),
  executions: blocks.reduce((sum, { executions }) => sum + executions, 0),
});

/** Blocks of one run are not alike (trust grows): they are resampled within tenths of the run. */
function blockInterval(runs: readonly { blocks: Block[] }[], statistic: (block: Block) => number): Interval {
  const rng = seededRng(1);
  const strata = Array.from({ length: 10 }, (_, tenth) =>
    runs.flatMap(({ blocks }) => blocks.slice((tenth * blocks.length) / 10, ((tenth + 1) * blocks.length) / 10)),
  );
  const values = Array.from({ length: 2_000 }, () =>
    statistic(
      total(strata.flatMap((stratum) => stratum.map(() => stratum[Math.floor(rng.next() * stratum.length)] as Block))),
    ),
  ).sort((a, b) => a - b);
  const value = statistic(total(runs.flatMap(({ blocks }) => blocks)));
  const count = strata.reduce((sum, { length }) => sum + length, 0);
  const method = `bootstrap over ${count} blocks of tasks, within tenths of a run`;
  return { value, low: values[50] as number, high: values[1_949] as number, method };
}

const figure = (name: string, bar: number, { value, low, high, method }: Interval, of: string): Figure => ({
  figure: name,
  bar,
  value,
  interval: [low, high],
  method,
  holds: value <= bar,
  of,
});

function mixFigures(per: string, bar: number, runs: JobResult["mix"][], miners: number): Figure[] {
  const of = `${runs.length} runs of ${miners} miners, ${per} tasks a miner`;
  const executions = blockInterval(runs, (block) => block.executions / block.accepted);
  const wrong = blockInterval(runs, (block) => block.wrong / block.accepted);
  return [
    figure(`executions per accepted task at ${per} tasks per miner`, bar, executions, of),
    figure(`wrong accepted at ${per} tasks per miner`, 0.003, wrong, of),
  ];
}

function quarantineFigures(runs: JobResult["class-fault"][]): Figure[] {
  const after = total(runs.map((run) => run.after));
  const of = `${runs.length} runs in which a class of a fifth of the miners breaks halfway; quarantined after ${runs
    .map(({ quarantinedAt }) => quarantinedAt ?? "never")
    .join(" and ")} tasks`;
  return [figure("wrong accepted after quarantine", 0.001, clopperPearson(after.wrong, after.accepted), of)];
}

function honestFigure(runs: JobResult["honest"][]): Figure {
  const suspended = runs.reduce((sum, run) => sum + run.suspended, 0);
  const owners = runs.reduce((sum, run) => sum + run.owners, 0);
  const of = `${owners} owners of 1,000 tasks with 0.3 % adjudicated errors, policy alone`;
  return figure("honest suspended per 1,000 tasks", 1e-4, clopperPearson(suspended, owners), of);
}

const talliesOf = (runs: JobResult["turncoats"][]): OwnerTally[] => runs.flatMap(({ tallies }) => tallies);

function outFigure(who: string, bar: number, runs: JobResult["turncoats"][]): Figure {
  const out = talliesOf(runs).map(({ outAfter }) => outAfter ?? Number.POSITIVE_INFINITY);
  const interval = bootstrap(out, median, seededRng(2));
  return figure(`median tasks until out: ${who}`, bar, interval, `${out.length} cheats among honest miners`);
}

const SAVED = 0.6;
const OUTSIDE_GAIN = 1;
/** Of rightful suspensions, those that a reviewer upholds. */
const UPHELD = 0.8;
/** Held pay of whoever works so fast that the rest has matured: the least there can be. */
const HELD_PAYS = 50;
const FORFEITED = 0.6;

/** In pays of a task, against an honest miner that gave the same answers: what was saved and won, less what was lost. */
function profitOf({ wrong, wrongAccepted, answers, outAfter }: OwnerTally): number {
  const unpaid = wrong - wrongAccepted;
  const held = Math.min(HELD_PAYS, answers - unpaid);
  const lost = outAfter === null ? 0 : UPHELD * FORFEITED * held;
  return SAVED * wrong + OUTSIDE_GAIN * wrongAccepted - unpaid - lost;
}

function profitFigure(group: string, runs: JobResult["turncoats"][]): Figure {
  const tallies = talliesOf(runs);
  const interval = bootstrap(tallies.map(profitOf), mean, seededRng(3));
  const who = group.startsWith("new") ? "a newcomer" : "a trusted turncoat";
  const stillIn = runs.reduce((sum, run) => sum + run.stillIn, 0);
  const { value, low, high, method } = interval;
  const name = `profit of ${who} that cheats at ${group.slice(3)} %, in pays`;
  const of = `${tallies.length} cheats, ${stillIn} never out; ${Math.round(mean(tallies.map((one) => one.answers)))} answers each`;
  return { figure: name, bar: 0, value, interval: [low, high], method, holds: value < 0, of };
}

function linesOf(figures: Figure[], curves: Curve[], seconds: number): string[] {
  const number = (value: number): string =>
    Math.abs(value) < 0.01 && value !== 0 ? value.toExponential(2) : value.toFixed(3);
  return [
    "| figure | bar | measured | 95 % interval | holds | of |",
    "|---|---|---|---|---|---|",
    ...figures.map(
      ({ figure, bar, value, interval, holds, of, method }) =>
        `| ${figure} | ${bar === 0 ? "< 0" : `≤ ${bar}`} | ${number(value)} | ${number(interval[0])} – ${number(interval[1])} (${method}) | ${holds ? "yes" : "**no**"} | ${of} |`,
    ),
    "",
    "| knob | setting | executions per accepted task | wrong accepted, % |",
    "|---|---|---|---|",
    ...curves.flatMap(({ knob, points }) =>
      points.map(
        (point) => `| ${knob} | ${point.setting} | ${number(point.executions)} | ${point.wrongPercent.toFixed(3)} |`,
      ),
    ),
    "",
    `${seconds} s`,
  ];
}
