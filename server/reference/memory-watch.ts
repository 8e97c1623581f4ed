import { writeSync } from "node:fs";
import process from "node:process";
import { workerData } from "node:worker_threads";

/**
 * A thread of the reference node's child process. WebAssembly never yields during a run, so only another thread can see
 * that the process outgrows its memory, or that the hub has died, and end it.
 */
const { limitBytes } = workerData as { limitBytes: number };
const EVERY_MS = 100;
const STDERR = 2;

const hub = process.ppid;

setInterval(() => {
  if (process.ppid !== hub) process.kill(process.pid, "SIGKILL");
  const rssBytes = process.memoryUsage.rss();
  if (rssBytes <= limitBytes) return;
  const mib = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
  writeSync(STDERR, `memory: ${mib(rssBytes)} of at most ${mib(limitBytes)}\n`);
  process.kill(process.pid, "SIGKILL");
}, EVERY_MS);
