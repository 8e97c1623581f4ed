import type { ConsoleMiner, ConsoleTask, Delta, Snapshot } from "../../shared/console-protocol.ts";
import { err, ok, type Result } from "../../shared/result.ts";

/** What the console knows of the hub: the last snapshot with every delta since. */
export interface Feed {
  seq: number;
  at: number;
  startedAt: number;
  version: string;
  minersBySession: ReadonlyMap<string, ConsoleMiner>;
  tasksById: ReadonlyMap<string, ConsoleTask>;
  totals: Snapshot["totals"];
  ledger: Snapshot["ledger"];
  openCases: number;
  /** Oldest first, for the charts. */
  samples: readonly Sample[];
}

export interface Sample {
  at: number;
  perSecond: number;
  latencyP50Ms: number | null;
  latencyP95Ms: number | null;
}

/** The console is a window on the present: older tasks and samples are the API's and the metrics' business. */
export const feedLimits = { tasks: 500, samples: 1200 } as const;

export interface SequenceGap {
  expected: number;
  got: number;
}

/** Starts from a snapshot. After a reconnect to the same run of the hub the charts go on from `previous`. */
export function openFeed(snapshot: Snapshot, previous: Feed | null): Feed {
  const { seq, at, startedAt, version, miners, tasks, totals, ledger, openCases } = snapshot;
  const samples = previous?.startedAt === startedAt ? previous.samples : [];
  return {
    seq,
    at,
    startedAt,
    version,
    minersBySession: new Map(miners.map((miner) => [miner.session, miner])),
    tasksById: newest(new Map(tasks.map((task) => [task.task, task]))),
    totals,
    ledger,
    openCases,
    samples: [...samples, sampleOf(at, totals)].slice(-feedLimits.samples),
  };
}

export function applyDelta(feed: Feed, delta: Delta): Result<Feed, SequenceGap> {
  if (delta.seq !== feed.seq + 1) return err({ expected: feed.seq + 1, got: delta.seq });
  const minersBySession = new Map(feed.minersBySession);
  for (const session of delta.gone) minersBySession.delete(session);
  for (const miner of delta.miners) minersBySession.set(miner.session, miner);
  const tasksById = new Map(feed.tasksById);
  for (const task of delta.tasks) tasksById.set(task.task, task);
  return ok({
    ...feed,
    seq: delta.seq,
    at: delta.at,
    minersBySession,
    tasksById: newest(tasksById),
    totals: delta.totals,
    ledger: delta.ledger ?? feed.ledger,
    openCases: delta.openCases,
    samples: [...feed.samples, sampleOf(delta.at, delta.totals)].slice(-feedLimits.samples),
  });
}

/** Newest first, and no more than are kept. */
function newest(tasksById: Map<string, ConsoleTask>): Map<string, ConsoleTask> {
  const sorted = [...tasksById].sort(([, a], [, b]) => b.submittedAt - a.submittedAt);
  return new Map(sorted.slice(0, feedLimits.tasks));
}

const sampleOf = (at: number, totals: Snapshot["totals"]): Sample => ({
  at,
  perSecond: totals.perSecond,
  latencyP50Ms: totals.latencyP50Ms,
  latencyP95Ms: totals.latencyP95Ms,
});
