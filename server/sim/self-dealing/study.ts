import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { regainedOf, returnedOf, type Search, type SearchJob } from "./search.ts";

/**
 * `npm run sim -- --study self-dealing`: is there a setting in which a party gains by buying from itself in an open domain?
 * A tenth as many settings are searched in a listed domain, which a vote has freed of the guard, to compare.
 */
export interface SelfDealingStudy {
  open: Search;
  listed: Search;
  seconds: number;
  lines: string[];
}

/** Settings are searched in parts of this many, each from a seed of its own, whatever the number of workers. */
const PART = 2_000;

export async function selfDealingStudy(
  settings: number,
  workers: number,
  say: (line: string) => void,
): Promise<SelfDealingStudy> {
  const startedAt = performance.now();
  const jobs = [...jobsOf(settings, false), ...jobsOf(Math.ceil(settings / 10), true)];
  const found = await runAll(jobs, workers, say);
  const of = (listed: boolean): Search =>
    jobs.flatMap((job, n) => (job.listed === listed ? [found[n] as Search] : [])).reduce(joined);
  const [open, listed] = [of(false), of(true)];
  const seconds = Math.round((performance.now() - startedAt) / 1_000);
  const lines = [...linesOf(open, "an open domain"), ...linesOf(listed, "a listed domain"), `${seconds} s`];
  return { open, listed, seconds, lines };
}

const jobsOf = (settings: number, listed: boolean): SearchJob[] =>
  Array.from({ length: Math.ceil(settings / PART) }, (_, n) => ({
    settings: Math.min(PART, settings - n * PART),
    seed: n + 1,
    listed,
  }));

async function runAll(jobs: SearchJob[], workers: number, say: (line: string) => void): Promise<Search[]> {
  const found: Search[] = [];
  let next = 0;
  let done = 0;
  const one = async (): Promise<void> => {
    const worker = new Worker(new URL("./worker.ts", import.meta.url));
    for (let n = next++; n < jobs.length; n = next++) {
      worker.postMessage(jobs[n]);
      const [result] = (await once(worker, "message")) as [Search]; // rejects with the worker's error
      found[n] = result;
      done++;
      say(`${done} of ${jobs.length} parts: ${result.gained} gained`);
    }
    await worker.terminate();
  };
  await Promise.all(Array.from({ length: workers }, one));
  return found;
}

const joined = (a: Search, b: Search): Search => ({
  played: a.played + b.played,
  refused: a.refused + b.refused,
  small: a.small + b.small,
  gained: a.gained + b.gained,
  best: !a.best || (b.best && returnedOf(b.best) > returnedOf(a.best)) ? b.best : a.best,
  closest: !a.closest || (b.closest && regainedOf(b.closest) > regainedOf(a.closest)) ? b.closest : a.closest,
});

function linesOf({ played, refused, small, gained, best, closest }: Search, where: string): string[] {
  if (!best || !closest) return [`dealing in ${where}: nothing was played`];
  const text = (value: unknown): string =>
    JSON.stringify(value, (_, held: unknown) => (typeof held === "bigint" ? String(held) : held));
  return [
    `dealing in ${where}: ${played} settings played, ${gained} without a loss (left out: ${refused} refused by the bounds, ${small} of less than 0.01 USDC)`,
    `  best return: ${returnedOf(best).toFixed(6)} USDC per USDC spent, in ${text(best.setting)}`,
    `  most regained of foundation and y: ${(100 * regainedOf(closest)).toFixed(3)} %, in ${text(closest.setting)}`,
  ];
}
